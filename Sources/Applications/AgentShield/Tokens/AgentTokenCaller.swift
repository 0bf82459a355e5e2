import OAuth
public import SPIFFE

/// Who calls with an access token, and for whom: proved by the issuer's signature, for a bound token also by the certificate of
/// the connection or by a proof.
public struct AgentTokenCaller: Sendable, Hashable {
    /// Somebody in a token.
    public struct Party: Sendable, Hashable {
        /// The name, as the token has it.
        public let name: String
        /// The name as SPIFFE ID, if it is one.
        public let id: SPIFFEID?

        init(_ name: String) {
            self.name = name
            id = try? SPIFFEID(name)
        }
    }

    /// On whose behalf the call is made.
    public let subject: Party
    /// The client that the token was issued to.
    public let clientID: String
    /// What the token allows.
    public let scopes: Set<String>
    /// Through whom the call came, the one who calls now first; empty where the subject calls itself.
    public let chain: [Party]
    /// Whether the caller proved to hold what the token is bound to; false for a bearer token.
    public let isBound: Bool
    /// When the token ends, in seconds since 1970.
    public let expiresAt: Int64
    /// The identifier of the token, by which it can be revoked.
    public let tokenID: String
    /// What the token allows in detail (RFC 9396): a JSON array of objects, empty text for nothing.
    public let authorizationDetails: String
    /// The one act that a person has approved, where the token is for one; it is used up by this request.
    public let approvedAct: ApprovedAct?

    /// An act that a person has approved. What it allows is in ``AgentTokenCaller/scopes`` and
    /// ``AgentTokenCaller/authorizationDetails``: a route does that and nothing else.
    public struct ApprovedAct: Sendable, Hashable {
        /// The transaction, as the resource's challenge names it.
        public let transactionID: String
        /// The approval, by which the audit log has it.
        public let approvalID: String
        /// Hex SHA-256 of what the person saw.
        public let hash: String
    }

    /// The chain as the token has it, for a challenge that repeats it.
    let actors: String?
    /// Whether the caller shows proofs of a key.
    let usesProofs: Bool

    init(_ claims: AccessTokenClaims, isBound: Bool) {
        actors = claims.actors.map { String(decoding: $0.json.serializedBytes, as: UTF8.self) }
        usesProofs = claims.confirmation?.keyThumbprint != nil
        subject = Party(claims.subject)
        clientID = claims.clientID
        scopes = Set(claims.scope.tokens)
        chain = claims.actors?.actors.map { Party($0.subject) } ?? []
        self.isBound = isBound
        expiresAt = claims.expiresAt
        tokenID = claims.tokenID
        authorizationDetails =
            claims.authorizationDetails.map { String(decoding: $0.json.canonicalBytes, as: UTF8.self) } ?? ""
        approvedAct =
            claims.isSingleUse
            ? ApprovedAct(
                transactionID: claims.otherClaims[AccessTokenClaims.transactionClaim]?.stringValue ?? "",
                approvalID: claims.approvalID ?? "",
                hash: claims.otherClaims[AccessTokenClaims.actHashClaim]?.stringValue ?? "") : nil
    }

    /// Who acts: the first of the chain, or the subject itself. With the subject it is all that a decision may rest on
    /// (RFC 8693 §4.1).
    public var actor: Party { chain.first ?? subject }

    /// The caller of the request that the current task serves; `nil` outside of a route with ``AccessTokenMiddleware``.
    public static var current: AgentTokenCaller? { proven?.caller }

    @TaskLocal static var proven: Proven?

    /// A caller, and which verifier has looked at the token of this request.
    struct Proven: Sendable {
        let caller: AgentTokenCaller
        let verifier: AgentTokenVerifier
    }
}
