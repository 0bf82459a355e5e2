import Authentication
import Crypto
import Foundation
import JOSE
import OAuth
import Revocation
import SPIFFE
import Synchronization
import Testing
import WIMSE

/// A receiver with one trust domain, and a sender of it.
private final class ProofBench: Sendable {
    static let start: Int64 = 1_900_000_000
    static let audience = "https://service.example"

    let authority = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "wit-1")
    let sender = P256.Signing.PrivateKey()
    let time = Mutex(start)
    let revoked = Mutex<Set<RevokedSubject>>([])
    let areRevocationsKnown = Mutex(true)
    let trustDomain: TrustDomain

    init() throws { trustDomain = try TrustDomain("example.org") }

    var key: JWSSigningKey { JWSSigningKey(p256: sender, keyID: "") }

    func verifier(
        _ kinds: Set<WorkloadProofKind> = [.signature, .proofToken],
        seen: ReplayMemory = ReplayMemory(capacity: 100, groupCapacity: 100)
    ) throws -> WorkloadMessageVerifier {
        let key = try WITAuthority(keyID: "wit-1", derSPKI: authority.verificationKey.derSPKI)
        return WorkloadMessageVerifier(
            .init(WorkloadProofPolicy(audiences: WorkloadAudiences([Self.audience])), kinds: kinds),
            bundles: { [trustDomain] in $0 == trustDomain ? [key] : nil },
            revocation: { self.refusal($0) }, now: { UnixTime(seconds: self.time.withLock { $0 }) }, seen: seen)
    }

    private func refusal(_ token: VerifiedWITSVID) -> WorkloadMessageRefusal? {
        guard areRevocationsKnown.withLock({ $0 }) else { return .revocationsUnknown }
        let all = RevokedSubjects(revoked.withLock { $0 }, in: trustDomain)
        return all.revocation(of: token) == nil ? nil : .revoked
    }

    func token(_ path: String = "/planner", issuer: JWSSigningKey? = nil, lifetime: Int64 = 3600) throws -> String {
        try WITSVID.sign(
            id: SPIFFEID("spiffe://example.org\(path)"), confirmationKey: key.verificationKey,
            issuedAt: UnixTime(seconds: Self.start), expiresAt: UnixTime(seconds: Self.start + lifetime),
            key: issuer ?? authority, tokenID: "wit-jti")
    }

    func request(
        _ token: String? = nil, body: String = #"{"amount":100}"#, fields: [(String, String)] = []
    ) throws -> WorkloadRequest {
        var all = MessageFields(fields.map { (name: $0.0, value: $0.1) })
        all.append("Workload-Identity-Token", try token ?? self.token())
        if !body.isEmpty { all.append("Content-Digest", ContentDigest.value(Array(body.utf8))) }
        return WorkloadRequest(method: "POST", target: "/transfer", fields: all, body: Array(body.utf8))
    }

    func signed(_ request: WorkloadRequest, nonce: String = "n-1", lifetime: Int64 = 60) throws -> WorkloadRequest {
        var request = request
        let now = time.withLock { $0 }
        let fields = try WorkloadSignature.sign(
            request,
            .init(audience: Self.audience, created: now, expires: now + lifetime, nonce: nonce), key: key)
        request.fields.append("Signature-Input", fields.input)
        request.fields.append("Signature", fields.signature)
        return request
    }

    func proven(_ request: WorkloadRequest, tokenID: String = "n-1") throws -> WorkloadRequest {
        var request = request
        let proof = try WorkloadProofToken.sign(
            request.fields,
            .init(audience: Self.audience, expiresAt: time.withLock { $0 } + 60, tokenID: tokenID), key: key)
        request.fields.append("Authorization", "WPT \(proof)")
        return request
    }
}

private func refusal(_ verifier: WorkloadMessageVerifier, _ request: WorkloadRequest) -> WorkloadMessageRefusal? {
    do throws(WorkloadMessageRefusal) {
        _ = try verifier.verify(request)
        return nil
    } catch {
        return error
    }
}

@Suite struct WorkloadMessageVerifierTests {
    private let bench: ProofBench

    init() throws { bench = try ProofBench() }

