package import AgentDirectory
package import JOSE
package import OAuth

/// The assertion that the operator of a blueprint gets for one of its agents (in Microsoft Entra: T1 of the agent flow), and
/// that the agent shows in place of a credential of its own.
///
/// It is a credential for our token endpoint and nothing else: a `typ` of its own keeps every verifier of access tokens, SVIDs
/// and other assertions from taking it, and its audience is no resource.
package struct BlueprintAssertion: Sendable, Equatable {
    /// The header's `typ`, which nothing else has.
    package static let type = "blueprint-assertion+jwt"
    /// What stock clients ask it for.
    package static let audience = FederatedCredential.defaultAudience
    /// The scope by which stock clients ask for it.
    static let scope = audience + "/.default"
    /// Longest life, in seconds. Clients keep it until five minutes before its end.
    static let longestLifetime: Int64 = 600
    /// Longest assertion that is read, in bytes.
    private static let maximumLength = 4096
    private static let clockSkew: Int64 = 60

    package let issuer: String
    package let tenant: String
    package let blueprintID: String
    package let agentID: String
    /// Whose credential it rests on: the blueprint's operator when it was issued.
    package let operatorID: String
    /// What the operator showed.
    package let credentialKind: CredentialKind
    package let tokenID: String
    /// Seconds since 1970.
    package let issuedAt: Int64
    /// Seconds since 1970.
    package let expiresAt: Int64

    package init(
        issuer: String, tenant: String, blueprintID: String, agentID: String, operatorID: String,
        credentialKind: CredentialKind, tokenID: String, issuedAt: Int64, expiresAt: Int64
    ) {
        self.issuer = issuer
        self.tenant = tenant
        self.blueprintID = blueprintID
        self.agentID = agentID
        self.operatorID = operatorID
        self.credentialKind = credentialKind
        self.tokenID = tokenID
        self.issuedAt = issuedAt
        self.expiresAt = expiresAt
    }

    /// `sub` names tenant, blueprint and, as its path, the agent.
    package var subject: String { "/t/\(tenant)/a/\(blueprintID)/\(agentID)" }

    /// What is signed.
    package var payload: [UInt8] {
        JSONObject([
            ("iss", .string(issuer)), ("sub", .string(subject)), ("aud", .string(Self.audience)),
            ("tid", .string(tenant)), ("blueprint", .string(blueprintID)), ("fmi_path", .string(agentID)),
            ("operator", .string(operatorID)), ("credential", .string(credentialKind.rawValue)),
            ("jti", .string(tokenID)), ("iat", .number(JSONNumber(issuedAt))), ("nbf", .number(JSONNumber(issuedAt))),
            ("exp", .number(JSONNumber(expiresAt))),
        ]).serializedBytes
    }

    /// Whether a client's assertion says of itself that it is one. It is judged by no other rule then.
    static func isOne(_ assertion: SecretText) -> Bool {
        guard let jws = try? parse(assertion), let type = jws.header.type else { return false }
        return type.hasSameBytes(as: Self.type)
    }

    private static func parse(_ assertion: SecretText) throws(JWSError) -> CompactJWS {
        try CompactJWS(
            parsing: assertion.text, limits: JWSLimits(maximumBytes: maximumLength, maximumHeaderDepth: 4))
    }

    /// Reads an assertion and checks type, signature, issuer, audience, times and subject. Whether the directory still bears it
    /// out is another question.
    ///
    /// - Parameter key: the key of this ID, of those that sign assertions.
    package static func verify(
        _ assertion: SecretText, issuer: String, tenant: String, key: (_ id: String) -> JWSVerificationKey?, now: Int64
    ) throws(BlueprintAssertionError) -> BlueprintAssertion {
        let claims: JWTClaims
        do {
            let jws = try parse(assertion)
            guard jws.header.type?.hasSameBytes(as: type) ?? false else { throw BlueprintAssertionError.type }
            guard let key = jws.header.keyID.flatMap(key) else { throw BlueprintAssertionError.unknownKey }
            try jws.verify(with: key)
            claims = try JWTClaims(
                parsing: jws.payload, limits: JSONLimits(maximumBytes: maximumLength, maximumDepth: 4))
            try claims.checkTime(now: now, leeway: clockSkew)
        } catch let error as BlueprintAssertionError {
            throw error
        } catch {
            throw .token("\(error)")
        }
        guard claims.issuer?.hasSameBytes(as: issuer) ?? false else { throw .issuer }
        guard claims.audience.count == 1, claims.audience[0].hasSameBytes(as: audience) else { throw .audience }
        // Leeway is for clocks that are behind; an end is an end.
        guard let expiresAt = claims.expiration, now < expiresAt, let issuedAt = claims.issuedAt else { throw .ended }
        guard let blueprintID = claims.json["blueprint"]?.stringValue,
            let agentID = claims.json["fmi_path"]?.stringValue, let operatorID = claims.json["operator"]?.stringValue,
            let kind = claims.json["credential"]?.stringValue.flatMap(CredentialKind.init), let tokenID = claims.jwtID
        else { throw .claims }
        let read = BlueprintAssertion(
            issuer: issuer, tenant: tenant, blueprintID: blueprintID, agentID: agentID, operatorID: operatorID,
            credentialKind: kind, tokenID: tokenID, issuedAt: issuedAt, expiresAt: expiresAt)
        guard claims.subject?.hasSameBytes(as: read.subject) ?? false else { throw .claims }
        return read
    }
}

/// Why an assertion of a blueprint's operator is none.
package enum BlueprintAssertionError: Error, Sendable, Equatable, CustomStringConvertible {
    case type
    case unknownKey
    /// Form, signature or times.
    case token(String)
    case issuer
    case audience
    case ended
    /// A claim is missing, or contradicts the subject.
    case claims

    package var description: String {
        switch self {
        case .type: "the assertion is a token of another type"
        case .unknownKey: "the assertion names no key of ours"
        case .token(let reason): reason
        case .issuer: "the assertion is another issuer's"
        case .audience: "the assertion is for another audience"
        case .ended: "the assertion has ended"
        case .claims: "the assertion's claims contradict each other"
        }
    }
}
