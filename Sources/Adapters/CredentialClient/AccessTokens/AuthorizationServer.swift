import JOSE
package import OAuth
import Synchronization

/// An authorization server as its client knows it: metadata read once and checked, then one place for each question.
package final class AuthorizationServer: Sendable {
    /// The endpoints that are used.
    struct Endpoints: Sendable {
        let token: WebURL
        let keys: WebURL?
    }

    package let issuer: String
    private let url: WebURL
    private let location: WebURL
    private let transport: TokenServerTransport
    // Guards what was read.
    private let known = Mutex<Endpoints?>(nil)

    /// - Throws: `MetadataError` for what is no issuer identifier.
    package init(issuer: String, transport: @escaping TokenServerTransport) throws(MetadataError) {
        let location = try AuthorizationServerMetadata.location(ofIssuer: issuer)
        guard let url = try? WebURL(issuer), let documentURL = try? WebURL(location) else { throw .badURL("issuer") }
        self.issuer = issuer
        self.url = url
        self.location = documentURL
        self.transport = transport
    }

    /// Asks the token endpoint.
    func token(
        _ form: FormParameters, proof: ((WebURL) throws(TokenClientError) -> String)?
    ) async throws(TokenClientError) -> TokenServerAnswer {
        let url = try await endpoints().token
        var headers = [("Content-Type", FormParameters.mediaType), ("Accept", "application/json")]
        if let proof { headers.append(("DPoP", try proof(url))) }
        return try await transport(
            TokenServerRequest(
                .post, url, headers: headers.map { (name: $0.0, value: $0.1) }, body: form.serializedBytes))
    }

    /// The keys by which the issuer signs now.
    func keys() async throws(TokenClientError) -> JWKSet {
        guard let url = try await endpoints().keys else { throw .badMetadata("member `jwks_uri` is missing") }
        let body = try await document(url)
        do {
            return try JWKSet(
                parsing: body, limits: JSONLimits(maximumBytes: TokenServerAnswer.maximumBody, maximumDepth: 12))
        } catch {
            throw .badAnswer(error.description)
        }
    }

    func endpoints() async throws(TokenClientError) -> Endpoints {
        if let endpoints = known.withLock({ $0 }) { return endpoints }
        let metadata: AuthorizationServerMetadata
        let body = try await document(location)
        do {
            metadata = try AuthorizationServerMetadata(parsing: body, issuer: issuer)
        } catch {
            throw .badMetadata(error.description)
        }
        let endpoints = Endpoints(
            // RFC 8705 §5: where a certificate can be shown, if that is elsewhere.
            token: try own(metadata.mtlsEndpointAliases["token_endpoint"] ?? metadata.tokenEndpoint),
            keys: try metadata.jwksURI.map { text throws(TokenClientError) in try own(text) })
        known.withLock { $0 = endpoints }
        return endpoints
    }

    /// An endpoint of the issuer's own host: its metadata send nobody elsewhere.
    private func own(_ text: String) throws(TokenClientError) -> WebURL {
        guard let endpoint = try? WebURL(text), endpoint.isSecure, endpoint.origin.hasSameBytes(as: url.origin) else {
            throw .badMetadata("an endpoint is not on the issuer's host")
        }
        return endpoint
    }

    private func document(_ url: WebURL) async throws(TokenClientError) -> [UInt8] {
        let answer = try await transport(
            TokenServerRequest(.get, url, headers: [(name: "Accept", value: "application/json")]))
        switch answer.status {
        case 200: return answer.body
        case 429, 500...599: throw .busy(status: answer.status)
        default: throw .badAnswer("status \(answer.status) for a document")
        }
    }
}