    @Test func `a signed request and one with a proof token say who has sent them, and by what`() throws {
        let verifier = try bench.verifier()
        let wit = try bench.token()
        let signer = try verifier.verify(bench.signed(bench.request(wit)))
        #expect(signer.id.string == "spiffe://example.org/planner")
        #expect(signer.proof.kind == .signature)
        #expect(signer.tokenDigest == Array(SHA256.hash(data: Array(wit.utf8))))
        // The same name in a proof of the other kind is another one.
        let prover = try verifier.verify(bench.proven(bench.request(wit)))
        #expect(prover.id == signer.id)
        #expect(prover.proof.kind == .proofToken)
    }

    @Test func `each proof counts once, and each sender makes up its own names`() throws {
        let verifier = try bench.verifier()
        let signed = try bench.signed(bench.request())
        #expect(refusal(verifier, signed) == nil)
        #expect(refusal(verifier, signed) == .replayed(.signature))
        // Another request with the same nonce.
        #expect(refusal(verifier, try bench.signed(bench.request(body: "other"))) == .replayed(.signature))
        #expect(refusal(verifier, try bench.signed(bench.request(bench.token("/other")))) == nil)
        let proven = try bench.proven(bench.request())
        #expect(refusal(verifier, proven) == nil)
        #expect(refusal(verifier, proven) == .replayed(.proofToken))
        bench.time.withLock { $0 += 60 }
        #expect(refusal(verifier, signed) == .signature(.expired(at: ProofBench.start + 60)))
        #expect(refusal(verifier, try bench.signed(bench.request())) == nil)
    }

