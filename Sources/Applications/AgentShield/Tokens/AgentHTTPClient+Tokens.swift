public import AsyncHTTPClient
import OAuth

extension AgentHTTPClient {
    /// Sends a request that shows an access token.
    ///
    /// A token that is bound to a certificate goes over connections of that certificate only: after a rotation a new token
    /// is asked for before the request is sent. Where the server wants another nonce in the proof (RFC 9449 §9), the request is
    /// sent once more; a body that is a stream has to be one that can be read twice.
    /// - Throws: ``AgentTokenError``, ``AgentShieldError``, or what async-http-client says about HTTP itself.
    public func execute(
        _ request: AgentHTTPRequest, with tokens: AgentTokenSource, for resource: String? = nil,
        scopes: [String]? = nil
    ) async throws -> AgentHTTPResponse {
        for _ in 0..<3 {
            let token = try await tokens.token(for: resource, scopes: scopes)
            let generation = try generation()
            // The identity may have changed since the token was looked up.
            guard token.fits(generation) else { continue }
            return try await generation.send(request, showing: token, settings: settings)
        }
        throw AgentTokenError.certificateChanged
    }

    /// Sends a request that shows this token, one that was exchanged for example.
    /// - Throws: ``AgentTokenError/certificateChanged`` where the token is bound to a certificate that is not in use any more;
    ///   nothing is sent then.
    public func execute(_ request: AgentHTTPRequest, with token: AgentAccessToken) async throws -> AgentHTTPResponse {
        let generation = try generation()
        guard token.fits(generation) else { throw AgentTokenError.certificateChanged }
        return try await generation.send(request, showing: token, settings: settings)
    }
}

extension AgentHTTPSession {
    /// Sends a request that shows this token over the kept connection.
    ///
    /// The connection goes on with the certificate that it was made with. A token that is bound to a newer one would be
    /// refused at the other end, and is not sent: tokens for long conversations are best bound to a key
    /// (``AgentTokenSource/Binding/dpop``).
    public func execute(_ request: AgentHTTPRequest, with token: AgentAccessToken) async throws -> AgentHTTPResponse {
        let generation = try generation()
        guard token.fits(generation) else { throw AgentTokenError.certificateChanged }
        return try await generation.send(request, showing: token, settings: settings)
    }
}

extension ClientGeneration {
    /// Sends a request with a token that fits, and once more if the proof lacks the server's newest nonce.
    func send(
        _ request: AgentHTTPRequest, showing token: AgentAccessToken, settings: AgentHTTPClient.Settings
    ) async throws -> AgentHTTPResponse {
        let response = try await send(try token.authorize(request), settings: settings)
        guard token.held.use == .dpop, let url = try? WebURL(request.url) else { return response }
        let nonces = response.headers["DPoP-Nonce"]
        guard nonces.count == 1, token.source.learn(nonce: nonces[0], of: url) else { return response }
        guard response.status == .unauthorized,
            response.headers["WWW-Authenticate"].contains(where: {
                $0.contains("error=\"\(OAuthErrorCode.useDPoPNonce.rawValue)\"")
            })
        else { return response }
        return try await send(try token.authorize(request), settings: settings)
    }
}
