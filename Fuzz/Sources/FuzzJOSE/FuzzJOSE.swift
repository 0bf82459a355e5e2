import JOSE

/// Drives every reader of outside bytes in JOSE; a trap or a broken rule stops the run.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    let input = [UInt8](UnsafeBufferPointer(start: data, count: size))
    checkJSON(input)
    checkToken(input)
    checkKeys(input)
    checkBase64(input)
    return 0
}

/// A value read must come back equal from its plain form, and its canonical form must be a fixed point.
private func checkJSON(_ input: [UInt8]) {
    guard let value = try? JSONValue(parsing: input) else { return }
    let plain = value.serializedBytes
    precondition((try? JSONValue(parsing: plain)) == value, "plain form reads back differently")
    let canonical = value.canonicalBytes
    guard let reread = try? JSONValue(parsing: canonical, limits: JSONLimits(maximumBytes: .max, maximumDepth: 64))
    else { preconditionFailure("canonical form does not read back") }
    precondition(reread.canonicalBytes == canonical, "canonical form is no fixed point")
}

/// A token taken apart must be put together again to the same bytes, because base64url is strict.
private func checkToken(_ input: [UInt8]) {
    if let claims = try? JWTClaims(parsing: input) {
        _ = try? claims.checkTime(now: 1_700_000_000, leeway: 60)
        _ = try? claims.checkAudience("audience")
    }
    guard let token = try? CompactJWS(parsing: input) else { return }
    let rebuilt = token.signingInput + [UInt8(ascii: ".")] + Base64URL.encodeBytes(token.signature)
    precondition(rebuilt == input, "token has a second spelling")
    _ = try? JWTClaims(parsing: token.payload)
}

/// A key set read must come back equal from what is written.
private func checkKeys(_ input: [UInt8]) {
    if let key = try? JWSVerificationKey(derSPKI: input, keyID: nil) {
        precondition(key.derSPKI == input, "public key has a second spelling")
    }
    guard let set = try? JWKSet(parsing: input) else { return }
    let reread = try? JWKSet(parsing: set.serializedBytes, limits: JSONLimits(maximumBytes: .max, maximumDepth: 64))
    precondition(reread?.keys == set.keys, "key set reads back differently")
    for key in set.keys {
        _ = key.thumbprint
        guard let verificationKey = try? JWSVerificationKey(jwk: key) else { continue }
        precondition(!verificationKey.isValid(signature: [0], over: input), "one byte is no signature")
    }
}

/// Bytes accepted as base64 must be the one spelling of what they stand for.
private func checkBase64(_ input: [UInt8]) {
    if let decoded = try? Base64URL.decode(input) {
        precondition(Base64URL.encodeBytes(decoded) == input, "base64url has a second spelling")
    }
    if let decoded = try? Base64.decode(input) {
        precondition(Base64.encodeBytes(decoded) == input, "base64 has a second spelling")
    }
}