    @Test func `what is refused is not remembered`() throws {
        let seen = ReplayMemory(capacity: 1)
        let verifier = try bench.verifier(seen: seen)
        var broken = try bench.signed(bench.request())
        broken = WorkloadRequest(method: "GET", target: "/transfer", fields: broken.fields, body: broken.body)
        for _ in 0..<3 { #expect(refusal(verifier, broken) == .signature(.invalidSignature)) }
        #expect(refusal(verifier, try bench.signed(bench.request())) == nil)
        #expect(refusal(verifier, try bench.signed(bench.request(), nonce: "n-2")) == .tooManyProofs)
    }

    @Test func `a token alone is no proof, nor is one that is not taken here`() throws {
        #expect(refusal(try bench.verifier(), try bench.request()) == .noProof)
        #expect(refusal(try bench.verifier(), try bench.request(fields: [("Authorization", "Bearer x")])) == .noProof)
        #expect(refusal(try bench.verifier([.signature]), try bench.proven(bench.request())) == .noProof)
        #expect(refusal(try bench.verifier([.proofToken]), try bench.signed(bench.request())) == .noProof)
        // Nor a good one beside a bad one.
        #expect(refusal(try bench.verifier(), try bench.signed(bench.proven(bench.request()))) == .severalProofs)
        var twice = try bench.signed(bench.request())
        twice.fields.append(
            "Signature-Input", twice.fields.values("Signature-Input")[0].replacing("wimse=", with: "b="))
        #expect(refusal(try bench.verifier(), twice) == .signature(.severalSignatures))
    }

    @Test func `the token has to be one, and good, before anything is said of the proof`() throws {
        let verifier = try bench.verifier()
        var signed = try bench.signed(bench.request())
        signed.fields.append("Workload-Identity-Token", try bench.token())
        #expect(refusal(verifier, signed) == .repeatedIdentityToken)
        let bare = WorkloadRequest(
            method: "GET", target: "/",
            fields: MessageFields([
                ("Signature-Input", signed.fields.values("Signature-Input")[0]), ("Signature", "wimse=:AAAA:"),
            ]))
        #expect(refusal(verifier, bare) == .noIdentityToken)
        let impostor = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "wit-1")
        #expect(
            refusal(verifier, try bench.signed(bench.request(bench.token(issuer: impostor))))
                == .identity(.token(.token(.invalidSignature))))
        let stranger = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "wit-2")
        #expect(
            refusal(verifier, try bench.signed(bench.request(bench.token(issuer: stranger))))
                == .identity(.unknownKey("wit-2")))
        let short = try bench.token(lifetime: 10)
        bench.time.withLock { $0 += 10 }
        #expect(
            refusal(verifier, try bench.signed(bench.request(short)))
                == .identity(.token(.expired(at: ProofBench.start + 10))))
    }

    @Test func `the holder of another key proves nothing`() throws {
        let thief = try ProofBench()
        let stolen = try bench.token()
        let verifier = try bench.verifier()
        #expect(refusal(verifier, try thief.signed(thief.request(stolen))) == .signature(.invalidSignature))
        #expect(
            refusal(verifier, try thief.proven(thief.request(stolen))) == .proofToken(.token(.invalidSignature)))
    }

    @Test func `whoever is revoked is nobody, and without news nobody is anybody`() throws {
        let verifier = try bench.verifier()
        let key = bench.key.verificationKey.jwk.thumbprintBase64URL
        for subject in [
            RevokedSubject.agent(try SPIFFEID("spiffe://example.org/planner")), .jwtID("wit-jti"), .key(key),
            .key(bench.authority.verificationKey.jwk.thumbprintBase64URL),
        ] {
            bench.revoked.withLock { $0 = [subject] }
            #expect(refusal(verifier, try bench.signed(bench.request())) == .revoked, "\(subject)")
        }
        bench.revoked.withLock { $0 = [] }
        bench.areRevocationsKnown.withLock { $0 = false }
        #expect(refusal(verifier, try bench.signed(bench.request())) == .revocationsUnknown)
        bench.areRevocationsKnown.withLock { $0 = true }
        #expect(refusal(verifier, try bench.signed(bench.request())) == nil)
    }

    @Test func `a response says who has signed it, for one request`() throws {
        let verifier = try bench.verifier()
        let request = try bench.signed(bench.request())
        var response = WorkloadResponse(
            status: 200, fields: MessageFields([("Workload-Identity-Token", try bench.token("/service"))]))
        let now = ProofBench.start
        let fields = try WorkloadSignature.sign(
            response, to: request, .init(created: now, expires: now + 60, nonce: "r", requestNonce: "n-1"),
            key: bench.key)
        #expect(throws: WorkloadMessageRefusal.signature(.noSignature)) {
            try verifier.verify(response, to: request, nonce: "n-1")
        }
        response.fields.append("Signature-Input", fields.input)
        response.fields.append("Signature", fields.signature)
        #expect(try verifier.verify(response, to: request, nonce: "n-1").id.path == "/service")
        #expect(throws: WorkloadMessageRefusal.signature(.wrongRequestNonce)) {
            try verifier.verify(response, to: request, nonce: "n-2")
        }
        bench.revoked.withLock { $0 = [.jwtID("wit-jti")] }
        #expect(throws: WorkloadMessageRefusal.revoked) { try verifier.verify(response, to: request, nonce: "n-1") }
    }

    @Test func `servers tell apart what is wrong, what is missing, and what cannot be told`() {
        for (refusal, answer) in [
            (.noProof, .unauthorized), (.severalProofs, .badRequest), (.noIdentityToken, .badRequest),
            (.repeatedIdentityToken, .badRequest), (.identity(.missingKeyID), .badRequest), (.revoked, .badRequest),
            (.revocationsUnknown, .unavailable), (.signature(.invalidSignature), .badRequest),
            (.proofToken(.wrongAudience), .unauthorized), (.proofToken(.repeatedField("Authorization")), .badRequest),
            (.replayed(.signature), .badRequest), (.replayed(.proofToken), .unauthorized),
            (.tooManyProofs, .unavailable), (.keysUnavailable, .unavailable),
        ] as [(WorkloadMessageRefusal, WorkloadMessageRefusal.Answer)] {
            #expect(refusal.answer == answer, "\(refusal)")
        }
    }
}

/// Every case of the vectors whose tokens are WIT-SVIDs, through the whole receiver.
@Suite struct WorkloadVectorTests {
    private let file: JSONObject
    private let keys: [WITAuthority]

    init() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let data = try Data(contentsOf: folder.appendingPathComponent("Vectors/wimse-es256.json"))
        file = try #require(try JSONValue(parsing: Array(data)).objectValue)
        keys = try WITAuthority.parse(
            jwks: try #require(file["trust"]?.objectValue?["example.org"]?.objectValue).serializedBytes)
    }

