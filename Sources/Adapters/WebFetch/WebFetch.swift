package import NIOCore
import NIOHTTP1
import NIOPosix
package import NIOSSL

/// Fetches documents from servers that are not ours, and delivers to them.
///
/// One GET or POST on a connection of its own: no redirects, no reuse, no session that a later fetch could resume unverified.
/// Where a rule says which addresses may be reached, the host is resolved once, every address that it stands for has
/// to be allowed, and the connection goes to one of these addresses and not to the name again.
package struct WebFetch: Sendable {
    /// How the server has to prove itself.
    package enum Authentication: Sendable {
        /// By a certificate for the URL's host from one of these authorities.
        case web(WebRoots)
        /// The same, by ``WebFetch/prepared(_:)``: the authorities are read once for many connections.
        case prepared(NIOSSLContext)
        /// By certificates that this function judges, with nothing else; a text says why they do not count.
        case judged(@Sendable ([NIOSSLCertificate]) -> String?)
        /// Not at all: HTTP without TLS, which is for this machine alone whatever the rule says.
        case nothing
    }

    /// The authorities that certificates of the web are verified with.
    package enum WebRoots: Sendable, Hashable {
        /// What the operating system trusts.
        case system
        /// Certificates in PEM.
        case pem([UInt8])
    }

    /// The most addresses of a host that are tried.
    private static let maximumAttempts = 4

    private let timeout: Duration
    private let maximumLength: Int
    private let rule: AddressRule
    private let resolve: HostAddresses.Resolve

    /// - Parameters:
    ///   - timeout: how long a fetch may take altogether.
    ///   - maximumLength: the largest document that is read, in bytes; of the answer to a POST no more is waited for.
    ///   - rule: the addresses that may be reached.
    package init(timeout: Duration, maximumLength: Int, rule: AddressRule) {
        self.init(timeout: timeout, maximumLength: maximumLength, rule: rule, resolve: HostAddresses.resolve)
    }

    /// - Parameter resolve: the addresses of a host, for tests.
    package init(timeout: Duration, maximumLength: Int, rule: AddressRule, resolve: @escaping HostAddresses.Resolve) {
        self.timeout = timeout
        self.maximumLength = maximumLength
        self.rule = rule
        self.resolve = resolve
    }

    /// Reads authorities once for many connections.
    package static func prepared(_ roots: WebRoots) throws(WebFetchError) -> Authentication {
        do {
            return .prepared(try context(roots))
        } catch {
            throw .unverified("the authorities cannot be read: \(error)")
        }
    }

    /// The server's answer, which has to be 200.
    package func get(
        _ target: FetchTarget, _ authentication: Authentication
    ) async throws(WebFetchError) -> WebDocument {
        let maximumLength = maximumLength
        return try await within(timeout) { (eventLoop, answer) in
            connect(target, authentication, answer, on: eventLoop) {
                DocumentHandler(target, limit: maximumLength, answer: answer)
            }
        }
    }

    /// Delivers to a server; returns the status of its answer, whatever that is. Redirects are not followed.
    package func post(
        _ content: WebContent, to target: FetchTarget, _ authentication: Authentication
    ) async throws(WebFetchError) -> Int {
        let maximumLength = maximumLength
        return try await within(timeout) { (eventLoop, answer) in
            connect(target, authentication, answer, on: eventLoop) {
                DeliveryHandler(content, target, limit: maximumLength, answer: answer)
            }
        }
    }

    /// Whether a connection to the target would be tried, as its host's addresses are now.
    package func check(_ target: FetchTarget) async throws(WebFetchError) {
        try await within(timeout) { (eventLoop, answer: EventLoopPromise<Void>) in
            let addresses = addresses(of: target, rule, on: eventLoop)
            addresses.map { _ in }.cascade(to: answer)
            return addresses.map { _ in nil }
        }
    }

    /// Waits for an answer for as long as it may take.
    ///
    /// - Parameter begin: begins; the connection that it leads to ends with the answer, however that comes out.
    private func within<Answer: Sendable>(
        _ timeout: Duration,
        _ begin: (any EventLoop, EventLoopPromise<Answer>) -> EventLoopFuture<(any Channel)?>
    ) async throws(WebFetchError) -> Answer {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let answer = eventLoop.makePromise(of: Answer.self)
        let deadline = eventLoop.scheduleTask(in: TimeAmount(timeout)) { answer.fail(WebFetchError.timeout) }
        begin(eventLoop, answer)
            .whenComplete { result in
                switch result {
                case .success(let channel): answer.futureResult.whenComplete { _ in channel?.close(promise: nil) }
                case .failure(let error as WebFetchError): answer.fail(error)
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

    private func connect<Answer: Sendable>(
        _ target: FetchTarget, _ authentication: Authentication, _ answer: EventLoopPromise<Answer>,
        on eventLoop: any EventLoop, _ handler: @escaping @Sendable () -> any ChannelHandler
    ) -> EventLoopFuture<(any Channel)?> {
        let initialize: @Sendable (any Channel) -> EventLoopFuture<Void> = { channel in
            channel.eventLoop.makeCompletedFuture {
                let pipeline = channel.pipeline.syncOperations
                if let tls = try Self.tlsHandler(target, authentication, refuse: { answer.fail($0) }) {
                    try pipeline.addHandler(tls)
                }
                try pipeline.addHTTPClientHandlers(leftOverBytesStrategy: .dropBytes)
                try pipeline.addHandler(handler())
            }
        }
        var rule = rule
        if case .nothing = authentication { rule = .loopback }
        guard rule != .any else {
            return bootstrap(initialize, on: eventLoop, timeout: timeout)
                .connect(host: target.host, port: target.port).map { $0 }
        }
        return addresses(of: target, rule, on: eventLoop)
            .flatMap { addresses in
                // One that swallows packets leaves the others their share of the time.
                connect(to: addresses[...], initialize, on: eventLoop, timeout: timeout / addresses.count)
            }
            .map { $0 }
    }

    /// The addresses that a host stands for, at least one; all of them are allowed.
    private func addresses(
        of target: FetchTarget, _ rule: AddressRule, on eventLoop: any EventLoop
    ) -> EventLoopFuture<[SocketAddress]> {
        // Looking a name up blocks a thread, for longer than the fetch may take if the name servers are silent.
        NIOThreadPool.singleton
            .runIfActive(eventLoop: eventLoop) { [resolve] in
                let addresses = try resolve(target.host, target.port)
                guard !addresses.isEmpty else { throw WebFetchError.unreachable("the host has no address") }
                for address in addresses where !rule.allows(AddressKind(address)) {
                    throw WebFetchError.refusedAddress(address.ipAddress ?? "of an unknown kind")
                }
                return Array(addresses.prefix(Self.maximumAttempts))
            }
    }

    /// Connects to the first of these addresses that answers.
    private func connect(
        to addresses: ArraySlice<SocketAddress>,
        _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>, on eventLoop: any EventLoop,
        timeout: Duration
    ) -> EventLoopFuture<any Channel> {
        guard let address = addresses.first else {
            return eventLoop.makeFailedFuture(WebFetchError.unreachable("the host has no address"))
        }
        let attempt = bootstrap(initialize, on: eventLoop, timeout: timeout).connect(to: address)
        guard addresses.count > 1 else { return attempt }
        return attempt.flatMapError { _ in
            connect(to: addresses.dropFirst(), initialize, on: eventLoop, timeout: timeout)
        }
    }

    private func bootstrap(
        _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>, on eventLoop: any EventLoop,
        timeout: Duration
    ) -> ClientBootstrap {
        ClientBootstrap(group: eventLoop).connectTimeout(TimeAmount(timeout)).channelInitializer(initialize)
    }

    private static var clientConfiguration: TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        return configuration
    }

    private static func context(_ roots: WebRoots) throws -> NIOSSLContext {
        var configuration = clientConfiguration
        if case .pem(let bytes) = roots {
            configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(bytes))
        }
        return try NIOSSLContext(configuration: configuration)
    }

    private static func tlsHandler(
        _ target: FetchTarget, _ authentication: Authentication, refuse: @escaping @Sendable (WebFetchError) -> Void
    ) throws -> NIOSSLClientHandler? {
        // An address is no server name (RFC 6066 §3).
        let isAddress = (try? SocketAddress(ipAddress: target.host, port: 0)) != nil
        let name = isAddress ? nil : target.host
        switch authentication {
        case .nothing: return nil
        case .web(let roots): return try NIOSSLClientHandler(context: context(roots), serverHostname: name)
        case .prepared(let context): return try NIOSSLClientHandler(context: context, serverHostname: name)
        case .judged(let objection):
            var configuration = clientConfiguration
            configuration.certificateVerification = .noHostnameVerification
            configuration.trustRoots = .certificates([])
            return try NIOSSLClientHandler(
                context: NIOSSLContext(configuration: configuration), serverHostname: name,
                customVerificationCallback: { certificates, verdict in
                    if let reason = objection(certificates) {
                        refuse(.unverified(reason))
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

/// A document and what its server says about keeping it.
package struct WebDocument: Sendable, Equatable {
    package let bytes: [UInt8]
    /// The header field `Cache-Control`; several of them are joined by commas.
    package let cacheControl: String?
}

/// What is delivered to a server.
package struct WebContent: Sendable {
    package let type: String
    package let body: ByteBuffer
    /// Further header fields. Their names and values have to be such by RFC 9110 §5.
    package let headers: [(name: String, value: String)]

    package init(type: String, body: ByteBuffer, headers: [(name: String, value: String)]) {
        self.type = type
        self.body = body
        self.headers = headers
    }
}

/// Why no document was fetched, or none delivered.
package enum WebFetchError: Error, Sendable, Equatable {
    /// No connection, or one that broke.
    case unreachable(String)
    /// The server did not prove itself.
    case unverified(String)
    /// The host stands for an address that the rule does not allow.
    case refusedAddress(String)
    /// An answer that is neither 200 nor a redirect.
    case status(Int)
    /// An answer that names another place, with its host if it has one; it is not followed.
    case redirect(Int, host: String?)
    case tooLarge
    case timeout
}
