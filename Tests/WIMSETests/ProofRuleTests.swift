import Crypto
import JOSE
import Testing
import WIMSE

/// What is made here, and every rule that the vectors leave out.
@Suite struct `Proof tokens` {
    private let key = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "not written")
    private let now: Int64 = 1_700_000_000
    private let policy = WorkloadProofPolicy(
        audiences: WorkloadAudiences(["https://service.example"]), contextTokens: ["Ctx-Token"])

    private func fields(_ more: [(String, String)] = []) -> MessageFields {
        MessageFields([(name: "Workload-Identity-Token", value: "wit")] + more.map { (name: $0.0, value: $0.1) })
    }

    private func terms(contextTokens: [String] = []) -> WorkloadProofToken.Terms {
        .init(
            audience: "https://service.example/path", expiresAt: now + 60, tokenID: "t1", contextTokens: contextTokens)
    }

    private func refusal(_ fields: MessageFields, at time: Int64? = nil) -> WorkloadProofError? {
        do throws(WorkloadProofError) {
            _ = try WorkloadProofToken.verify(
                WorkloadRequest(method: "GET", target: "/path", fields: fields), key: key.verificationKey,
                policy: policy, now: time ?? now)
            return nil
        } catch {
            return error
        }
    }

    private func with(_ proof: String, _ fields: MessageFields) -> MessageFields {
        var fields = fields
        fields.append("Authorization", "WPT \(proof)")
        return fields
    }

    /// A proof with any header and claims.
    private func raw(_ change: (inout JSONObject) -> Void, header: [(String, JSONValue)]? = nil) throws -> String {
        let own = try CompactJWS(parsing: try WorkloadProofToken.sign(fields(), terms(), key: key))
        var claims = try #require(try JSONValue(parsing: own.payload).objectValue)
        change(&claims)
        return try CompactJWS.sign(
            header: header ?? [("typ", "wpt+jwt")], payload: claims.serializedBytes, key: key, writesKeyID: false)
    }

    @Test func `what is made verifies, and names the other tokens by their digests`() throws {
        let tokens = fields([("Txn-Token", "tt"), ("Ctx-Token", " ct ")])
        let proof = try WorkloadProofToken.sign(tokens, terms(contextTokens: ["Ctx-Token"]), key: key)
        #expect(refusal(with(proof, tokens)) == nil)
        let jws = try CompactJWS(parsing: proof)
        #expect(jws.header.keyID == nil)
        let claims = try #require(try JSONValue(parsing: jws.payload).objectValue)
        #expect(Set(claims.members.map(\.name)) == ["aud", "exp", "jti", "wth", "tth", "oth"])
        #expect(
            claims["oth"]?.objectValue?["ctx-token"]?.stringValue
                == Base64URL.encode(Array(SHA256.hash(data: Array("ct".utf8)))))
    }

    @Test func `a token that the proof does not name is refused, one that is not there too`() throws {
        let bare = try WorkloadProofToken.sign(fields(), terms(), key: key)
        #expect(refusal(with(bare, fields())) == nil)
        #expect(refusal(with(bare, fields([("Txn-Token", "tt")]))) == .missingClaim("tth"))
        #expect(refusal(with(bare, fields([("Ctx-Token", "ct")]))) == .unnamedContextToken("Ctx-Token"))
        #expect(refusal(with(bare, fields([("X-Other", "1")]))) == nil)
        let tokens = fields([("Txn-Token", "tt"), ("Ctx-Token", "ct")])
        let full = try WorkloadProofToken.sign(tokens, terms(contextTokens: ["Ctx-Token"]), key: key)
        #expect(refusal(with(full, fields([("Ctx-Token", "ct")]))) == .wrongTransactionToken)
        #expect(refusal(with(full, fields([("Txn-Token", "tt")]))) == .wrongContextToken("ctx-token"))
        #expect(
            refusal(with(full, fields([("Txn-Token", "tt"), ("Ctx-Token", "ct"), ("Ctx-Token", "ct")])))
                == .repeatedField("ctx-token"))
        #expect(
            refusal(with(full, fields([("Txn-Token", "tt"), ("Txn-Token", "tt"), ("Ctx-Token", "ct")])))
                == .repeatedField("Txn-Token"))
        #expect(throws: WorkloadProofError.missingContextToken("Ctx-Token")) {
            try WorkloadProofToken.sign(fields(), terms(contextTokens: ["Ctx-Token"]), key: key)
        }
    }

    @Test func `claims are what they have to be`() throws {
        func refusal(_ name: String, _ value: JSONValue?) throws -> WorkloadProofError? {
            self.refusal(with(try raw { $0[name] = value }, fields()))
        }
        #expect(try refusal("x", "ignored") == nil)
        #expect(try refusal("aud", nil) == .missingClaim("aud"))
        #expect(try refusal("aud", ["https://service.example/path"]) == nil)
        #expect(try refusal("aud", ["https://service.example/path", "https://other.example"]) == .wrongAudience)
        #expect(try refusal("exp", nil) == .missingClaim("exp"))
        #expect(try refusal("exp", .number(JSONNumber(now + 330))) == nil)
        #expect(try refusal("exp", .number(JSONNumber(now + 331))) == .lastsTooLong)
        #expect(try refusal("exp", .number(JSONNumber(now))) == .expired(at: now))
        #expect(try refusal("nbf", .number(JSONNumber(now + 31))) == .claims(.notYetValid(until: now + 31)))
        #expect(try refusal("iat", .number(JSONNumber(now + 31))) == .claims(.issuedInFuture(at: now + 31)))
        #expect(try refusal("jti", "") == .badClaim("jti"))
        #expect(try refusal("jti", .string(String(repeating: "j", count: 257))) == .badClaim("jti"))
        #expect(try refusal("wth", .number(JSONNumber(1))) == .badClaim("wth"))
        #expect(try refusal("tth", "x") == .wrongTransactionToken)
        #expect(try refusal("oth", "x") == .badClaim("oth"))
        #expect(try refusal("oth", ["Ctx-Token": "x"]) == .unknownContextToken("Ctx-Token"))
        #expect(try refusal("oth", ["ctx-token": "x"]) == .wrongContextToken("ctx-token"))
        let many = JSONObject((0..<17).map { ("h\($0)", .string("x")) })
        #expect(try refusal("oth", .object(many)) == .badClaim("oth"))
    }

    @Test func `a proof neither brings a key nor comes as something else`() throws {
        func refusal(_ header: [(String, JSONValue)]) throws -> WorkloadProofError? {
            self.refusal(with(try raw({ _ in }, header: header), fields()))
        }
        #expect(try refusal([("typ", "application/wpt+jwt")]) == nil)
        #expect(try refusal([("typ", "dpop+jwt")]) == .badType)
        #expect(try refusal([]) == .badType)
        for name in ["jwk", "jku", "x5u", "x5c"] {
            #expect(try refusal([("typ", "wpt+jwt"), (name, "x")]) == .headerMember(name))
        }
        let proof = try WorkloadProofToken.sign(fields(), terms(), key: key)
        for (value, error) in [
            ("WPT", .otherScheme), ("WPT x", .token(.wrongPartCount)), ("Bearer \(proof)", .otherScheme),
            ("WPT \(proof) x", .token(.invalidEncoding(.signature, .invalidCharacter(offset: 86)))),
        ] as [(String, WorkloadProofError)] {
            #expect(self.refusal(fields([("Authorization", value)])) == error, "\(value)")
        }
        #expect(self.refusal(fields()) == .noProof)
        let long = "WPT " + String(repeating: "a", count: WorkloadProofToken.maximumLength + 1)
        #expect(
            self.refusal(fields([("Authorization", long)]))
                == .token(.tooLarge(limit: WorkloadProofToken.maximumLength)))
        #expect(try WorkloadProofToken.isPresent(in: fields([("Authorization", "wpt x")])))
        #expect(try !WorkloadProofToken.isPresent(in: fields([("Authorization", "Bearer x")])))
        #expect(throws: WorkloadProofError.repeatedField("Authorization")) {
            try WorkloadProofToken.isPresent(in: fields([("Authorization", "Bearer x"), ("authorization", "wpt x")]))
        }
    }

    @Test func `no proof is made beside another authorization, or of nothing`() {
        #expect(throws: WorkloadProofError.repeatedField("Authorization")) {
            try WorkloadProofToken.sign(fields([("Authorization", "Bearer x")]), terms(), key: key)
        }
        #expect(throws: WorkloadProofError.missingIdentityToken) {
            try WorkloadProofToken.sign(MessageFields(), terms(), key: key)
        }
        #expect(throws: WorkloadProofError.badClaim("aud")) {
            try WorkloadProofToken.sign(
                fields(), .init(audience: "", expiresAt: now + 60, tokenID: "t"), key: key)
        }
        #expect(throws: WorkloadProofError.badClaim("jti")) {
            try WorkloadProofToken.sign(fields(), .init(audience: "a", expiresAt: now + 60, tokenID: ""), key: key)
        }
    }
}
