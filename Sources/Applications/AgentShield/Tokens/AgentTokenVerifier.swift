import Authentication
import CredentialClient
import JOSE
import OAuth
import PeerHTTP
public import SPIFFE

/// Judges the access tokens that callers show to this agent: the resource server of RFC 6750, 8705, 9068 and 9449.
///
/// The issuer's keys come from the authorization server over mutual TLS, and are kept. What is revoked comes from the node
/// agent, as for certificates; while it has no news, no token is taken. Nothing has to be run.
public final class AgentTokenVerifier: Sendable {
    /// What the agent demands.
    public struct Settings: Sendable {
        /// The one issuer whose tokens are taken, `https://HOST/oauth2`.
        public var issuer: String
        /// The names that the agent goes by in tokens, such as `api://weather`.
        public var audiences: [String]
        /// The SPIFFE ID that the authorization server has to prove; `spiffe://TRUSTDOMAIN/spire/server` without it.
        public var server: SPIFFEID?
        /// Whether tokens that are bound to nothing are refused.
        public var isBoundOnly = true
        /// Whether DPoP proofs need a nonce of this agent (RFC 9449 §9), so that none can be made ahead.
        public var demandsNonces = false
        /// `https://HOST[:PORT]` as callers know it. Without it the request's own `Host` is believed; where several servers
        /// share an audience, one could then use another's DPoP proofs.
        public var url: String?
        /// Whether tokens for one act that a person has approved are taken. Each is used up at the authorization server before the
        /// route is served; what it was approved for is ``AgentTokenCaller/approvedAct``.
        public var usesUpTokens = false
        /// What tokens can allow here, for the agent's metadata (RFC 9728).
        public var scopes: [String] = []

        /// Bound tokens of this issuer for these audiences.
        public init(issuer: String, audiences: [String]) {
            self.issuer = issuer
            self.audiences = audiences
        }
    }

    let settings: Settings
    private let verifier: AccessTokenVerifier
    private let nonces: DPoPNonces?
    private let origin: WebURL?
    let identity: AgentIdentity

    /// A verifier for this agent.
    public init(identity: AgentIdentity, _ settings: Settings) throws(AgentTokenError) {
        let server = try AuthorizationServer.of(settings.issuer, identity: identity, server: settings.server)
        guard !settings.audiences.isEmpty, settings.audiences.allSatisfy({ !$0.isEmpty }) else {
            throw .badRequest("the agent needs an audience")
        }
        if let text = settings.url {
            guard let url = try? WebURL(text), url.isSecure, ["", "/"].contains(url.path), url.query == nil,
                !url.hasFragment
            else { throw .badRequest("the agent's URL is not `https://HOST[:PORT]`") }
            origin = url
        } else {
            origin = nil
        }
        let keys: IssuerKeySource
        do {
            keys = try IssuerKeySource(server: server, environment: SourceEnvironment(now: identity.now))
        } catch {
            throw .badIssuer(error.description)
        }
        let nonces =
            settings.demandsNonces ? DPoPNonces(now: identity.now, randomBytes: Randomness.bytes) : nil
        self.settings = settings
        self.identity = identity
        self.nonces = nonces
        var demands = AccessTokenVerifier.Demands(
            AccessTokenPolicy(issuer: settings.issuer, audiences: settings.audiences),
            isBoundOnly: settings.isBoundOnly)
        if let nonces { demands.nonces = { nonces.accepted } }
        if settings.usesUpTokens {
            demands.useUp = { token throws(AccessTokenRefusal) in
                let isUsed: Bool
                do throws(TokenClientError) { isUsed = try await server.consume(token) } catch { throw .useUnknown }
                guard isUsed else { throw .usedUp }
            }
        }
        let (revocations, now) = (identity.revocations, identity.now)
        verifier = AccessTokenVerifier(
            demands,
            keys: { (keyID: String, algorithm: JWSAlgorithm) async throws(AccessTokenRefusal) -> JWSVerificationKey in
                try await keys.key(keyID, algorithm)
            },
            revocation: { revocations.refusal(of: $0) }, now: { now().seconds })
    }

    /// The nonce for the next proof; nil where none is asked for.
    var newestNonce: String? { nonces?.newest }

    /// Who calls. The request is taken apart by the middleware.
    func caller(
        authorization: [String], proofs: [String], method: String, url: WebURL, scopes: [String]
    ) async throws(AccessTokenRefusal) -> AgentTokenCaller {
        let presented = try PresentedAccessToken(
            authorization: authorization, proofs: proofs,
            certificateDigest: HTTPPeer.current?.leaf.sha256, method: method,
            url: url)
        let caller = try await verifier.verify(presented, scopes: scopes)
        return AgentTokenCaller(caller.claims, isBound: caller.isBound)
    }

    /// A URL of this agent as its callers know it; nil if the request does not say enough.
    func url(authority: String?, path: String) -> WebURL? {
        if let origin { return try? WebURL(origin.origin + path) }
        return authority.flatMap { try? WebURL("https://\($0)\(path)") }
    }
}
