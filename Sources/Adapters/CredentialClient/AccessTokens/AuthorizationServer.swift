import Authentication
package import OAuth
import Synchronization

/// An authorization server as its client knows it: metadata read once and checked, then one place for each question.
package final class AuthorizationServer: Sendable {

    package let issuer: String
    private let url: WebURL
    private let location: WebURL
    private let transport: TokenServerTransport
    // Guards what was read.
    private let known = Mutex<WebURL?>(nil)

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
        let url = try await tokenEndpoint()
        var headers = [("Content-Type", FormParameters.mediaType), ("Accept", "application/json")]
        if let proof { headers.append(("DPoP", try proof(url))) }
        return try await transport(
            TokenServerRequest(
                .post, url, headers: headers.map { (name: $0.0, value: $0.1) }, body: form.serializedBytes))
    }

    /// A document of the issuer, from its own host and no other.
    func issuerDocument(_ url: WebURL) async throws(IssuerDocumentError) -> [UInt8] {
        do throws(TokenClientError) {
            return try await document(try own(url.string))
        } catch {
            switch error {
            case .noDocument(let status): throw .status(status)
            case .busy(let status): throw .status(status)
            default: throw .unreachable(error.description)
            }
        }
    }

    func tokenEndpoint() async throws(TokenClientError) -> WebURL {
        if let endpoint = known.withLock({ $0 }) { return endpoint }
        let metadata: AuthorizationServerMetadata
        let body = try await document(location)
        do {
            metadata = try AuthorizationServerMetadata(parsing: body, issuer: issuer)
        } catch {
            throw .badMetadata(error.description)
        }
        // RFC 8705 §5: where a certificate can be shown, if that is elsewhere.
        let endpoint = try own(metadata.mtlsEndpointAliases["token_endpoint"] ?? metadata.tokenEndpoint)
        known.withLock { $0 = endpoint }
        return endpoint
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
        default: throw .noDocument(status: answer.status)
        }
    }
}
