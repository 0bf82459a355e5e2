import JOSE
import Testing

/// The plain JOSE parts of the vector files; their profiles' own rules are tested with those profiles.
@Suite struct VectorFileTests {
    @Test func `a second implementation's tokens verify, one for every algorithm`() throws {
        let file = try vectors("jose-second-implementation.json")
        let cases = try file.array("accept")
        var seen: Set<JWSAlgorithm> = []
        for value in cases {
            let entry = try #require(value.objectValue)
            let jwk = try JWK(json: entry.object("jwk"))
            #expect(jwk.thumbprintBase64URL == (try entry.text("thumbprint")))
            let verificationKey = try JWSVerificationKey(jwk: jwk)
            #expect(verificationKey.derSPKI == hex(try entry.text("spki_hex")))
            let jws = try CompactJWS(parsing: try entry.text("token"))
            try jws.verify(with: verificationKey)
            #expect(jws.header.keyID == jwk.kid)
            seen.insert(verificationKey.algorithm)
        }
        #expect(seen == Set(JWSAlgorithm.allCases))
    }

    @Test func `a second implementation's wrong tokens do not verify`() throws {
        let file = try vectors("jose-second-implementation.json")
        for value in try file.array("reject") {
            let entry = try #require(value.objectValue)
            let jwk = try JWK(json: entry.object("jwk"))
            let algorithm = try #require(JWSAlgorithm(rawValue: try entry.text("alg")))
            let jws = try CompactJWS(parsing: try entry.text("token"))
            let why = try entry.text("why")
            #expect(throws: JWSError.invalidSignature, "\(why)") {
                try jws.verify(with: JWSVerificationKey(jwk: jwk, defaultAlgorithm: algorithm))
            }
        }
        let small = try file.object("rsa_1024")
        #expect(throws: JWKError.refusedRSASize(bits: 1024)) { try JWK(json: small) }
    }

    @Test(arguments: ["wimse-es256.json", "wimse-eddsa.json"])
    func `WIMSE tokens verify with the trusted keys and the confirmed key`(name: String) throws {
        let file = try vectors(name)
        let trusted = try JWKSet(json: try file.object("trust", "example.org"))
        let token = try CompactJWS(parsing: try file.text("wit", "token"))
        let issuer = try #require(trusted.key(withID: token.header.keyID ?? ""))
        try token.verify(with: JWSVerificationKey(jwk: issuer))
        let claims = try JWTClaims(parsing: token.payload)
        #expect(JSONValue.object(claims.json) == (try file.at("wit", "claims")))
        #expect(JSONValue.object(token.header.json) == (try file.at("wit", "header")))
        try claims.checkTime(now: try #require(file["now"]?.int64Value), leeway: 0)

        let confirmed = try JWK(json: claims.json.object("cnf", "jwk"))
        let holder = try JWK(json: file.object("keys", "client_pop"))
        #expect(confirmed.thumbprint == holder.thumbprint)
        for member in ["token", "minimal_token"] {
            let proof = try CompactJWS(parsing: try file.text("wpt", member))
            try proof.verify(with: JWSVerificationKey(jwk: confirmed))
            #expect(throws: JWSError.invalidSignature) { try proof.verify(with: JWSVerificationKey(jwk: issuer)) }
        }
    }

    @Test(arguments: ["wimse-es256.json", "wimse-eddsa.json"])
    func `WIMSE tokens with plain JOSE faults are refused for that fault`(name: String) throws {
        let file = try vectors(name)
        let issuer = try JWSVerificationKey(
            jwk: JWK(json: file.object("keys", "issuer")))
        var seen: Set<String> = []
        for value in try file.array("wit", "negative") {
            let entry = try #require(value.objectValue)
            let fault = try entry.text("expect")
            let token = try entry.text("wit")
            switch fault {
            case "alg_none": #expect(throws: JWSError.unsecured) { try CompactJWS(parsing: token) }
            case "bad_signature":
                #expect(throws: JWSError.invalidSignature) { try CompactJWS(parsing: token).verify(with: issuer) }
            case "expired":
                let jws = try CompactJWS(parsing: token)
                try jws.verify(with: issuer)
                let now = try #require(entry["now"]?.int64Value)
                let claims = try JWTClaims(parsing: jws.payload)
                #expect(throws: JWTError.expired(at: 1_700_003_600)) { try claims.checkTime(now: now, leeway: 0) }
            case "cnf_private_key":
                let claims = try JWTClaims(parsing: try CompactJWS(parsing: token).payload)
                #expect(JWK.hasPrivateMembers(try claims.json.object("cnf", "jwk")))
            case "cnf_alg_forbidden":
                let claims = try JWTClaims(parsing: try CompactJWS(parsing: token).payload)
                let confirmed = try claims.json.object("cnf", "jwk")
                #expect(throws: JWKError.self) { try JWK(json: confirmed) }
            default: continue
            }
            seen.insert(fault)
        }
        #expect(seen == ["alg_none", "bad_signature", "expired", "cnf_private_key", "cnf_alg_forbidden"])
    }

    @Test func `OAuth tokens, the SPIFFE bundle and the DPoP thumbprint agree`() throws {
        let file = try vectors("oauth-agent.json")
        let bundle = try JWKSet(json: try file.object("spiffe_bundle"))
        #expect(bundle.skippedCount == 0)
        let assertion = try CompactJWS(
            parsing: try file.text("client_auth_jwt_spiffe", "form", "client_assertion"))
        let signer = try #require(bundle.key(withID: assertion.header.keyID ?? ""))
        try assertion.verify(with: JWSVerificationKey(jwk: signer))
        let claims = try JWTClaims(parsing: assertion.payload)
        #expect(JSONValue.object(claims.json) == (try file.at("client_auth_jwt_spiffe", "claims")))
        try claims.checkAudience(try file.text("issuer"))

        let issued = try JWKSet(json: try file.object("access_tokens", "jwks"))
        let issuer = try JWSVerificationKey(jwk: try #require(issued.key(withID: "as-1")))
        for kind in ["delegated", "two_hops", "self_acting"] {
            try CompactJWS(parsing: try file.text("access_tokens", kind, "token")).verify(with: issuer)
        }
        let proof = try CompactJWS(parsing: try file.text("dpop", "request", "DPoP"))
        let proofKey = try JWK(json: proof.header.json.object("jwk"))
        try proof.verify(with: JWSVerificationKey(jwk: proofKey))
        #expect(proofKey.thumbprintBase64URL == (try file.text("dpop", "jkt")))
    }

    @Test func `the published WIMSE example and the web-bot-auth key ID agree`() throws {
        let file = try vectors("wimse-draft-examples.json")
        let issuer = try JWK(json: file.object("wit_creds02", "issuer_key"))
        let token = try CompactJWS(parsing: try file.text("wit_creds02", "token"))
        try token.verify(with: JWSVerificationKey(jwk: issuer))
        #expect(JSONValue.object(token.header.json) == (try file.at("wit_creds02", "header")))
        #expect(try JSONValue(parsing: token.payload) == file.at("wit_creds02", "claims"))

        let bot = try vectors("web-bot-auth.json")
        let botKey = try JWK(json: bot.object("public_key"))
        #expect(try bot.text("headers", "Signature-Input").contains("keyid=\"\(botKey.thumbprintBase64URL)\""))
        let signature = try Base64.decode(
            try bot.text("headers", "Signature").dropFirst("sig2=:".count).dropLast().utf8)
        let verificationKey = try JWSVerificationKey(jwk: botKey)
        #expect(verificationKey.isValid(signature: signature, over: Array(try bot.text("signature_base").utf8)))
    }
}
