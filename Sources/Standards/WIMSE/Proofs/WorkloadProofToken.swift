import Crypto
package import JOSE

/// Workload proof tokens (draft-ietf-wimse-wpt-02): a signed statement, for one receiver and a short time, by whoever holds the key of
/// a workload identity token. It says nothing about method, target and body of the request that brings it.
package enum WorkloadProofToken {
    /// The media type in the header, `typ`.
    package static let type = "wpt+jwt"
    /// The scheme of `Authorization`.
    package static let scheme = "WPT"
    /// Longest proof that is read, in bytes.
    package static let maximumLength = 8 * 1024
    /// Longest `jti`, in bytes.
    package static let maximumTokenIDBytes = 256
    /// The most tokens that `oth` may name.
    package static let maximumContextTokens = 16

    /// What a proof says.
    package struct Terms: Sendable {
        /// Whom the request is for: its target without query, or a name agreed upon.
        package var audience: String
        /// Seconds since 1970.
        package var expiresAt: Int64
        /// Random, at least 128 bits of it, and never used again.
        package var tokenID: String
        /// The names of the header fields whose values are tokens for the receiver.
        package var contextTokens: [String]

        package init(audience: String, expiresAt: Int64, tokenID: String, contextTokens: [String] = []) {
            self.audience = audience
            self.expiresAt = expiresAt
            self.tokenID = tokenID
            self.contextTokens = contextTokens
        }
    }

    /// Makes a proof for a request, which has its tokens already and no `Authorization`.
    package static func sign(
        _ fields: MessageFields, _ terms: Terms, key: JWSSigningKey
    ) throws(WorkloadProofError) -> String {
        guard !fields.has(WorkloadField.authorization) else { throw .repeatedField(WorkloadField.authorization) }
        guard (1...WorkloadAudiences.maximumLength).contains(terms.audience.utf8.count) else { throw .badClaim("aud") }
        guard (1...maximumTokenIDBytes).contains(terms.tokenID.utf8.count) else { throw .badClaim("jti") }
        guard JWTClaims.allowedDates.contains(terms.expiresAt) else { throw .badClaim("exp") }
        guard let identityToken = try only(WorkloadField.identityToken, of: fields) else { throw .missingIdentityToken }
        var claims: JSONObject = [
            "aud": .string(terms.audience), "exp": .number(JSONNumber(terms.expiresAt)),
            "jti": .string(terms.tokenID), "wth": .string(hash(identityToken)),
        ]
        if let token = try only(WorkloadField.transactionToken, of: fields) { claims["tth"] = .string(hash(token)) }
        var others = JSONObject()
        for name in terms.contextTokens {
            guard let token = try only(name, of: fields) else { throw .missingContextToken(name) }
            others[MessageFields.key(name)] = .string(hash(token))
        }
        if !others.members.isEmpty { claims["oth"] = .object(others) }
        do {
            return try CompactJWS.sign(
                header: [("typ", .string(type))], payload: claims.serializedBytes, key: key, writesKeyID: false)
        } catch {
            throw .token(error)
        }
    }

    /// Whether a request shows a proof: `Authorization` with the scheme `WPT`. A second such field is one too many.
    package static func isPresent(in fields: MessageFields) throws(WorkloadProofError) -> Bool {
        let values = fields.values(WorkloadField.authorization)
        guard values.contains(where: { token($0) != nil }) else { return false }
        guard values.count == 1 else { throw .repeatedField(WorkloadField.authorization) }
        return true
    }

    /// Checks the proof of a request with the key of its workload identity token, which has been verified. Whether `jti` was there
    /// before is asked last, elsewhere.
    package static func verify(
        _ request: WorkloadRequest, key: JWSVerificationKey, policy: WorkloadProofPolicy, now: Int64
    ) throws(WorkloadProofError) -> VerifiedProofToken {
        let jws = try presented(request.fields)
        do {
            try jws.verify(with: key)
        } catch {
            throw .token(error)
        }
        guard let type = jws.header.type, ByteClass.namesType(type, Self.type) else { throw .badType }
        let claims: JWTClaims
        do {
            claims = try JWTClaims(
                parsing: jws.payload, limits: JSONLimits(maximumBytes: maximumLength, maximumDepth: 8))
        } catch {
            throw .claims(error)
        }
        let expiresAt = try checkTime(claims, policy, now: now)
        guard let audience = claims.audience.first else { throw .missingClaim("aud") }
        // A proof for several could be used by each of them at the others.
        guard claims.audience.count == 1, policy.audiences.accepts(audience, path: request.path) else {
            throw .wrongAudience
        }
        guard let tokenID = claims.jwtID else { throw .missingClaim("jti") }
        guard (1...maximumTokenIDBytes).contains(tokenID.utf8.count) else { throw .badClaim("jti") }
        try checkTokens(claims.json, request.fields, policy)
        return VerifiedProofToken(audience: audience, tokenID: tokenID, expiresAt: expiresAt)
    }

    private static func presented(_ fields: MessageFields) throws(WorkloadProofError) -> CompactJWS {
        guard let value = try only(WorkloadField.authorization, of: fields) else { throw .noProof }
        guard let proof = token(value) else { throw .otherScheme }
        let jws: CompactJWS
        do {
            jws = try CompactJWS(
                parsing: proof, limits: JWSLimits(maximumBytes: maximumLength, maximumHeaderDepth: 4))
        } catch {
            throw .token(error)
        }
        // The key is the one of the identity token; a proof has no say in it.
        for name in ["jwk", "jku", "x5u", "x5c"] where jws.header.json[name] != nil { throw .headerMember(name) }
        return jws
    }

    private static func checkTime(
        _ claims: JWTClaims, _ policy: WorkloadProofPolicy, now: Int64
    ) throws(WorkloadProofError) -> Int64 {
        guard let expiresAt = claims.expiration else { throw .missingClaim("exp") }
        guard now < expiresAt else { throw .expired(at: expiresAt) }
        let skew = max(policy.clockSkew, 0)
        guard expiresAt - now <= policy.maximumLifetime + skew else { throw .lastsTooLong }
        do {
            try claims.checkTime(now: now, leeway: skew)
        } catch {
            throw .claims(error)
        }
        return expiresAt
    }

    /// The tokens beside the proof are the ones that it was made with: `wth`, `tth` and `oth`. What the receiver takes as a token
    /// and the proof does not name is refused rather than overlooked.
    private static func checkTokens(
        _ claims: JSONObject, _ fields: MessageFields, _ policy: WorkloadProofPolicy
    ) throws(WorkloadProofError) {
        guard let identityToken = try only(WorkloadField.identityToken, of: fields) else { throw .missingIdentityToken }
        guard let identityHash = try text("wth", of: claims) else { throw .missingClaim("wth") }
        guard identityHash.hasSameBytes(as: hash(identityToken)) else { throw .wrongIdentityToken }
        switch (try only(WorkloadField.transactionToken, of: fields), try text("tth", of: claims)) {
        case (nil, nil): break
        case (.some, nil): throw .missingClaim("tth")
        case (let token, let named?):
            guard let token, named.hasSameBytes(as: hash(token)) else { throw .wrongTransactionToken }
        }
        var named: [String] = []
        if let others = claims["oth"] {
            guard case .object(let object) = others, object.members.count <= maximumContextTokens else {
                throw .badClaim("oth")
            }
            for (name, value) in object.members {
                guard policy.contextTokens.contains(where: { MessageFields.key($0).hasSameBytes(as: name) }) else {
                    throw .unknownContextToken(name)
                }
                guard case .string(let expected) = value, let token = try only(name, of: fields),
                    expected.hasSameBytes(as: hash(token))
                else { throw .wrongContextToken(name) }
                named.append(name)
            }
        }
        for name in policy.contextTokens where fields.has(name) && !named.contains(MessageFields.key(name)) {
            throw .unnamedContextToken(name)
        }
    }

    private static func text(_ name: String, of claims: JSONObject) throws(WorkloadProofError) -> String? {
        guard let value = claims[name] else { return nil }
        guard case .string(let text) = value else { throw .badClaim(name) }
        return text
    }

    /// The one value of a field; nil if there is none.
    private static func only(_ name: String, of fields: MessageFields) throws(WorkloadProofError) -> String? {
        let values = fields.values(name)
        guard values.count <= 1 else { throw .repeatedField(name) }
        return values.first
    }

    /// What follows the scheme `WPT`, in whatever case that is; nil for another scheme.
    private static func token(_ value: String) -> String? {
        let parts = value.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, MessageFields.key(String(parts[0])) == "wpt" else { return nil }
        return String(parts[1]).trimmingBlanks
    }

    /// SHA-256 of a token's text in base64url.
    private static func hash(_ token: String) -> String {
        Base64URL.encode(Array(SHA256.hash(bytes: Array(token.utf8))))
    }
}

