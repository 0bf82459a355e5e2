import CredentialClient
import Crypto
import JOSE
import OAuth
import PeerTLS
public import SPIFFE

/// Access tokens for this agent, from an OAuth 2.0 authorization server that knows it by its X.509-SVID.
///
/// Tokens are kept until four fifths of their life are over, and asked for anew at once when the certificate that they are
/// bound to goes. While the server is away, a token that is still good goes on being used. There is nothing to run.
public final class AgentTokenSource: Sendable {
    /// To what tokens are bound, so that whoever copies one cannot use it.
    public enum Binding: Sendable, Hashable {
        /// To the certificate of the connection (RFC 8705). The token ends with it, and is of use on connections that were
        /// made with it only.
        case certificate
        /// To a key of this source's own, which signs each request (RFC 9449). For connections that outlive a certificate,
        /// and where a proxy ends mutual TLS.
        case dpop
    }

    let source: AccessTokenSource
    private let resource: String?
    private let scopes: [String]

    /// - Parameters:
    ///   - issuer: as the tokens name it, `https://HOST/oauth2`. Its metadata have to name it byte by byte, and no other host.
    ///   - server: the SPIFFE ID that the authorization server has to prove; `spiffe://TRUSTDOMAIN/spire/server` of the own
    ///     trust domain without it.
    ///   - resource: what tokens are for where a call names nothing else.
    ///   - scopes: what is asked for where a call names nothing else; without any, the server decides.
    public init(
        identity: AgentIdentity, issuer: String, server: SPIFFEID? = nil, binding: Binding = .certificate,
        resource: String? = nil, scopes: [String] = []
    ) throws(AgentTokenError) {
        let authorizationServer = try AuthorizationServer.of(issuer, identity: identity, server: server)
        var generator = SystemRandomNumberGenerator()
        let keyID = String(generator.next(), radix: 16)
        source = AccessTokenSource(
            server: authorizationServer,
            proofKey: binding == .dpop
                ? JWSSigningKey(p256: P256.Signing.PrivateKey(compactRepresentable: false), keyID: keyID) : nil,
            holder: { () throws(TokenClientError) -> TokenHolder in
                do throws(AgentShieldError) {
                    return try identity.usable().holder
                } catch {
                    throw .noIdentity(error.description)
                }
            },
            environment: SourceEnvironment(now: identity.now), randomBytes: Randomness.bytes)
        self.resource = resource
        self.scopes = scopes
    }

    /// A token for the agent itself: a kept one, or a new one when it is time.
    public func token(
        for resource: String? = nil, scopes: [String]? = nil
    ) async throws(AgentTokenError) -> AgentAccessToken {
        try await token(for: resource ?? self.resource, scopes ?? self.scopes, subject: nil)
    }

    /// A token for the next hop, in exchange for one that the agent received with a call (RFC 8693). It names whom the old one
    /// names, with this agent as actor, and allows no more.
    public func exchange(
        subjectToken: String, for resource: String, scopes: [String] = []
    ) async throws(AgentTokenError) -> AgentAccessToken {
        try await token(for: resource, scopes, subject: SecretText(subjectToken))
    }

    /// The token for what a resource has asked a person to approve: the challenge of its answer
    /// (``AgentHTTPResponse/transactionChallenge``). Waits for the person, as long as the server does; cancel the task to give up.
    /// The token counts once.
    ///
    /// - Parameter subjectToken: the token of whom the agent acts for, if it acts for somebody else.
    public func approvedToken(
        for challenge: String, subjectToken: String? = nil
    ) async throws(AgentTokenError) -> AgentAccessToken {
        do throws(TokenClientError) {
            let held = try await source.token(answering: challenge, subject: subjectToken.map { SecretText($0) })
            return AgentAccessToken(held: held, source: source)
        } catch {
            throw AgentTokenError(error)
        }
    }

    private func token(
        for resource: String?, _ scopes: [String], subject: SecretText?
    ) async throws(AgentTokenError) -> AgentAccessToken {
        do throws(TokenClientError) {
            let held = try await source.token(resource: resource, scopes: scopes, subject: subject)
            return AgentAccessToken(held: held, source: source)
        } catch {
            throw AgentTokenError(error)
        }
    }
}

/// Random bytes of the system.
enum Randomness {
    @Sendable static func bytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}

extension TLSIdentity {
    /// Who it is, and the digest by which tokens are bound to it.
    var holder: TokenHolder {
        TokenHolder(id: svid.id, certificateDigest: svid.leaf.sha256)
    }
}
