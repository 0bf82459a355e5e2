import NIOCore
import NIOHTTP1
import NIOPosix
package import NIOSSL

/// Fetches documents from servers that are not ours.
///
/// One GET on a connection of its own: no redirects, no reuse, no session that a later fetch could resume unverified.
package struct WebFetch: Sendable {
    /// How the server has to prove itself.
    package enum Authentication: Sendable {
        /// By a certificate for the URL's host from one of these authorities.
        case web(WebRoots)
        /// By certificates that this function judges, with nothing else; a text says why they do not count.
        case judged(@Sendable ([NIOSSLCertificate]) -> String?)
    }

    /// The authorities that certificates of the web are verified with.
    package enum WebRoots: Sendable, Hashable {
        /// What the operating system trusts.
        case system
        /// Certificates in PEM.
        case pem([UInt8])
    }

    private let timeout: Duration
    private let maximumLength: Int

    /// - Parameters:
    ///   - timeout: how long a fetch may take altogether.
    ///   - maximumLength: the largest document that is read, in bytes.
    package init(timeout: Duration, maximumLength: Int) {
        self.timeout = timeout
        self.maximumLength = maximumLength
    }

    /// The body of the server's answer, which has to be 200.
    package func get(
        _ target: FetchTarget, _ authentication: Authentication
    ) async throws(WebFetchError) -> [UInt8] {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let answer = eventLoop.makePromise(of: [UInt8].self)
        let deadline = eventLoop.scheduleTask(in: TimeAmount(timeout)) { answer.fail(WebFetchError.timeout) }
        ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(timeout))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(Self.tlsHandler(target, authentication, answer))
                    try pipeline.addHTTPClientHandlers(leftOverBytesStrategy: .dropBytes)
                    try pipeline.addHandler(DocumentHandler(target, limit: maximumLength, answer: answer))
                }
            }
            .connect(host: target.host, port: target.port)
            .whenComplete { result in
                switch result {
                // However the fetch ends, the connection ends with it.
                case .success(let channel): answer.futureResult.whenComplete { _ in channel.close(promise: nil) }
                case .failure(let error): answer.fail(WebFetchError.unreachable("\(error)"))
                }
            }
        defer { deadline.cancel() }
        do {
            return try await withTaskCancellationHandler {
                try await answer.futureResult.get()
            } onCancel: {
                answer.fail(WebFetchError.timeout)
            }
        } catch let error as WebFetchError {
            throw error
        } catch {
            throw .unreachable("\(error)")
        }
    }

    private static func tlsHandler(
        _ target: FetchTarget, _ authentication: Authentication, _ answer: EventLoopPromise<[UInt8]>
    ) throws -> NIOSSLClientHandler {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        // An address is no server name (RFC 6066 §3).
        let isAddress = (try? SocketAddress(ipAddress: target.host, port: 0)) != nil
        let name = isAddress ? nil : target.host
        switch authentication {
        case .web(let roots):
            if case .pem(let bytes) = roots {
                configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(bytes))
            }
            return try NIOSSLClientHandler(context: NIOSSLContext(configuration: configuration), serverHostname: name)
        case .judged(let objection):
            configuration.certificateVerification = .noHostnameVerification
            configuration.trustRoots = .certificates([])
            return try NIOSSLClientHandler(
                context: NIOSSLContext(configuration: configuration), serverHostname: name,
                customVerificationCallback: { certificates, verdict in
                    if let reason = objection(certificates) {
                        answer.fail(WebFetchError.unverified(reason))
                        verdict.succeed(.failed)
                    } else {
                        verdict.succeed(.certificateVerified)
                    }
                })
        }
    }
}

/// Where a document is, as a connection and a request need it.
package struct FetchTarget: Sendable {
    /// A name or an address; an IPv6 address without its brackets.
    package let host: String
    package let port: Int
    /// Path and query; at least `/`.
    package let path: String
    /// The `Host` header (RFC 9110 §7.2).
    package let authority: String

    package init(host: String, port: Int, path: String, authority: String) {
        self.host = host
        self.port = port
        self.path = path
        self.authority = authority
    }
}

/// Why no document was fetched.
package enum WebFetchError: Error, Sendable {
    /// No connection, or one that broke.
    case unreachable(String)
    /// The server did not prove itself.
    case unverified(String)
    /// An answer other than 200; redirects are not followed.
    case status(Int)
    case tooLarge
    case timeout
}
