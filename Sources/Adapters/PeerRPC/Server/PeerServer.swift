package import GRPCCore
import NIOPosix
package import NIOSSL
import Synchronization

/// A gRPC server whose handlers know who is on the connection: `context.connectionPeer`.
///
/// It serves from ``run()`` until ``beginGracefulShutdown()`` or until its task is cancelled, once.
package final class PeerServer: Sendable {
    private enum Place: Sendable {
        case unixSocket(path: String, access: SocketAccess)
        case tls(
            host: String, port: Int, context: @Sendable () throws -> NIOSSLContext,
            verify: @Sendable ([[UInt8]]) -> Bool)
    }

    private let place: Place
    private let limits: PeerServerLimits
    private let services: [any RegistrableRPCService]
    private let interceptors: [ConditionalInterceptor<any ServerInterceptor>]
    private let counts: ConnectionCounts
    private let signals = PeerServerSignals()

    private init(
        place: Place, limits: PeerServerLimits, services: [any RegistrableRPCService],
        interceptors: [ConditionalInterceptor<any ServerInterceptor>]
    ) {
        self.place = place
        self.limits = limits
        self.services = services
        self.interceptors = interceptors
        counts = ConnectionCounts(
            maximum: limits.maximumConnections, maximumPerSource: limits.maximumConnectionsPerSource)
    }

    /// A server on the Unix socket at the absolute `path`, whose peers are processes.
    package static func unixSocket(
        path: String, access: SocketAccess, limits: PeerServerLimits = .init(),
        services: [any RegistrableRPCService],
        interceptors: [ConditionalInterceptor<any ServerInterceptor>] = []
    ) -> PeerServer {
        PeerServer(
            place: .unixSocket(path: path, access: access), limits: limits, services: services,
            interceptors: interceptors)
    }

    /// A server with TLS 1.3 on a TCP port (0 lets the kernel choose), whose peers are anonymous or have shown a
    /// certificate that `verifyClient` accepts (DER, leaf first, as presented; it runs on the event loop and must not
    /// wait). A refused certificate ends the handshake.
    ///
    /// `context` is asked for every connection, so that a new identity counts at once; see
    /// ``PeerServer/makeTLSContext(chain:privateKey:)``.
    package static func tls(
        host: String, port: Int, limits: PeerServerLimits = .init(),
        context: @escaping @Sendable () throws -> NIOSSLContext,
        verifyClient: @escaping @Sendable (_ chain: [[UInt8]]) -> Bool,
        services: [any RegistrableRPCService],
        interceptors: [ConditionalInterceptor<any ServerInterceptor>] = []
    ) -> PeerServer {
        PeerServer(
            place: .tls(host: host, port: port, context: context, verify: verifyClient), limits: limits,
            services: services, interceptors: interceptors)
    }

    /// Serves. Throws when the place cannot be taken (`SocketError` for a Unix socket, `PeerServerError.cannotListen` else); returns after a shutdown.
    package func run() async throws {
        guard signals.start() else { throw PeerServerError.alreadyRan }
        defer { signals.stop() }
        DescriptorLimit.raise()
        switch place {
        case .unixSocket(let path, let access):
            let socket = try UnixSocket.bind(path: path, access: access)
            defer { socket.unlinkIfOwn() }
            try await serve(.unixSocket(descriptor: socket.descriptor))
        case .tls(let host, let port, let context, let verify):
            do {
                try await serve(.tls(host: host, port: port, context: context, verify: verify))
            } catch let error as RuntimeError {
                // gRPC wraps what its transport throws.
                throw error.cause.flatMap { PeerServerError(binding: host, port: port, $0) } ?? error
            } catch {
                throw PeerServerError(binding: host, port: port, error) ?? error
            }
        }
    }

    /// Stops accepting, tells calls through their context's cancellation, and lets ``run()`` return when they are
    /// done, or after the grace of the limits.
    package func beginGracefulShutdown() {
        signals.requestShutdown()
    }

    /// The TCP port once the server listens; `nil` on a Unix socket, or when it stopped before it could listen.
    package var listeningPort: Int? {
        get async { await signals.listening()?.port }
    }

    /// Returns once the server accepts connections; `false` when it stopped before it could.
    package func waitUntilListening() async -> Bool {
        await signals.listening() != nil
    }

    /// Connections that are open now.
    package var connectionCount: Int { counts.total }

    private func serve(_ endpoint: PeerListener.Endpoint) async throws {
        let listener = PeerListener(
            endpoint: endpoint, limits: limits, counts: counts, group: .singletonMultiThreadedEventLoopGroup)
        let transport = PeerTransport(listener: listener, limits: limits) { [signals] port in
            signals.listens(PeerServerSignals.Listening(port: port))
        }
        let server = GRPCServer(transport: transport, services: services, interceptorPipeline: interceptors)
        let grace = limits.grace
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [signals] in
                await signals.shutdownRequested()
                // A shutdown before the server listens would be lost.
                _ = await signals.listening()
                server.beginGracefulShutdown()
                // Cancelled by the server's own end, which comes first when every call is done.
                try? await Task.sleep(for: grace)
            }
            group.addTask { [signals] in
                defer { signals.listens(nil) }
                try await server.serve()
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
