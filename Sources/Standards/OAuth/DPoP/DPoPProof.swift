import Crypto
package import JOSE

/// Proofs of possession for single requests (RFC 9449).
package enum DPoPProof {
    /// The media type in the header, `typ`.
    package static let type = "dpop+jwt"
    /// Longest proof that is read, in bytes.
    package static let maximumLength = 8 * 1024
    /// Longest `jti`, in bytes.
    package static let maximumTokenIDBytes = 256

    /// The algorithms that proofs may use: all of those with a public key.
    package static let algorithms = JWSAlgorithm.allCases

    /// Makes a proof for one request (RFC 9449 §4.2). `tokenID` is random, at least 96 bits of it (§4.2).
    ///
    /// - Parameter accessToken: the token that the request shows; nil at the token endpoint.
    package static func sign(
        method: String, url: WebURL, tokenID: String, issuedAt: Int64, key: JWSSigningKey,
        accessToken: SecretText? = nil, nonce: String? = nil
    ) throws(DPoPError) -> String {
        guard !method.isEmpty else { throw .missingClaim("htm") }
        guard (1...maximumTokenIDBytes).contains(tokenID.utf8.count) else { throw .badTokenID }
        var claims: [(String, JSONValue)] = [
            ("jti", .string(tokenID)),
            ("htm", .string(method)),
            ("htu", .string(url.normalizedTarget)),
            ("iat", .number(JSONNumber(issuedAt))),
        ]
        if let accessToken { claims.append(("ath", .string(accessTokenHash(accessToken)))) }
        if let nonce { claims.append(("nonce", .string(nonce))) }
        do {
            let jwk = try JWK(key: key.verificationKey.jwk.key)
            return try CompactJWS.sign(
                header: [("typ", .string(type)), ("jwk", .object(jwk.json()))],
                payload: JSONObject(claims).serializedBytes, key: key, writesKeyID: false)
        } catch let error as JWSError {
            throw .token(error)
        } catch {
            throw .badKey(.invalidKey)
        }
    }

    /// The claim `ath` (RFC 9449 §4.2).
    static func accessTokenHash(_ token: SecretText) -> String { Base64URL.encode(token.digest) }

    /// Checks a proof against the request that brought it (RFC 9449 §4.3), all but replay: that is the caller's
    /// `ReplayCache`, asked last. That the request has exactly one header field `DPoP` is the server's to see.
    package static func verify(
        _ proof: String, request: DPoPRequest, policy: DPoPPolicy, now: Int64
    ) throws(DPoPError) -> VerifiedDPoPProof {
        let jws = try parse(proof)
        let (jwk, key) = try embeddedKey(jws.header, policy)
        do {
            try jws.verify(with: key)
        } catch {
            throw .token(error)
        }
        let claims: JWTClaims
        do {
            claims = try JWTClaims(
                parsing: jws.payload, limits: JSONLimits(maximumBytes: maximumLength, maximumDepth: 8))
        } catch {
            throw .claims(error)
        }
        guard let tokenID = claims.jwtID else { throw .missingClaim("jti") }
        guard (1...maximumTokenIDBytes).contains(tokenID.utf8.count) else { throw .badTokenID }
        try checkRequest(claims.json, request)
        let issuedAt = try checkTime(claims, policy, now: now)
        try checkNonce(claims.json, policy)
        if case .resource(let accessToken, let confirmed) = request.use {
            let hash = try string("ath", of: claims.json)
            guard hash.hasSameBytes(as: accessTokenHash(accessToken)) else { throw .wrongAccessToken }
            guard jwk.thumbprint == confirmed else { throw .wrongKey }
        }
        return VerifiedDPoPProof(
            key: jwk, tokenID: tokenID, issuedAt: issuedAt,
            replayableUntil: sum(sum(issuedAt, max(policy.maximumAge, 0)), 1))
    }

    private static func parse(_ proof: String) throws(DPoPError) -> CompactJWS {
        let jws: CompactJWS
        do {
            jws = try CompactJWS(
                parsing: proof, limits: JWSLimits(maximumBytes: maximumLength, maximumHeaderDepth: 6))
        } catch {
            throw .token(error)
        }
        guard let found = jws.header.type, found.hasSameBytes(as: type) else { throw .badType }
        return jws
    }

    /// The key in the header: public, and for the algorithm that the header names.
    private static func embeddedKey(
        _ header: JOSEHeader, _ policy: DPoPPolicy
    ) throws(DPoPError) -> (JWK, JWSVerificationKey) {
        guard policy.algorithms.contains(header.algorithm) else { throw .algorithmNotAllowed(header.algorithm) }
        guard let json = header.json["jwk"]?.objectValue else { throw .missingKey }
        guard !JWK.hasPrivateMembers(json) else { throw .privateKey }
        do {
            let jwk = try JWK(json: json)
            return (jwk, try JWSVerificationKey(jwk: jwk, defaultAlgorithm: header.algorithm))
        } catch {
            throw .badKey(error)
        }
    }

    private static func checkRequest(_ claims: JSONObject, _ request: DPoPRequest) throws(DPoPError) {
        guard try string("htm", of: claims).hasSameBytes(as: request.method) else { throw .wrongMethod }
        let target: WebURL
        do {
            target = try WebURL(try string("htu", of: claims))
        } catch let error as WebURL.ParseError {
            throw .badURL(error)
        } catch {
            throw .missingClaim("htu")
        }
        guard target.normalizedTarget.hasSameBytes(as: request.url.normalizedTarget) else { throw .wrongURL }
    }

    private static func checkTime(
        _ claims: JWTClaims, _ policy: DPoPPolicy, now: Int64
    ) throws(DPoPError) -> Int64 {
        guard let issuedAt = claims.issuedAt else { throw .missingClaim("iat") }
        do {
            try claims.checkTime(now: now, leeway: policy.clockSkew, requiringExpiration: false)
        } catch {
            throw .claims(error)
        }
        guard now <= sum(issuedAt, max(policy.maximumAge, 0)) else { throw .tooOld(issuedAt: issuedAt) }
        return issuedAt
    }

    private static func checkNonce(_ claims: JSONObject, _ policy: DPoPPolicy) throws(DPoPError) {
        guard let accepted = policy.nonces else { return }
        guard let nonce = claims["nonce"]?.stringValue, accepted.contains(where: { $0.hasSameBytes(as: nonce) }) else {
            throw .nonceNeeded
        }
    }

    private static func string(_ name: String, of json: JSONObject) throws(DPoPError) -> String {
        guard let value = json[name] else { throw .missingClaim(name) }
        guard case .string(let string) = value else { throw .claims(.wrongType(claim: name)) }
        return string
    }

    private static func sum(_ time: Int64, _ step: Int64) -> Int64 {
        let (sum, overflow) = time.addingReportingOverflow(step)
        return overflow ? .max : sum
    }
}

