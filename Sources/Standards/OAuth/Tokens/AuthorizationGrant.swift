package import JOSE

/// Grants by which one authorization server lets a client of its own ask another one for tokens: identity chaining
/// (draft-ietf-oauth-identity-chaining-17) and identity assertion grants (ID-JAG,
/// draft-ietf-oauth-identity-assertion-authz-grant-04), both redeemed after RFC 7523 §2.1.
package enum AuthorizationGrant {
    /// Which of the two.
    package enum Profile: String, Sendable, CaseIterable {
        /// For whichever client gets it.
        case chaining = "authorization-grant+jwt"
        /// For the one client that it names.
        case identityAssertion = "oauth-id-jag+jwt"

        /// The media type in the header, `typ`.
        package var type: String { rawValue }
    }

    /// The name of ID-JAG among `authorization_grant_profiles_supported`.
    package static let identityAssertionProfile = "urn:ietf:params:oauth:grant-profile:id-jag"
    /// The longest that one lasts, in seconds: it is redeemed at once.
    package static let maximumLifetime: Int64 = 300

    /// What is signed.
    package static func payload(of claims: AuthorizationGrantClaims) throws(TypedTokenError) -> [UInt8] {
        guard claims.issuedAt < claims.expiresAt, JWTClaims.allowedDates.contains(claims.issuedAt),
            JWTClaims.allowedDates.contains(claims.expiresAt)
        else { throw .badTimes }
        guard claims.expiresAt - claims.issuedAt <= maximumLifetime else { throw .lastsTooLong }
        for (name, value) in [
            ("iss", claims.issuer), ("aud", claims.audience), ("sub", claims.subject), ("jti", claims.tokenID),
        ] where value.isEmpty {
            throw .missingClaim(name)
        }
        guard !claims.scope.isEmpty else { throw .missingClaim("scope") }
        guard (claims.clientID != nil) == (claims.profile == .identityAssertion), claims.clientID?.isEmpty != true
        else { throw .badClaim("client_id") }
        let payload = claims.json.serializedBytes
        // With header and signature it has to fit what is read.
        guard payload.count <= TypedToken.maximumLength / 2 else {
            throw .token(.tooLarge(limit: TypedToken.maximumLength))
        }
        return payload
    }
}

/// What a grant for another authorization server says.
package struct AuthorizationGrantClaims: Sendable, Equatable {
    package var profile: AuthorizationGrant.Profile
    package var issuer: String
    /// On whose behalf, in the words of the issuer.
    package var subject: String
    /// The authorization server that it is for, by its issuer identifier.
    package var audience: String
    package var tokenID: String
    /// Seconds since 1970, as all times here.
    package var issuedAt: Int64
    package var expiresAt: Int64
    package var scope: Scope
    /// The client that may redeem it, as the audience calls it; in ID-JAG alone.
    package var clientID: String?
    /// Where tokens for it may be used; empty if the audience decides.
    package var resources: [String]
    /// Whose grant it is; nil for whoever has it.
    package var confirmation: Confirmation?
    /// Who acts for the subject; nil if nobody does.
    package var actors: ActorChain?
    /// What kind of being the subject is, if that is known.
    package var subjectProfile: String?
    /// The first token of its chain: a claim of our own.
    package var chainRoot: String?

    package init(
        profile: AuthorizationGrant.Profile, issuer: String, subject: String, audience: String, tokenID: String,
        issuedAt: Int64, expiresAt: Int64, scope: Scope, clientID: String? = nil, resources: [String] = [],
        confirmation: Confirmation? = nil, actors: ActorChain? = nil, subjectProfile: String? = nil,
        chainRoot: String? = nil
    ) {
        self.profile = profile
        self.issuer = issuer
        self.subject = subject
        self.audience = audience
        self.tokenID = tokenID
        self.issuedAt = issuedAt
        self.expiresAt = expiresAt
        self.scope = scope
        self.clientID = clientID
        self.resources = resources
        self.confirmation = confirmation
        self.actors = actors
        self.subjectProfile = subjectProfile
        self.chainRoot = chainRoot
    }

    /// Reads claims. A scope has to be there: a grant without one would allow whatever its audience likes.
    fileprivate init(
        _ token: TypedToken, _ profile: AuthorizationGrant.Profile, _ times: (issuedAt: Int64, expiresAt: Int64),
        actorLimit: Int
    ) throws(TypedTokenError) {
        self.profile = profile
        issuer = try token.text("iss")
        subject = try token.text("sub")
        audience = try token.onlyAudience()
        tokenID = try token.text("jti", limit: TypedToken.maximumIDBytes)
        (issuedAt, expiresAt) = times
        scope = try token.scope()
        let clientID = try token.optionalText("client_id")
        guard clientID != nil || profile == .chaining else { throw .missingClaim("client_id") }
        // A chaining grant that names a client is for that client too.
        self.clientID = clientID
        resources = try Self.resources(token)
        if let claim = token.claims.json["cnf"] {
            do {
                confirmation = try Confirmation(parsing: claim)
            } catch {
                throw .confirmation(error)
            }
        } else {
            confirmation = nil
        }
        // Rights that are not understood here must not be lost: what they narrow would be granted whole.
        guard token.claims.json["authorization_details"] == nil else { throw .badClaim("authorization_details") }
        actors = try token.actors(limit: actorLimit)
        guard token.claims.json["may_act"] == nil else { throw .badClaim("may_act") }
        subjectProfile = try token.optionalText("sub_profile", limit: TypedToken.maximumIDBytes)
        chainRoot = try token.optionalText("chain_root", limit: TypedToken.maximumIDBytes)
    }

    private static func resources(_ token: TypedToken) throws(TypedTokenError) -> [String] {
        guard let value = token.claims.json["resource"] else { return [] }
        let texts = value.stringValue.map { [$0] } ?? value.stringArrayValue
        // An empty list would allow nothing, where a missing one leaves it to the audience.
        guard let texts, (1...16).contains(texts.count), texts.allSatisfy({ (try? ResourceIndicator($0)) != nil })
        else { throw .badClaim("resource") }
        return texts
    }

    /// The claims in their order.
    package var json: JSONObject {
        var claims: [(String, JSONValue)] = [
            ("iss", .string(issuer)), ("sub", .string(subject)), ("aud", .string(audience)),
            ("exp", .number(JSONNumber(expiresAt))), ("iat", .number(JSONNumber(issuedAt))),
            ("jti", .string(tokenID)),
        ]
        if let clientID { claims.append(("client_id", .string(clientID))) }
        claims.append(("scope", .string(scope.string)))
        switch resources.count {
        case 0: break
        case 1: claims.append(("resource", .string(resources[0])))
        default: claims.append(("resource", .array(resources.map { .string($0) })))
        }
        if let confirmation { claims.append(("cnf", .object(confirmation.json))) }
        if let actors { claims.append(("act", .object(actors.json))) }
        if let subjectProfile { claims.append(("sub_profile", .string(subjectProfile))) }
        if let chainRoot { claims.append(("chain_root", .string(chainRoot))) }
        return JSONObject(claims)
    }
}