    private func verifier(_ section: JSONObject, _ override: JSONObject) throws -> WorkloadMessageVerifier {
        let audience = try #require((override["accept_aud"] ?? section["accept_aud"])?.stringValue)
        let now = try #require((override["now"] ?? file["now"])?.int64Value)
        let policy = WorkloadProofPolicy(audiences: WorkloadAudiences([audience]), contextTokens: ["ctx-token"])
        let own = try TrustDomain("example.org")
        return WorkloadMessageVerifier(
            .init(policy, kinds: [.signature, .proofToken]), bundles: { [keys] in $0 == own ? keys : nil },
            revocation: { _ in nil }, now: { UnixTime(seconds: now) })
    }

    private func outcomes(
        _ section: JSONObject, _ override: JSONObject, _ request: WorkloadRequest
    ) throws -> [WorkloadMessageRefusal?] {
        let verifier = try verifier(section, override)
        return (0..<(override["times"]?.int64Value ?? 1)).map { _ in refusal(verifier, request) }
    }

    @Test func `signed requests`() throws {
        let section = try #require(file["httpsig_request"]?.objectValue)
        func request(_ override: JSONObject) throws -> WorkloadRequest {
            let json = try #require((override["request"] ?? section["request"])?.objectValue)
            var fields = MessageFields()
            for pair in try #require(json["headers"]?.arrayValue).compactMap(\.stringArrayValue) {
                fields.append(pair[0], pair[1])
            }
            for (name, member) in [("Signature-Input", "signature_input"), ("Signature", "signature")] {
                fields.append(name, try #require((override[member] ?? section[member])?.stringValue))
            }
            return WorkloadRequest(
                method: try #require(json["method"]?.stringValue),
                target: (json["path"]?.stringValue ?? "") + (json["query"]?.stringValue ?? ""), fields: fields,
                body: Array((json["body"]?.stringValue ?? "").utf8))
        }
        let none = JSONObject()
        #expect(try outcomes(section, none, request(none)) == [nil])
        for good in try #require(section["also_accept"]?.arrayValue).compactMap(\.objectValue) {
            #expect(try outcomes(section, good, request(good)) == [nil])
        }
        for bad in try #require(section["negative"]?.arrayValue).compactMap(\.objectValue) {
            let outcomes = try outcomes(section, bad, request(bad))
            if bad["expect"] == "replay" {
                #expect(outcomes == [nil, .replayed(.signature)])
            } else {
                #expect(outcomes.allSatisfy { $0 != nil }, "\(bad["expect"]?.stringValue ?? "")")
            }
        }
    }

    @Test func `proof tokens, and tokens without a proof`() throws {
        let section = try #require(file["wpt"]?.objectValue)
        let http = try #require(section["http"]?.objectValue)
        func request(_ override: JSONObject) throws -> WorkloadRequest {
            var fields = MessageFields()
            fields.append(
                "Workload-Identity-Token",
                try #require((override["wit"] ?? http["Workload-Identity-Token"])?.stringValue))
            let sent = try #require(http["Authorization"]?.stringValue)
            let proof = override["wpt"]?.stringValue.map { "WPT \($0)" } ?? sent
            for value in override["authorization"]?.stringArrayValue ?? [proof] {
                fields.append("Authorization", value)
            }
            fields.append("Txn-Token", try #require((override["txn_token"] ?? section["txn_token"])?.stringValue))
            for (name, value) in try #require((override["other_tokens"] ?? section["other_tokens"])?.objectValue)
                .members
            {
                fields.append(name, try #require(value.stringValue))
            }
            return WorkloadRequest(method: "GET", target: "/path", fields: fields)
        }
        let none = JSONObject()
        #expect(try outcomes(section, none, request(none)) == [nil])
        for bad in try #require(section["negative"]?.arrayValue).compactMap(\.objectValue) {
            let outcomes = try outcomes(section, bad, request(bad))
            if bad["expect"] == "replay" {
                #expect(outcomes == [nil, .replayed(.proofToken)])
            } else {
                #expect(outcomes.allSatisfy { $0 != nil }, "\(bad["expect"]?.stringValue ?? "")")
            }
        }
        for bad in try #require(file["wit"]?.objectValue?["negative"]?.arrayValue).compactMap(\.objectValue) {
            let token = try #require(bad["wit"]?.stringValue)
            let bare = WorkloadRequest(
                method: "GET", target: "/path", fields: MessageFields([("Workload-Identity-Token", token)]))
            #expect(try outcomes(section, bad, bare) == [.noProof])
        }
    }
}
