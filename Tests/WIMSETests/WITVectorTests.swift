import Crypto
import Foundation
import JOSE
import Testing
import WIMSE

/// Tokens of others: the draft's own example, and a set with one broken rule each.
@Suite struct `Workload identity tokens` {
    private func vectors(_ name: String, file: StaticString = #filePath) throws -> JSONObject {
        let folder = URL(fileURLWithPath: "\(file)").deletingLastPathComponent().deletingLastPathComponent()
        let data = try Data(contentsOf: folder.appendingPathComponent("Vectors").appendingPathComponent(name))
        return try #require(try JSONValue(parsing: Array(data)).objectValue)
    }

    @Test func `the draft's example verifies with its issuer's key until it ends`() throws {
        let example = try #require(try vectors("wimse-draft-examples.json")["wit_creds02"]?.objectValue)
        let token = try UnverifiedWIT(parsing: try #require(example["token"]?.stringValue))
        let issuer = try JWSVerificationKey(
            jwk: JWK(json: try #require(example["issuer_key"]?.objectValue)))
        #expect(token.unverifiedSubject == "wimse://example.com/specific-workload")
        #expect(token.confirmationKey.algorithm == .eddsa)
        try token.verify(with: issuer, now: 1_745_509_000, leeway: 0)
        #expect(throws: WITError.expired(at: 1_745_512_510)) {
            try token.verify(with: issuer, now: 1_745_512_510, leeway: 60)
        }
        let other = JWSVerificationKey(p256: P256.Signing.PrivateKey().publicKey, keyID: "June 5")
        #expect(throws: WITError.token(.invalidSignature)) {
            try token.verify(with: other, now: 1_745_509_000, leeway: 0)
        }
    }

    @Test(arguments: ["wimse-es256.json", "wimse-eddsa.json"])
    func `of the vectors the good one verifies and every bad form is refused`(_ name: String) throws {
        let file = try vectors(name)
        let now = try #require(file["now"]?.int64Value)
        let trust = try #require(file["trust"]?.objectValue?["example.org"]?.objectValue)
        let keys = try JWKSet(parsing: trust.serializedBytes).keys.map { try JWSVerificationKey(jwk: $0) }
        let wit = try #require(file["wit"]?.objectValue)
        func refusal(_ text: String, at time: Int64) -> WITError? {
            do throws(WITError) {
                let token = try UnverifiedWIT(parsing: text)
                guard let key = keys.first(where: { $0.keyID == token.header.keyID }) ?? keys.first else { return nil }
                try token.verify(with: key, now: time, leeway: 0)
                return nil
            } catch {
                return error
            }
        }
        #expect(refusal(try #require(wit["token"]?.stringValue), at: now) == nil)
        // These are for the profile, the trust domain or the proof to judge.
        let elsewhere: Set = [
            "bad_identifier", "untrusted_domain", "aud_forbidden_in_wit_svid", "kid_required_in_wit_svid", "bearer_use",
        ]
        var judged = 0
        for negative in try #require(wit["negative"]?.arrayValue).compactMap(\.objectValue) {
            let expected = try #require(negative["expect"]?.stringValue)
            guard !elsewhere.contains(expected) else { continue }
            judged += 1
            let text = try #require(negative["wit"]?.stringValue)
            #expect(refusal(text, at: negative["now"]?.int64Value ?? now) != nil, "\(name) \(expected)")
        }
        #expect(judged >= 12)
    }

    @Test func `what is signed reads back, with the holder's key and nothing private`() throws {
        let issuer = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k")
        let holder = JWSVerificationKey(p256: P256.Signing.PrivateKey().publicKey, keyID: "not written")
        let text = try WorkloadIdentityToken.sign(
            subject: "wimse://example.com/w", confirmationKey: holder, issuedAt: 100, expiresAt: 200, key: issuer,
            tokenID: "t")
        let token = try UnverifiedWIT(parsing: text)
        try token.verify(with: issuer.verificationKey, now: 150, leeway: 0)
        #expect(token.header.type == "wit+jwt")
        #expect(token.confirmationKey.derSPKI == holder.derSPKI)
        let jwk = try #require(token.claims.json["cnf"]?.objectValue?["jwk"]?.objectValue)
        #expect(Set(jwk.members.map(\.name)) == ["kty", "crv", "x", "y", "alg"])
        #expect(throws: WITError.badTimes) {
            try WorkloadIdentityToken.sign(
                subject: "wimse://example.com/w", confirmationKey: holder, issuedAt: 100, expiresAt: 100, key: issuer)
        }
    }
}
