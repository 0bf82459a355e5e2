import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import PeerTLS
package import SPIFFE

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
    package enum WebRoots: Sendable, Hashable {
        /// What the operating system trusts.
        case system
        /// Certificates in PEM.
        case pem([UInt8])
    }

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
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let answer = eventLoop.makePromise(of: [UInt8].self)
        let deadline = eventLoop.scheduleTask(in: TimeAmount(timeout)) { answer.fail(BundleEndpointError.timeout) }
        ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(timeout))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(tlsHandler(url, authentication, answer))
                    try pipeline.addHTTPClientHandlers(leftOverBytesStrategy: .dropBytes)
                    try pipeline.addHandler(BundleResponseHandler(url, limit: Self.maximumLength, answer: answer))
                }
            }
            .connect(host: url.host, port: url.port)
            .whenComplete { result in
                switch result {
                // However the fetch ends, the connection ends with it.
                case .success(let channel): answer.futureResult.whenComplete { _ in channel.close(promise: nil) }
                case .failure(let error): answer.fail(BundleEndpointError.unreachable("\(error)"))
                }
            }
        defer { deadline.cancel() }
        do {
            return try await withTaskCancellationHandler {
                try await answer.futureResult.get()
            } onCancel: {
                answer.fail(BundleEndpointError.timeout)
            }
        } catch let error as BundleEndpointError {
            throw error
        } catch {
            throw .unreachable("\(error)")
        }
    }

    private func tlsHandler(
        _ url: HTTPSURL, _ authentication: Authentication, _ answer: EventLoopPromise<[UInt8]>
    ) throws -> NIOSSLClientHandler {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        // An address is no server name (RFC 6066 §3).
        let isAddress = (try? SocketAddress(ipAddress: url.host, port: 0)) != nil
        let name = isAddress ? nil : url.host
        switch authentication {
        case .web(let roots):
            if case .pem(let bytes) = roots {
                configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(bytes))
            }
            return try NIOSSLClientHandler(context: NIOSSLContext(configuration: configuration), serverHostname: name)
        case .spiffe(let endpointID, let bundle):
            configuration.certificateVerification = .noHostnameVerification
            configuration.trustRoots = .certificates([])
            let verifier = PeerVerifier(
                bundle: { $0 == bundle.trustDomain ? bundle : nil }, authorizer: .oneOf([endpointID]), now: now)
            return try NIOSSLClientHandler(
                context: NIOSSLContext(configuration: configuration), serverHostname: name,
                customVerificationCallback: { [isRevoked] certificates, verdict in
                    do throws(PeerVerifier.Refusal) {
                        let svid = try verifier.verify(certificates)
                        guard !isRevoked(svid) else { throw .revoked(svid.id) }
                        verdict.succeed(.certificateVerified)
                    } catch {
                        answer.fail(BundleEndpointError.unverified("\(error)"))
                        verdict.succeed(.failed)
                    }
                })
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
