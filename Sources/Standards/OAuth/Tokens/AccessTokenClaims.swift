package import JOSE

/// What an access token says (RFC 9068 §2.2).
package struct AccessTokenClaims: Sendable, Equatable {
    package var issuer: String
    /// On whose behalf; an agent that acts for itself has its own client identifier here.
    package var subject: String
    /// Where the token is to be used; never empty.
    package var audience: [String]
    package var clientID: String
    package var tokenID: String
    /// Seconds since 1970, as all times here.
    package var issuedAt: Int64
    package var notBefore: Int64?
    package var expiresAt: Int64
    package var scope: Scope
    /// Whose token it is; nil for a bearer token.
    package var confirmation: Confirmation?
    /// Who acts for the subject; nil if nobody does.
    package var actors: ActorChain?
    package var mayAct: MayAct?
    package var authorizationDetails: AuthorizationDetails?
    /// Claims without meaning here, such as those of a profile.
    package var otherClaims: JSONObject

    private static let knownClaims = [
        "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "cnf", "act", "may_act",
        "authorization_details",
    ]

    package init(
        issuer: String, subject: String, audience: [String], clientID: String, tokenID: String, issuedAt: Int64,
        notBefore: Int64? = nil, expiresAt: Int64, scope: Scope = .empty, confirmation: Confirmation? = nil,
        actors: ActorChain? = nil, mayAct: MayAct? = nil, authorizationDetails: AuthorizationDetails? = nil,
        otherClaims: JSONObject = JSONObject()
    ) {
        self.issuer = issuer
        self.subject = subject
        self.audience = audience
        self.clientID = clientID
        self.tokenID = tokenID
        self.issuedAt = issuedAt
        self.notBefore = notBefore
        self.expiresAt = expiresAt
        self.scope = scope
        self.confirmation = confirmation
        self.actors = actors
        self.mayAct = mayAct
        self.authorizationDetails = authorizationDetails
        self.otherClaims = otherClaims
    }

    /// Reads claims: all that RFC 9068 §2.2 demands have to be there.
    init(_ claims: JWTClaims, actorLimit: Int, requiresActorIssuer: Bool) throws(AccessTokenError) {
        let json = claims.json
        issuer = try Self.text(claims.issuer, "iss")
        subject = try Self.text(claims.subject, "sub")
        tokenID = try Self.text(claims.jwtID, "jti")
        clientID = try Self.text(try Self.string("client_id", of: json), "client_id")
        guard !claims.audience.isEmpty, claims.audience.allSatisfy({ !$0.isEmpty }) else { throw .missingClaim("aud") }
        audience = claims.audience
        guard let issuedAt = claims.issuedAt else { throw .missingClaim("iat") }
        guard let expiresAt = claims.expiration else { throw .missingClaim("exp") }
        self.issuedAt = issuedAt
        self.expiresAt = expiresAt
        notBefore = claims.notBefore
        scope = try Self.scope(json)
        confirmation = try Self.confirmation(json)
        (actors, mayAct) = try Self.actors(json, limit: actorLimit, requiresIssuer: requiresActorIssuer)
        authorizationDetails = try Self.details(json)
        otherClaims = JSONObject(
            json.members
                .filter { member in !Self.knownClaims.contains { $0.hasSameBytes(as: member.name) } }
                .map { ($0.name, $0.value) })
    }

    /// The claims in their order; one audience is a text, several are an array.
    package var json: JSONObject {
        var claims: [(String, JSONValue)] = [
            ("iss", .string(issuer)),
            ("sub", .string(subject)),
            ("aud", audience.count == 1 ? .string(audience[0]) : .array(audience.map { .string($0) })),
            ("exp", .number(JSONNumber(expiresAt))),
        ]
        if let notBefore { claims.append(("nbf", .number(JSONNumber(notBefore)))) }
        claims.append(("iat", .number(JSONNumber(issuedAt))))
        claims.append(("jti", .string(tokenID)))
        claims.append(("client_id", .string(clientID)))
        if !scope.isEmpty { claims.append(("scope", .string(scope.string))) }
        if let confirmation { claims.append(("cnf", .object(confirmation.json))) }
        if let actors { claims.append(("act", .object(actors.json))) }
        if let mayAct { claims.append(("may_act", .object(mayAct.json))) }
        if let authorizationDetails { claims.append(("authorization_details", authorizationDetails.json)) }
        return JSONObject(claims + otherClaims.members.map { ($0.name, $0.value) })
    }

    /// The claim by which a token that was exchanged names the first token of its chain: a claim of our own.
    package static let chainRootClaim = "chain_root"

    /// The `jti` of the first token of the chain that this one stands in: its own, unless it was exchanged.
    package var chainRoot: String { otherClaims[Self.chainRootClaim]?.stringValue ?? tokenID }

    /// The claim that names a transaction (RFC 8417 §2.2): on tokens for one approved act.
    package static let transactionClaim = "txn"
    /// Claims of our own on tokens for one approved act: the approval, and the hash of what was approved.
    package static let approvalClaim = "approval"
    package static let actHashClaim = "act_hash"
    /// A claim of our own, `true`: the resource has to have the token used up before it does anything.
    package static let singleUseClaim = "single_use"

    /// Whether the token is good for one use. Whatever the claim says but `false`: a reader that is unsure takes it once.
    package var isSingleUse: Bool {
        guard let claim = otherClaims[Self.singleUseClaim] else { return false }
        return claim != .bool(false)
    }

    /// The approval that it rests on.
    package var approvalID: String? { otherClaims[Self.approvalClaim]?.stringValue }

    /// A claim among the others that has a place of its own.
    var misplacedClaim: String? {
        otherClaims.members.map(\.name).first { name in Self.knownClaims.contains { $0.hasSameBytes(as: name) } }
    }

    private static func text(_ value: String?, _ name: String) throws(AccessTokenError) -> String {
        guard let value, !value.isEmpty else { throw .missingClaim(name) }
        return value
    }

    private static func string(_ name: String, of json: JSONObject) throws(AccessTokenError) -> String? {
        guard let value = json[name] else { return nil }
        guard case .string(let string) = value else { throw .claims(.wrongType(claim: name)) }
        return string
    }

    private static func scope(_ json: JSONObject) throws(AccessTokenError) -> Scope {
        guard let text = try string("scope", of: json), !text.isEmpty else { return .empty }
        do {
            return try Scope(text)
        } catch {
            throw .scope(error)
        }
    }

    private static func confirmation(_ json: JSONObject) throws(AccessTokenError) -> Confirmation? {
        guard let claim = json["cnf"] else { return nil }
        do {
            return try Confirmation(parsing: claim)
        } catch {
            throw .confirmation(error)
        }
    }

    private static func actors(
        _ json: JSONObject, limit: Int, requiresIssuer: Bool
    ) throws(AccessTokenError) -> (ActorChain?, MayAct?) {
        do throws(ActorChainError) {
            var chain: ActorChain?
            if let claim = json["act"] {
                chain = try ActorChain(parsing: claim, limit: limit, requiresIssuer: requiresIssuer)
            }
            return (chain, try json["may_act"].map { claim throws(ActorChainError) in try MayAct(parsing: claim) })
        } catch {
            throw .actors(error)
        }
    }

    private static func details(_ json: JSONObject) throws(AccessTokenError) -> AuthorizationDetails? {
        guard let claim = json["authorization_details"] else { return nil }
        do {
            return try AuthorizationDetails(json: claim)
        } catch {
            throw .authorizationDetails(error)
        }
    }
}
