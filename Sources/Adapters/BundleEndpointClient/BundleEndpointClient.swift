import PeerTLS
package import SPIFFE
package import WebFetch

/// Fetches the bundle document of another trust domain from its bundle endpoint (SPIFFE Federation §5).
///
/// One GET on a connection of its own: no redirects, no reuse, no session that a later fetch could resume unverified.
package struct BundleEndpointClient: Sendable {
    /// How the endpoint has to prove itself.
    package enum Authentication: Sendable {
        /// `https_web`: by a certificate for the URL's host from one of these authorities.
        case web(WebRoots)
        /// `https_spiffe`: by an X.509-SVID with exactly this ID, verified with the bundle of the ID's trust domain.
        case spiffe(endpointID: SPIFFEID, bundle: X509Bundle)
    }

    /// The authorities that certificates of the web are verified with.
    package typealias WebRoots = WebFetch.WebRoots

    /// Largest document that is read, in bytes.
    package static let maximumLength = 1 << 20
    /// How long a fetch may take altogether.
    package static let defaultTimeout = Duration.seconds(20)

    private let timeout: Duration
    private let now: @Sendable () -> UnixTime
    private let isRevoked: @Sendable (VerifiedX509SVID) -> Bool

    /// - Parameters:
    ///   - now: the time that SVIDs are verified at.
    ///   - isRevoked: whether an endpoint's SVID that verifies is revoked.
    package init(
        timeout: Duration = defaultTimeout, now: @escaping @Sendable () -> UnixTime,
        isRevoked: @escaping @Sendable (VerifiedX509SVID) -> Bool
    ) {
        self.timeout = timeout
        self.now = now
        self.isRevoked = isRevoked
    }

    /// The body of the endpoint's answer.
    package func fetch(
        _ url: HTTPSURL, _ authentication: Authentication
    ) async throws(BundleEndpointError) -> [UInt8] {
        let target = FetchTarget(host: url.host, port: url.port, path: url.target, authority: url.authority)
        do throws(WebFetchError) {
            // Any address: whoever names an endpoint decides where the control plane may go.
            let fetch = WebFetch(timeout: timeout, maximumLength: Self.maximumLength, rule: .any)
            return try await fetch.get(target, proof(authentication)).bytes
        } catch {
            throw BundleEndpointError(error)
        }
    }

    private func proof(_ authentication: Authentication) -> WebFetch.Authentication {
        switch authentication {
        case .web(let roots): return .web(roots)
        case .spiffe(let endpointID, let bundle):
            let verifier = PeerVerifier(
                bundle: { $0 == bundle.trustDomain ? bundle : nil }, authorizer: .oneOf([endpointID]), now: now)
            return .judged { [isRevoked] certificates in
                do throws(PeerVerifier.Refusal) {
                    let svid = try verifier.verify(certificates)
                    guard !isRevoked(svid) else { throw .revoked(svid.id) }
                    return nil
                } catch {
                    return "\(error)"
                }
            }
        }
    }
}

/// Why no bundle document was fetched.
package enum BundleEndpointError: Error, Sendable, CustomStringConvertible {
    /// No connection, or one that broke.
    case unreachable(String)
    /// The endpoint did not prove itself.
    case unverified(String)
    /// An answer other than 200; redirects are not followed.
    case status(Int)
    case tooLarge
    case timeout

    init(_ error: WebFetchError) {
        switch error {
        case .unreachable(let reason): self = .unreachable(reason)
        case .unverified(let reason): self = .unverified(reason)
        case .status(let code), .redirect(let code, _): self = .status(code)
        case .refusedAddress(let address): self = .unreachable("the address \(address) is refused")
        case .tooLarge: self = .tooLarge
        case .timeout: self = .timeout
        }
    }

    package var description: String {
        switch self {
        case .unreachable(let reason): "the endpoint cannot be reached: \(reason.prefix(200))"
        case .unverified(let reason): "the endpoint did not prove itself: \(reason.prefix(200))"
        case .status(let code) where (300..<400).contains(code):
            "the endpoint answered \(code): redirects are not followed"
        case .status(let code): "the endpoint answered \(code)"
        case .tooLarge: "the document is larger than \(BundleEndpointClient.maximumLength) bytes"
        case .timeout: "the endpoint did not answer in time"
        }
    }

    /// A short word for audit records.
    package var code: String {
        switch self {
        case .unreachable: "endpoint_unreachable"
        case .unverified: "endpoint_unverified"
        case .status: "endpoint_status"
        case .tooLarge: "document_too_large"
        case .timeout: "endpoint_timeout"
        }
    }
}