/// What a proof token proves of a request: that whoever holds the key of its workload identity token sent it to this audience. It
/// counts once. Only ``WorkloadProofToken`` makes values of this type.
package struct VerifiedProofToken: Sendable {
    package let audience: String
    package let tokenID: String
    /// Seconds since 1970.
    package let expiresAt: Int64

    fileprivate init(audience: String, tokenID: String, expiresAt: Int64) {
        self.audience = audience
        self.tokenID = tokenID
        self.expiresAt = expiresAt
    }
}

/// Why a workload proof token is refused or cannot be made.
package enum WorkloadProofError: Error, Sendable, Equatable, CustomStringConvertible {
    case noProof
    /// `Authorization` has another scheme.
    case otherScheme
    /// A field that may be there once only.
    case repeatedField(String)
    case missingIdentityToken
    case token(JWSError)
    /// `typ` is not `wpt+jwt`.
    case badType
    /// A header member by which the proof brings or names its own key.
    case headerMember(String)
    case claims(JWTError)
    case missingClaim(String)
    /// A claim of a type or a length that it cannot have.
    case badClaim(String)
    /// Seconds since 1970.
    case expired(at: Int64)
    case lastsTooLong
    case wrongAudience
    /// `wth` is of another identity token.
    case wrongIdentityToken
    /// `tth` is of another transaction token.
    case wrongTransactionToken
    /// `oth` names a field that is no token here.
    case unknownContextToken(String)
    /// `oth` is of another token in this field.
    case wrongContextToken(String)
    /// The request has a token that `oth` does not name.
    case unnamedContextToken(String)
    /// The request has no such token to make a proof with.
    case missingContextToken(String)

    package var description: String {
        switch self {
        case .noProof: "the request has no proof"
        case .otherScheme: "`Authorization` has another scheme than `WPT`"
        case .repeatedField(let name): "`\(name.truncatedForMessage)` is there more than once"
        case .missingIdentityToken: "the request has no `\(WorkloadField.identityToken)`"
        case .token(let error): error.description
        case .badType: "proof type is not `\(WorkloadProofToken.type)`"
        case .headerMember(let name): "the proof's header has member `\(name)`"
        case .claims(let error): error.description
        case .missingClaim(let name): "claim `\(name)` is missing"
        case .badClaim(let name): "claim `\(name)` is not what it has to be"
        case .expired(let time): "the proof expired at \(time)"
        case .lastsTooLong: "the proof lasts too long"
        case .wrongAudience: "the proof is for another audience"
        case .wrongIdentityToken: "the proof is for another identity token"
        case .wrongTransactionToken: "the proof is for another transaction token"
        case .unknownContextToken(let name): "the proof names `\(name.truncatedForMessage)`, which is no token here"
        case .wrongContextToken(let name): "the proof is for another token in `\(name.truncatedForMessage)`"
        case .unnamedContextToken(let name): "the proof does not name the token in `\(name)`"
        case .missingContextToken(let name): "the request has no token in `\(name)`"
        }
    }
}
