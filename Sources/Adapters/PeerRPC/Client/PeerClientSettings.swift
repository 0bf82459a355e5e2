import NIOCore
package import NIOSSL

/// How a ``PeerClientTransport`` reaches its server, and how long it waits.
package struct PeerClientSettings: Sendable {
    /// Where the server listens.
    package enum Target: Sendable, Hashable {
        case unixSocket(path: String)
        /// A name is resolved at every connection; an address is used as it is.
        case host(String, port: Int)
    }

    /// What protects the connection.
    package enum Security: Sendable {
        /// Nothing: the kernel tells who calls, or the network is trusted.
        case plaintext
        /// TLS with ALPN `h2`. `verify` judges the chain that the server shows (DER, leaf first) and alone decides: names of
        /// hosts count for nothing. It runs on the event loop and must not wait.
        case tls(NIOSSLContext, verify: @Sendable (_ chain: [[UInt8]]) -> Bool)
    }

    /// Pauses between attempts to connect (gRPC's "connection backoff"): each is longer by a factor of 1.6, up to the longest,
    /// and up to a fifth shorter or longer by chance, so that many clients do not come at once.
    package struct Pauses: Sendable {
        package var first: Duration
        package var longest: Duration

        package init(first: Duration, longest: Duration) {
            self.first = first
            self.longest = longest
        }

        private static let factor = 1.6
        private static let jitter = 0.2

        /// From the beginning of an attempt that failed, the n-th in a row from 0, to the beginning of the next.
        func pause(afterFailure n: Int) -> TimeAmount {
            // More would make no difference, whatever the first pause is.
            let factor = (0..<min(n, 64)).reduce(1.0) { product, _ in product * Self.factor }
            let nominal = min(Double(TimeAmount(first).nanoseconds) * factor, Double(TimeAmount(longest).nanoseconds))
            return .nanoseconds(Int64(nominal * Double.random(in: (1 - Self.jitter)...(1 + Self.jitter))))
        }

        /// After a connection that was good: all clients of a server that ends learn it at once, and would come back at once.
        func pauseAfterConnection() -> TimeAmount {
            .nanoseconds(Int64.random(in: 0...max(0, TimeAmount(first).nanoseconds)))
        }
    }

    /// Asks a server that calls are under way with whether it is still there (HTTP/2 PING).
    package struct KeepAlive: Sendable {
        package var interval: Duration
        /// How long the server has to answer.
        package var patience: Duration

        package init(interval: Duration, patience: Duration) {
            self.interval = interval
            self.patience = patience
        }
    }

    package var target: Target
    package var security: Security
    package var pauses: Pauses
    package var keepAlive: KeepAlive?
    /// How long an attempt to connect may take, handshakes included.
    package var connectTimeout = Duration.seconds(20)

    package init(target: Target, security: Security, pauses: Pauses, keepAlive: KeepAlive? = nil) {
        self.target = target
        self.security = security
        self.pauses = pauses
        self.keepAlive = keepAlive
    }

    /// A context for a gRPC client: TLS 1.3 or 1.2 with ALPN `h2`, without roots, for ``Security/tls(_:verify:)``.
    /// - Parameters:
    ///   - chain: what the client shows of itself, DER, leaf first; empty for nothing.
    ///   - privateKey: PKCS #8 DER.
    package static func makeTLSContext(chain: [[UInt8]], privateKey: [UInt8]) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .noHostnameVerification
        configuration.trustRoots = .certificates([])
        configuration.applicationProtocols = ["h2"]
        // A server that never answers close_notify must not hold up the end of a client.
        configuration.shutdownTimeout = .seconds(1)
        if !chain.isEmpty {
            configuration.certificateChain = try chain.map {
                .certificate(try NIOSSLCertificate(bytes: $0, format: .der))
            }
            configuration.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: privateKey, format: .der))
        }
        return try NIOSSLContext(configuration: configuration)
    }
}
