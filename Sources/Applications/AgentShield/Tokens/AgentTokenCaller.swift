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

    init(_ claims: AccessTokenClaims, isBound: Bool) {
        subject = Party(claims.subject)
        clientID = claims.clientID
        scopes = Set(claims.scope.tokens)
        chain = claims.actors?.actors.map { Party($0.subject) } ?? []
        self.isBound = isBound
        expiresAt = claims.expiresAt
        tokenID = claims.tokenID
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