/// The request that a proof has to be made for.
package struct DPoPRequest: Sendable {
    /// The method as in the request line, compared byte by byte.
    package let method: String
    /// The URL as the client sees it.
    package let url: WebURL
    package let use: Use

    /// What the request is for.
    package enum Use: Sendable {
        /// A token, which will be bound to the key of the proof.
        case tokenRequest
        /// A resource; the token that is shown and the key that it is bound to (`cnf` with `jkt`).
        case resource(accessToken: SecretText, keyThumbprint: [UInt8])
    }

    package init(method: String, url: WebURL, use: Use) {
        self.method = method
        self.url = url
        self.use = use
    }
}

/// What a server demands of proofs.
package struct DPoPPolicy: Sendable {
    /// How old a proof may be, in seconds.
    package var maximumAge: Int64
    /// How far the client's clock may be ahead, in seconds.
    package var clockSkew: Int64
    /// The nonces that count now; nil where none is asked for (RFC 9449 §8).
    package var nonces: [String]?
    package var algorithms: [JWSAlgorithm]

    package init(
        maximumAge: Int64 = 60, clockSkew: Int64 = 60, nonces: [String]? = nil,
        algorithms: [JWSAlgorithm] = DPoPProof.algorithms
    ) {
        self.maximumAge = maximumAge
        self.clockSkew = clockSkew
        self.nonces = nonces
        self.algorithms = algorithms
    }
}

/// A proof that was made for this request with the key that it brings. It counts once: the caller's `ReplayCache` says
/// whether it was there before. Only `DPoPProof.verify` makes values of this type.
package struct VerifiedDPoPProof: Sendable {
    /// The client's key.
    package let key: JWK
    package let tokenID: String
    /// Seconds since 1970.
    package let issuedAt: Int64
    /// From when on the proof would be too old anyway, seconds since 1970.
    package let replayableUntil: Int64

    /// The key's thumbprint, to which tokens are bound.
    package var keyThumbprint: [UInt8] { key.thumbprint }

    fileprivate init(key: JWK, tokenID: String, issuedAt: Int64, replayableUntil: Int64) {
        self.key = key
        self.tokenID = tokenID
        self.issuedAt = issuedAt
        self.replayableUntil = replayableUntil
    }
}
