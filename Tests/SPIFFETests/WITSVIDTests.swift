import Crypto
import Foundation
import JOSE
import SPIFFE
import Testing

@Suite struct `WIT-SVIDs` {
    let key: JWSSigningKey
    let authority: WITAuthority
    let holder = P256.Signing.PrivateKey()
    let id: SPIFFEID

    init() throws {
        key = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "w1")
        authority = try WITAuthority(keyID: "w1", derSPKI: key.verificationKey.derSPKI)
        id = try SPIFFEID("spiffe://example.org/agent")
    }

    private func token(issuedAt: UnixTime = now, expiresAt: UnixTime = now + 3600) throws -> String {
        try WITSVID.sign(
            id: id, confirmationKey: JWSVerificationKey(p256: holder.publicKey, keyID: nil), issuedAt: issuedAt,
            expiresAt: expiresAt, key: key)
    }

    private func error(
        _ token: String, at time: UnixTime = now, bundles: ((TrustDomain) -> [WITAuthority]?)? = nil
    ) -> WITSVIDError? {
        do throws(WITSVIDError) {
            _ = try WITSVID.verify(
                token: token, bundles: bundles ?? { $0 == id.trustDomain ? [authority] : nil }, now: time)
            return nil
        } catch {
            return error
        }
    }

    /// A token with any header and claims, signed with the authority's key.
    private func raw(_ header: JSONObject, _ claims: JSONObject) throws -> String {
        let input = Base64URL.encode(header.serializedBytes) + "." + Base64URL.encode(claims.serializedBytes)
        return input + "." + Base64URL.encode(try key.sign(Array(input.utf8)))
    }

    private let header: JSONObject = ["alg": "ES256", "kid": "w1", "typ": "wit+jwt"]
    private var claims: JSONObject {
        [
            "sub": .string(id.string), "exp": .number(JSONNumber(now.seconds + 300)),
            "cnf": ["jwk": .object(JWSVerificationKey(p256: holder.publicKey, keyID: nil).jwk.json())],
        ]
    }

    private func with(_ object: JSONObject, _ name: String, _ value: JSONValue?) -> JSONObject {
        var object = object
        object[name] = value
        return object
    }

    @Test func `a signed token verifies and names the holder's key`() throws {
        let verified = try WITSVID.verify(
            token: try token(), bundles: { $0 == id.trustDomain ? [authority] : nil }, now: now)
        #expect(verified.id == id)
        #expect(verified.keyID == "w1")
        #expect(verified.confirmationKey.derSPKI == [UInt8](holder.publicKey.derRepresentation))
        #expect(verified.claims["aud"] == nil)
    }

    @Test func `further claims are in the token, and none of those that the issuer sets itself`() throws {
        func token(_ extra: JSONObject) throws(WITSVIDError) -> String {
            try WITSVID.sign(
                id: id, confirmationKey: JWSVerificationKey(p256: holder.publicKey, keyID: nil), issuedAt: now,
                expiresAt: now + 60, key: key, extraClaims: extra)
        }
        let verified = try WITSVID.verify(
            token: try token(["team": "red"]), bundles: { _ in [authority] }, now: now)
        #expect(verified.claims["team"] == "red")
        for name in ["sub", "aud", "exp", "iat", "nbf", "iss", "jti", "cnf"] {
            #expect(throws: WITSVIDError.token(.reservedClaim(name))) { try token([name: "x"]) }
        }
    }

    @Test func `the private key's JWK belongs to the token's key`() throws {
        let jwk = WITSVID.privateJWK(holder)
        #expect(WITSVID.privateKey(jwk: jwk)?.rawRepresentation == holder.rawRepresentation)
        let other = WITSVID.privateJWK(P256.Signing.PrivateKey())
        #expect(WITSVID.privateKey(jwk: other)?.rawRepresentation != holder.rawRepresentation)
        #expect(WITSVID.privateKey(jwk: "{}") == nil)
    }

    @Test func `every broken rule is refused by its name`() throws {
        #expect(error(try raw(header, claims)) == nil)
        #expect(error(try raw(with(header, "kid", nil), claims)) == .missingKeyID)
        #expect(error(try raw(with(header, "typ", "JWT"), claims)) == .token(.badType))
        #expect(error(try raw(with(header, "typ", nil), claims)) == .token(.badType))
        #expect(error(try raw(with(header, "jku", "https://x"), claims)) == .headerMember("jku"))
        #expect(error(try raw(header, with(claims, "aud", "api"))) == .hasAudience)
        #expect(error(try raw(header, with(claims, "aud", []))) == .hasAudience)
        #expect(error(try raw(header, with(claims, "sub", nil))) == .token(.missingSubject))
        #expect(error(try raw(header, with(claims, "sub", "spiffe://example.org"))) == .badSubject(nil))
        #expect(error(try raw(header, with(claims, "exp", nil))) == .token(.missingExpiration))
        #expect(error(try raw(header, with(claims, "cnf", nil))) == .token(.missingConfirmation))
        let ed25519 = JWSVerificationKey(ed25519: Curve25519.Signing.PrivateKey().publicKey, keyID: nil).jwk.json()
        #expect(
            error(try raw(header, with(claims, "cnf", ["jwk": .object(ed25519)]))) == .algorithmNotAllowed(.eddsa))
        #expect(error(try token(), at: now + 3600) == .token(.expired(at: now.seconds + 3600)))
        #expect(error(try token(), bundles: { _ in nil }) == .unknownTrustDomain(id.trustDomain))
        #expect(error(try token(), bundles: { _ in [] }) == .unknownKey("w1"))
        let impostor = try WITAuthority(
            keyID: "w1", derSPKI: [UInt8](P256.Signing.PrivateKey().publicKey.derRepresentation))
        #expect(error(try token(), bundles: { _ in [impostor] }) == .token(.token(.invalidSignature)))
    }

    @Test func `a WIT-SVID is no JWT-SVID and a JWT-SVID is no WIT-SVID, even under one key`() throws {
        let jwtAuthority = try JWTAuthority(keyID: "w1", publicKey: key.verificationKey)
        #expect(throws: JWTSVIDError.badType) {
            try JWTSVID.verify(token: try token(), audience: "api", bundles: { _ in [jwtAuthority] }, now: now)
        }
        let bearer = try JWTSVID.sign(id: id, audience: ["api"], issuedAt: now, expiresAt: now + 300, key: key)
        #expect(error(bearer) == .token(.badType))
    }

    @Test func `WIT keys are in the bundle document and in no JWT set`() throws {
        let jwt = try JWTAuthority(
            keyID: "j1", publicKey: JWSVerificationKey(p256: P256.Signing.PrivateKey().publicKey, keyID: "j1"))
        let bundle = TrustBundle(
            trustDomain: id.trustDomain, jwtAuthorities: [jwt], witAuthorities: [authority], sequenceNumber: 1)
        let again = try TrustBundle(parsingSPIFFEJSON: bundle.spiffeJSON(), trustDomain: id.trustDomain)
        #expect(again == bundle)
        #expect(try JWTAuthority.parse(jwks: bundle.jwtJWKS()).map(\.keyID) == ["j1"])
        #expect(try WITAuthority.parse(jwks: bundle.witJWKS()).map(\.keyID) == ["w1"])
        let twice = try JWTAuthority(keyID: "w1", publicKey: jwt.publicKey)
        let clash = TrustBundle(
            trustDomain: id.trustDomain, jwtAuthorities: [twice], witAuthorities: [authority])
        #expect(throws: BundleError.duplicateKeyID("w1")) {
            try TrustBundle(parsingSPIFFEJSON: clash.spiffeJSON(), trustDomain: id.trustDomain)
        }
    }

    @Test func `every negative of the vectors is refused`() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let data = try Data(contentsOf: folder.appendingPathComponent("Vectors/wimse-es256.json"))
        let file = try #require(try JSONValue(parsing: Array(data)).objectValue)
        let time = UnixTime(seconds: try #require(file["now"]?.int64Value))
        let set = try #require(file["trust"]?.objectValue?["example.org"]?.objectValue).serializedBytes
        let keys = try WITAuthority.parse(jwks: set)
        let wit = try #require(file["wit"]?.objectValue)
        for negative in try #require(wit["negative"]?.arrayValue).compactMap(\.objectValue) {
            // What makes this one wrong is that no proof came with it.
            guard let expected = negative["expect"]?.stringValue, expected != "bearer_use" else { continue }
            let now = negative["now"]?.int64Value.map { UnixTime(seconds: $0) } ?? time
            let refusal = error(
                try #require(negative["wit"]?.stringValue), at: now,
                bundles: { $0.name == "example.org" ? keys : nil })
            #expect(refusal != nil, "\(expected)")
        }
    }
}
