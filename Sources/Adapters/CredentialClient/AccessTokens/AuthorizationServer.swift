import Authentication
import JOSE
package import OAuth
import Synchronization

/// An authorization server as its client knows it: metadata read once and checked, then one place for each question.
package final class AuthorizationServer: Sendable {

    package let issuer: String
    private let url: WebURL
    private let location: WebURL
    private let transport: TokenServerTransport
    // Guards what was read.
    private let known = Mutex<Endpoints?>(nil)

    /// Where to ask what; nil for what the server does not do.
    struct Endpoints: Sendable {
        let token: WebURL
        let consumption: WebURL?
        let transaction: WebURL?
    }

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
        try await post(form, to: try await endpoints().token, proof: proof)
    }

    /// Asks for the approval of a resource's challenge, or for its outcome.
    func transaction(
        _ form: FormParameters, proof: ((WebURL) throws(TokenClientError) -> String)?
    ) async throws(TokenClientError) -> TokenServerAnswer {
        guard let endpoint = try await endpoints().transaction else {
            throw .badMetadata("the server authorizes no transactions")
        }
        return try await post(form, to: endpoint, proof: proof)
    }

    /// Has a token for one approved act used up. True once for each token; whatever else happens, it was not used.
    package func consume(_ token: SecretText) async throws(TokenClientError) -> Bool {
        guard let endpoint = try await endpoints().consumption else {
            throw .badMetadata("the server uses up no tokens")
        }
        let answer = try await post(FormParameters([(name: "token", value: token.text)]), to: endpoint, proof: nil)
        guard answer.status == 200 else {
            if answer.status == 429 || answer.status >= 500 { throw .busy(status: answer.status) }
            throw .refused(code: (try? ReceivedError(parsing: answer.body))?.name ?? "status \(answer.status)")
        }
        guard let json = try? JSONValue(parsing: answer.body).objectValue else {
            throw .badAnswer("the answer is no object")
        }
        return json["active"] == .bool(true)
    }

    private func post(
        _ form: FormParameters, to url: WebURL, proof: ((WebURL) throws(TokenClientError) -> String)?
    ) async throws(TokenClientError) -> TokenServerAnswer {
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

    func endpoints() async throws(TokenClientError) -> Endpoints {
        if let endpoints = known.withLock({ $0 }) { return endpoints }
        let metadata: AuthorizationServerMetadata
        let body = try await document(location)
        do {
            metadata = try AuthorizationServerMetadata(parsing: body, issuer: issuer)
        } catch {
            throw .badMetadata(error.description)
        }
        // RFC 8705 §5: where a certificate can be shown, if that is elsewhere.
        let endpoints = Endpoints(
            token: try own(metadata.mtlsEndpointAliases["token_endpoint"] ?? metadata.tokenEndpoint),
            consumption: try own("token_consumption_endpoint", of: metadata),
            transaction: try own("transaction_authorization_endpoint", of: metadata))
        known.withLock { $0 = endpoints }
        return endpoints
    }

    private func own(
        _ member: String, of metadata: AuthorizationServerMetadata
    ) throws(TokenClientError) -> WebURL? {
        guard let text = metadata.otherMembers[member]?.stringValue else { return nil }
        return try own(metadata.mtlsEndpointAliases[member] ?? text)
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
