import Crypto
import Foundation
import JOSE
import SPIFFE
import Testing

@testable import A2A

@Suite struct CardSigningTests {
    private static let trustDomain = "example.org"
    private let key = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "card-1")

    private func keys(_ keys: JWSSigningKey..., of trustDomain: String? = Self.trustDomain) throws -> CardKeys {
        CardKeys(keys.map(\.verificationKey), of: try trustDomain.map { try TrustDomain($0) })
    }

    /// A card with the identity of an agent of our trust domain, and some members in place of its own.
    private func document(
        _ members: JSONObject = JSONObject(), agent: String = "spiffe://example.org/agent"
    ) throws -> CardDocument {
        var object: JSONObject = [
            "name": "Agent", "description": "Works.", "version": "1",
            "supportedInterfaces": [
                ["url": "https://a.example", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"]
            ],
            "capabilities": ["streaming": true], "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain"],
            "skills": [["id": "s", "name": "S", "description": "Does s.", "tags": ["s"]]],
        ]
        for (name, value) in members.members { object[name] = value }
        return try CardDocument(object).with(identity: CardIdentity(spiffeID: SPIFFEID(agent)))
    }

    private func signed(_ document: CardDocument, jku: String? = nil) throws -> CardDocument {
        try SignableCard(document).signed(by: key, keySetURL: jku)
    }

    private func header(_ signature: AgentCardSignature) throws -> JSONObject {
        try #require(JSONValue(parsing: Base64URL.decode(signature.protected)).objectValue)
    }

    @Test func aCardWithoutEmptyMembersHasOneSignature() throws {
        let signed = try signed(document(), jku: "https://as.example/keys")
        #expect(signed.card.signatures.count == 1)
        var header = try header(signed.card.signatures[0])
        #expect(header["card_sha256"]?.stringValue?.utf8.count == 43)
        header["card_sha256"] = Optional.none
        #expect(
            header == ["alg": "ES256", "kid": "card-1", "typ": "JOSE", "jku": "https://as.example/keys"])
        let verified = try CardVerifier(trusting: [keys(key)]).verify(signed)
        #expect(verified.form == .standard)
        #expect(verified.identity?.spiffeID.path == "/agent")
        #expect(verified.keyID == "card-1")
        #expect(verified.trustDomain?.name == Self.trustDomain)
        #expect(verified.covered == signed.with(signatures: []))
        #expect(try CardDocument(parsing: signed.jsonBytes) == signed)
        let agent = try SPIFFEID("spiffe://example.org/agent")
        #expect(verified.binding(to: agent) == .bound(agent))
    }

    @Test(arguments: ["url", "securityRequirements"])
    func whatIsAddedToACardOfOneFormIsSeen(_ name: String) throws {
        let value: JSONValue = name == "url" ? "https://evil.example" : [["schemes": [:]]]
        // Pruned, it is the card that was signed.
        var object = try signed(document()).object
        object[name] = value
        #expect(throws: CardVerificationError.altered) {
            try CardVerifier(trusting: [keys(key)]).verify(CardDocument(object))
        }
    }

    @Test func aCardWithEmptyOrUnknownMembersHasASignatureOverEachForm() throws {
        let signed = try signed(document(["description": "", "later": ["a": 1]]))
        #expect(signed.card.signatures.count == 2)
        let verifier = try CardVerifier(trusting: [keys(key)])
        #expect(try verifier.verify(signed).form == .standard)
        // The one for other verifiers alone: it covers the rest of the card by its digest.
        let pruned = signed.with(signatures: [signed.card.signatures[0]])
        #expect(try verifier.verify(pruned).form == .pruned)
        #expect(try verifier.verify(pruned).covered.object["later"] == ["a": 1])
        #expect(try verifier.verify(pruned).covered.object["description"] == "")
        var object = pruned.object
        object["later"] = ["a": 2]
        #expect(throws: CardVerificationError.altered) { try verifier.verify(CardDocument(object)) }
        object["later"] = ["a": 1]
        object["securityRequirements"] = [["schemes": [:]]]
        #expect(throws: CardVerificationError.altered) { try verifier.verify(CardDocument(object)) }
    }

    @Test func cardsThatTheSDKForPythonSignedVerify() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Vectors/a2a-cards.json")
        let vectors = try #require(JSONValue(parsing: [UInt8](Data(contentsOf: file))).objectValue)
        let keys = try CardKeys(jwks: JSONObject([("keys", vectors["keys"] ?? [])]).serializedBytes, of: nil)
        let cards = try #require(vectors["cards"]?.arrayValue)
        #expect(cards.count == 18)
        for card in cards {
            let card = try #require(card.objectValue)
            for member in ["authored", "served"] {
                let document = try CardDocument(#require(card[member]?.objectValue))
                let verified = try? CardVerifier(trusting: [keys]).verify(document)
                #expect(verified != nil, "\(card["name"]?.stringValue ?? "") as \(member)")
                // What is verified has nothing that the signature does not cover.
                if verified?.form == .pruned {
                    #expect(verified?.covered.object["agentId"] == nil)
                    #expect(verified?.card.securityRequirements == [])
                }
                var object = document.object
                object["version"] = "6.6.6"
                #expect(throws: CardVerificationError.invalidSignature) {
                    try CardVerifier(trusting: [keys]).verify(CardDocument(object))
                }
            }
        }
    }

    @Test func whatIsAddedToACardThatOnlyItsPrunedFormIsSignedOfIsNotBelieved() throws {
        // As the SDKs sign: over the pruned form, without a digest.
        let document = try document(["description": ""])
        let parts = try CompactJWS.sign(
            header: [("typ", "JOSE")], payload: document.covered(by: .pruned).payload, key: key
        ).split(separator: ".")
        let signature = AgentCardSignature(protected: String(parts[0]), signature: String(parts[2]))
        var object = document.with(signatures: [signature]).object
        object["securityRequirements"] = [["schemes": [:]]]
        object["agentId"] = "spiffe://example.org/king"
        let verified = try CardVerifier(trusting: [keys(key)]).verify(CardDocument(object))
        #expect(verified.form == .pruned)
        #expect(verified.card.securityRequirements == [])
        #expect(verified.covered.object["agentId"] == nil)
    }

    @Test func aSignatureMovedToAnotherCardDoesNotHold() throws {
        let signature = try signed(document()).card.signatures[0]
        let other = try document(["name": "Other"]).with(signatures: [signature])
        #expect(throws: CardVerificationError.invalidSignature) {
            try CardVerifier(trusting: [keys(key)]).verify(other)
        }
        #expect(throws: CardVerificationError.unsigned) {
            try CardVerifier(trusting: [keys(key)]).verify(other.with(signatures: []))
        }
    }

    @Test func aKeyThatNobodyTrustsSignsNothing() throws {
        let signed = try signed(document())
        let stranger = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "other")
        #expect(throws: CardVerificationError.unknownKey) {
            try CardVerifier(trusting: [keys(stranger)]).verify(signed)
        }
        #expect(throws: CardVerificationError.unknownKey) { try CardVerifier(trusting: []).verify(signed) }
        // The ID is only a hint: a key of the same name is no better.
        let namesake = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "card-1")
        #expect(throws: CardVerificationError.invalidSignature) {
            try CardVerifier(trusting: [keys(namesake)]).verify(signed)
        }
        #expect(throws: Never.self) { try CardVerifier(trusting: [keys(namesake, key)]).verify(signed) }
    }

    @Test func keysVouchForTheirOwnTrustDomainOnly() throws {
        let signed = try signed(document())
        let expected = try CardVerificationError.foreignIdentity(SPIFFEID("spiffe://example.org/agent"))
        for other in ["other.example", nil] {
            #expect(throws: expected) {
                try CardVerifier(trusting: [keys(key, of: other)]).verify(signed)
            }
        }
        // A stranger's signature beside the right one changes nothing.
        let stranger = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "other")
        let foreign = try SignableCard(signed).signed(by: stranger, keySetURL: nil).card.signatures
        let both = signed.with(signatures: foreign + signed.card.signatures)
        let verified = try CardVerifier(trusting: [keys(stranger, of: "other.example"), keys(key)]).verify(both)
        #expect(verified.keyID == "card-1")
    }

    @Test func aCardOfNobodyInParticularVerifiesUnbound() throws {
        var object = try document().object
        object["capabilities"] = [:]
        let parts = try CompactJWS.sign(
            header: [("typ", "jose")], payload: CardDocument(object).covered(by: .standard).payload, key: key
        ).split(separator: ".")
        let document = try CardDocument(object).with(signatures: [
            AgentCardSignature(protected: String(parts[0]), signature: String(parts[2]))
        ])
        let verified = try CardVerifier(trusting: [keys(key, of: nil)]).verify(document)
        #expect(verified.identity == nil)
        #expect(verified.binding(to: try SPIFFEID("spiffe://example.org/agent")) == .unbound)
    }

    @Test func aSignatureThatAsksForMoreThanAJWSIsRefused() throws {
        let document = try document()
        let payload = try document.covered(by: .standard).payload
        let verifier = try CardVerifier(trusting: [keys(key)])
        func verify(_ header: String, _ verifier: CardVerifier) throws -> VerifiedCard {
            let protected = Base64URL.encode(Array(header.utf8))
            let signature = try key.sign(Array("\(protected).\(Base64URL.encode(payload))".utf8))
            return try verifier.verify(
                document.with(signatures: [
                    AgentCardSignature(protected: protected, signature: Base64URL.encode(signature))
                ]))
        }
        #expect(throws: Never.self) { try verify(#"{"alg":"ES256"}"#, verifier) }
        #expect(throws: Never.self) { try verify(#"{"alg":"ES256","jku":null,"later":1}"#, verifier) }
        #expect(throws: CardVerificationError.otherType) {
            try verify(#"{"alg":"ES256","typ":"at+jwt"}"#, verifier)
        }
        for header in [
            #"{"alg":"none"}"#, #"{"alg":"HS256"}"#, #"{"alg":"ES256","crit":["x"],"x":1}"#,
            #"{"alg":"ES256","b64":false}"#, #"{"kid":"card-1"}"#, "[]", "",
        ] {
            let error = #expect(throws: CardVerificationError.self) { try verify(header, verifier) }
            guard case .malformedSignature? = error else {
                Issue.record("\(header): \(String(describing: error))")
                continue
            }
        }
        #expect(throws: CardVerificationError.unknownKey) { try verify(#"{"alg":"RS256"}"#, verifier) }
        let narrow = try CardVerifier(trusting: [keys(key)], algorithms: [.eddsa])
        #expect(throws: CardVerificationError.refusedAlgorithm) { try verify(#"{"alg":"ES256"}"#, narrow) }
    }

    @Test func moreSignaturesThanAnybodyNeedsAreNotTried() throws {
        let signed = try signed(document())
        let many = Array(repeating: signed.card.signatures[0], count: CardVerifier.maximumSignatures + 1)
        #expect(throws: CardVerificationError.tooManySignatures) {
            try CardVerifier(trusting: [keys(key)]).verify(signed.with(signatures: many))
        }
        #expect(throws: Never.self) {
            try CardVerifier(trusting: [keys(key)]).verify(signed.with(signatures: Array(many.dropLast())))
        }
    }

    @Test func onlyAWholeCardWithAnIdentityIsSigned() throws {
        var object = try document().object
        object["capabilities"] = [:]
        #expect(throws: CardSigningError.unbound) { try SignableCard(CardDocument(object)) }
        object["version"] = nil
        #expect(throws: CardSigningError.incomplete(FieldViolation("version", "is required"))) {
            try SignableCard(CardDocument(object))
        }
        object = try document().object
        object["capabilities"] = ["extensions": [["uri": .string(CardIdentity.extensionURI)]]]
        #expect(throws: CardSigningError.badIdentity(.missing("spiffeId"))) {
            try SignableCard(CardDocument(object))
        }
    }

    @Test func aKeySetIsReadWithinItsLimits() throws {
        let jwk = key.verificationKey.jwk.json()
        let one = JSONObject([("keys", .array([.object(jwk), ["kty": "oct", "k": "AAAA"]]))])
        #expect(try CardKeys(jwks: one.serializedBytes, of: nil).keys.count == 1)
        let many = JSONObject([("keys", .array(Array(repeating: .object(jwk), count: CardKeys.maximumCount + 1)))])
        #expect(throws: CardKeysError.tooMany) { try CardKeys(jwks: many.serializedBytes, of: nil) }
        for text in ["", "[]", #"{"card-1":"-----BEGIN PUBLIC KEY-----"}"#] {
            #expect(throws: CardKeysError.self) { try CardKeys(jwks: Array(text.utf8), of: nil) }
        }
    }
}
