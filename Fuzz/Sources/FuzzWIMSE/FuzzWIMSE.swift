import JOSE
import WIMSE

/// Feeds one input to every reader of `WIMSE`: structured fields, digests, identity tokens, and messages with proofs. No input may
/// trap; what is read has to come back from what is written.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    let text = String(decoding: UnsafeBufferPointer(start: data, count: size), as: UTF8.self)
    structuredFields(text)
    _ = try? UnverifiedWIT(parsing: text)
    messages(text)
    return 0
}

private let now: Int64 = 1_700_000_100
private let policy = WorkloadProofPolicy(
    audiences: WorkloadAudiences(["https://service.example", "https://workload.example.com"]),
    contextTokens: ["ctx-token"])

/// The public key of the senders in `Tests/Vectors/wimse-es256.json`, so that the seeds get as far as their verdict.
private let key: JWSVerificationKey? = {
    let json: JSONObject = [
        "kty": "EC", "crv": "P-256", "alg": "ES256", "x": "cTX6T9k6Cdzpi79oG0v89Q58DWNU5ir7C_8qNClheGU",
        "y": "7UwfAt25Aj7lalV-UV1qncZsEfIglg3llDNN9Yh3ZyQ",
    ]
    return (try? JWK(json: json)).flatMap { try? JWSVerificationKey(jwk: $0) }
}()

private func structuredFields(_ text: String) {
    guard let dictionary = try? StructuredDictionary(parsing: [text]) else { return }
    let written = dictionary.serialized
    // The written form may be longer than the longest that is read: an escape takes three bytes.
    guard written.utf8.count <= StructuredDictionary.maximumBytes else { return }
    precondition((try? StructuredDictionary(parsing: [written])) == dictionary, "field reads back differently")
    _ = try? ContentDigest.verify([text], body: [])
}

/// A message as lines: the target, then `name: value` until an empty one, then the body.
private func messages(_ text: String) {
    guard let key else { preconditionFailure("the key of the seeds is one") }
    let parts = text.split(separator: "\n\n", maxSplits: 1, omittingEmptySubsequences: false)
    let lines = (parts.first ?? "").split(separator: "\n", omittingEmptySubsequences: false)
    var fields = MessageFields()
    for line in lines.dropFirst() {
        guard let colon = line.firstIndex(of: ":") else { continue }
        fields.append(String(line[..<colon]), String(line[line.index(after: colon)...]))
    }
    let body = Array((parts.count > 1 ? parts[1] : "").utf8)
    let request = WorkloadRequest(method: "POST", target: String(lines.first ?? ""), fields: fields, body: body)
    if let signature = try? WorkloadSignature.verify(request, key: key, policy: policy, now: now) {
        precondition(signature.expiresAt > now, "a signature was taken that had ended")
        precondition((try? WorkloadSignature.isPresent(in: fields)) == true, "a signature is there and is not")
    }
    if let proof = try? WorkloadProofToken.verify(request, key: key, policy: policy, now: now) {
        precondition(proof.expiresAt > now, "a proof was taken that had ended")
        precondition((try? WorkloadProofToken.isPresent(in: fields)) == true, "a proof is there and is not")
    }
    let response = WorkloadResponse(status: 200, fields: fields, body: body)
    _ = try? WorkloadSignature.verify(response, to: request, nonce: "abcd1111", key: key, policy: policy, now: now)
}
