package import JOSE

/// What a transaction token says (draft-ietf-oauth-transaction-tokens-11 §5.2).
package struct TransactionClaims: Sendable, Equatable {
    package var issuer: String
    /// The trust domain.
    package var audience: String
    /// The principal of the transaction.
    package var subject: String
    /// `txn`: stays the same in every token that replaces this one.
    package var transactionID: String
    /// Seconds since 1970, as all times here.
    package var issuedAt: Int64
    package var expiresAt: Int64
    package var scope: Scope
    /// `req_wl`: the workloads that asked for it, the first one first.
    package var requesters: [String]
    /// `tctx`: what must not change on the way.
    package var details: TransactionContext?
    /// `rctx`: the circumstances of the first request.
    package var context: TransactionContext?
    /// Who acts for the subject; nil if nobody does.
    package var actors: ActorChain?
    /// What kind of being the subject is, if that is known.
    package var subjectProfile: String?
    /// The `jti` of the access token that everything began with, or the transaction's own ID: a claim of our own.
    package var chainRoot: String

    package init(
        issuer: String, audience: String, subject: String, transactionID: String, issuedAt: Int64, expiresAt: Int64,
        scope: Scope, requesters: [String], details: TransactionContext? = nil, context: TransactionContext? = nil,
        actors: ActorChain? = nil, subjectProfile: String? = nil, chainRoot: String
    ) {
        self.issuer = issuer
        self.audience = audience
        self.subject = subject
        self.transactionID = transactionID
        self.issuedAt = issuedAt
        self.expiresAt = expiresAt
        self.scope = scope
        self.requesters = requesters
        self.details = details
        self.context = context
        self.actors = actors
        self.subjectProfile = subjectProfile
        self.chainRoot = chainRoot
    }

    /// Reads claims: all that the draft demands have to be there, and what our own issuer always writes.
    init(
        _ token: TypedToken, _ times: (issuedAt: Int64, expiresAt: Int64), actorLimit: Int
    ) throws(TypedTokenError) {
        issuer = try token.text("iss")
        audience = try token.onlyAudience()
        subject = try token.text("sub")
        transactionID = try token.text("txn", limit: TypedToken.maximumIDBytes)
        (issuedAt, expiresAt) = times
        scope = try token.scope()
        requesters = try token.text("req_wl", limit: TypedToken.maximumLength)
            .split(separator: ",", omittingEmptySubsequences: false).map { String($0) }
        guard requesters.count <= TransactionToken.maximumRequesters else { throw .tooManyRequesters }
        guard requesters.allSatisfy({ !$0.isEmpty }) else { throw .badClaim("req_wl") }
        details = try Self.context("tctx", of: token)
        context = try Self.context("rctx", of: token)
        actors = try token.actors(limit: actorLimit)
        subjectProfile = try token.optionalText("sub_profile")
        chainRoot = try token.text("chain_root", limit: TypedToken.maximumIDBytes)
    }

    private static func context(
        _ name: String, of token: TypedToken
    ) throws(TypedTokenError) -> TransactionContext? {
        guard let value = token.claims.json[name] else { return nil }
        do {
            return try TransactionContext(json: value)
        } catch {
            throw .badClaim(name)
        }
    }

    /// The claims in their order.
    package var json: JSONObject {
        var claims: [(String, JSONValue)] = [
            ("iss", .string(issuer)), ("aud", .string(audience)), ("sub", .string(subject)),
            ("txn", .string(transactionID)), ("exp", .number(JSONNumber(expiresAt))),
            ("iat", .number(JSONNumber(issuedAt))), ("scope", .string(scope.string)),
            ("req_wl", .string(requesters.joined(separator: ","))),
        ]
        if let details { claims.append(("tctx", .object(details.json))) }
        if let context { claims.append(("rctx", .object(context.json))) }
        if let actors { claims.append(("act", .object(actors.json))) }
        if let subjectProfile { claims.append(("sub_profile", .string(subjectProfile))) }
        claims.append(("chain_root", .string(chainRoot)))
        return JSONObject(claims)
    }
}

/// A JSON object that somebody adds to a transaction: small, not deep, and without meaning here.
package struct TransactionContext: Sendable, Equatable {
    package let json: JSONObject

    /// Longest text, in bytes.
    package static let maximumBytes = 2048
    /// How deep objects and arrays may stand in each other, the object itself included.
    package static let maximumDepth = 8

    private static let limits = JSONLimits(maximumBytes: maximumBytes, maximumDepth: maximumDepth)

    /// Reads the parameter `request_details` or `request_context`.
    package init(parsing text: String) throws(JSONParseError) {
        json = try JSONObject(parsing: text.utf8, limits: Self.limits)
        // In the claim it is written anew.
        guard json.serializedBytes.count <= Self.maximumBytes else { throw .tooLarge(limit: Self.maximumBytes) }
    }

    /// Reads a claim, within the same limits.
    init(json value: JSONValue) throws(JSONParseError) {
        json = try JSONObject(parsing: value.serializedBytes, limits: Self.limits)
    }
}
