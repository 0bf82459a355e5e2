public import AsyncHTTPClient
import CredentialClient
import OAuth

/// An access token that the agent holds. It shows its text in no description and no dump; ``value`` is for those who must
/// have it.
public struct AgentAccessToken: Sendable {
    let held: HeldAccessToken
    let source: AccessTokenSource

    /// The token itself. Bound or not, never log it.
    public var value: String { held.token.text }

    /// What was granted, as far as the server said so.
    public var scopes: [String] { held.scope?.tokens ?? [] }

    /// When it ends, in seconds since 1970.
    public var expiresAt: Int64 { held.expiresAt.seconds }

    /// To what it is bound.
    public var binding: AgentTokenSource.Binding { held.use == .dpop ? .dpop : .certificate }

    /// The request with `Authorization`, and with a proof for its method and URL where the token needs one. A proof counts
    /// once, so a request that is sent again needs another.
    ///
    /// ``AgentHTTPClient/execute(_:with:for:scopes:)`` does this and more: it looks after certificates and nonces.
    public func authorize(_ request: AgentHTTPRequest) throws(AgentTokenError) -> AgentHTTPRequest {
        guard let url = try? WebURL(request.url), url.isSecure else {
            throw .badRequest("a token goes to an `https` URL only")
        }
        let proof: String?
        do throws(TokenClientError) {
            proof = try source.proof(held, method: request.method.rawValue, url: url)
        } catch {
            throw AgentTokenError(error)
        }
        var request = request
        request.headers.replaceOrAdd(name: "Authorization", value: "\(held.use.rawValue) \(held.token.text)")
        request.headers.remove(name: "DPoP")
        if let proof { request.headers.add(name: "DPoP", value: proof) }
        return request
    }

    /// Whether connections of this generation may carry it.
    func fits(_ generation: ClientGeneration) -> Bool {
        held.use == .dpop || held.holder == generation.identity.holder
    }
}

extension AgentAccessToken: CustomStringConvertible, CustomReflectable {
    /// Says what the token is for, and not what it is.
    public var description: String { "access token until \(expiresAt)" }

    /// Hides the text from dumps.
    public var customMirror: Mirror {
        Mirror(self, children: ["scopes": scopes, "expiresAt": expiresAt])
    }
}