/// What an authorization server demands of grants of another one.
package struct AuthorizationGrantPolicy: Sendable {
    /// The own issuer identifier: the only audience that counts.
    package var audience: String
    package var algorithms: [JWSAlgorithm]
    /// The longest chain of actors.
    package var actorLimit: Int
    /// How far the issuer's clock may be ahead, in seconds: widens `nbf` and `iat`, never `exp`.
    package var clockSkew: Int64

    package init(
        audience: String, algorithms: [JWSAlgorithm] = JWSAlgorithm.allCases,
        actorLimit: Int = ActorChain.deepestLimit, clockSkew: Int64 = 60
    ) {
        self.audience = audience
        self.algorithms = algorithms
        self.actorLimit = actorLimit
        self.clockSkew = clockSkew
    }
}

/// A grant of another authorization server taken apart. Nothing in it is proven; issuer and key ID tell where to look for the
/// key.
package struct UnverifiedAuthorizationGrant: Sendable {
    package let profile: AuthorizationGrant.Profile
    package let unverifiedIssuer: String
    package var keyID: String? { token.keyID }
    package var algorithm: JWSAlgorithm { token.algorithm }
    private let token: TypedToken

    /// Takes a grant apart; `badType` is for what is no grant at all.
    package init(parsing assertion: SecretText) throws(TypedTokenError) {
        token = try TypedToken(parsing: assertion.text, types: AuthorizationGrant.Profile.allCases.map(\.type))
        guard let profile = AuthorizationGrant.Profile(rawValue: token.type) else { throw .badType }
        self.profile = profile
        unverifiedIssuer = try token.text("iss")
    }

    /// Checks algorithm, signature, audience, times and form, in this order, with a key that the caller trusts for the issuer.
    /// That it was not redeemed before, and by whom it may be, is for the caller to see.
    package func verify(
        with key: JWSVerificationKey, policy: AuthorizationGrantPolicy, now: Int64
    ) throws(TypedTokenError) -> VerifiedAuthorizationGrant {
        guard policy.algorithms.contains(algorithm) else { throw .algorithmNotAllowed(algorithm) }
        try token.verify(with: key)
        guard try token.onlyAudience().hasSameBytes(as: policy.audience) else { throw .wrongAudience }
        let times = try token.checkTimes(
            maximumLifetime: AuthorizationGrant.maximumLifetime, clockSkew: policy.clockSkew, now: now)
        return VerifiedAuthorizationGrant(
            try AuthorizationGrantClaims(token, profile, times, actorLimit: policy.actorLimit))
    }
}

/// A grant that its issuer's key signed for this authorization server and that had not expired. Only
/// `UnverifiedAuthorizationGrant.verify` makes values of this type.
package struct VerifiedAuthorizationGrant: Sendable {
    package let claims: AuthorizationGrantClaims

    fileprivate init(_ claims: AuthorizationGrantClaims) {
        self.claims = claims
    }
}
