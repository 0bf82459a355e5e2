package import Authentication
package import OAuth

/// Fetches what a keyring of external issuers asks for.
package struct IssuerDocuments: Sendable {
    /// How long one document may take altogether.
    package static let defaultTimeout = Duration.seconds(5)

    private let timeout: Duration
    private let resolve: HostAddresses.Resolve

    package init(timeout: Duration = defaultTimeout) {
        self.init(timeout: timeout, resolve: HostAddresses.resolve)
    }

    init(timeout: Duration, resolve: @escaping HostAddresses.Resolve) {
        self.timeout = timeout
        self.resolve = resolve
    }

    /// Gets one document after the rules of the request.
    package func get(
        _ request: IssuerDocumentRequest
    ) async throws(IssuerDocumentError) -> IssuerDocument {
        let fetch = WebFetch(
            timeout: timeout, maximumLength: request.maximumBytes, rule: AddressRule(request.addresses),
            resolve: resolve)
        do throws(WebFetchError) {
            let document = try await fetch.get(
                FetchTarget(request.url), request.url.isSecure ? .web(WebFetch.WebRoots(request.roots)) : .nothing)
            return IssuerDocument(bytes: document.bytes, cacheControl: document.cacheControl)
        } catch {
            throw IssuerDocumentError(error)
        }
    }
}

extension FetchTarget {
    /// The target of a request for this URL (RFC 9112 §3.2.1).
    package init(_ url: WebURL) {
        let isBracketed = url.host.hasPrefix("[") && url.host.hasSuffix("]")
        let path = url.path.isEmpty ? "/" : url.path
        self.init(
            host: isBracketed ? String(url.host.dropFirst().dropLast()) : url.host, port: url.port,
            path: url.query.map { "\(path)?\($0)" } ?? path,
            authority: url.port == (url.isSecure ? 443 : 80) ? url.host : "\(url.host):\(url.port)")
    }
}

extension AddressRule {
    fileprivate init(_ addresses: IssuerDocumentRequest.Addresses) {
        switch addresses {
        case .global: self = .global
        case .globalOrPrivate: self = .globalOrPrivate
        case .loopback: self = .loopback
        }
    }
}

extension WebFetch.WebRoots {
    fileprivate init(_ roots: TrustedIssuer.Roots) {
        switch roots {
        case .system: self = .system
        case .pem(let bytes): self = .pem(bytes)
        }
    }
}

extension IssuerDocumentError {
    fileprivate init(_ error: WebFetchError) {
        switch error {
        case .unreachable(let reason): self = .unreachable(String(reason.prefix(200)))
        case .unverified(let reason): self = .unverified(String(reason.prefix(200)))
        case .refusedAddress(let address): self = .refusedAddress(address)
        case .status(let code): self = .status(code)
        case .redirect(let code, let host): self = .redirect(code, host: host)
        case .tooLarge: self = .tooLarge
        case .timeout: self = .timeout
        }
    }
}
