import NIOCore
import NIOPosix
import NIOSSL

/// Accepts connections and finds out who they are.
struct PeerListener: Sendable {
    enum Endpoint: Sendable {
        case unixSocket(descriptor: Int32)
        case tls(
            host: String, port: Int, context: @Sendable () throws -> NIOSSLContext,
            verify: @Sendable ([[UInt8]]) -> Bool)
    }

    /// Adds what speaks on a connection behind its ``PeerConnectionHandler``; on the connection's event loop.
    typealias SetUp = @Sendable (any Channel, PeerConnectionHandler) throws -> Void

    let endpoint: Endpoint
    let limits: PeerServerLimits
    let counts: ConnectionCounts
    let group: MultiThreadedEventLoopGroup
    private let memory = ChainMemory()

    init(
        endpoint: Endpoint, limits: PeerServerLimits, counts: ConnectionCounts, group: MultiThreadedEventLoopGroup
    ) {
        self.endpoint = endpoint
        self.limits = limits
        self.counts = counts
        self.group = group
    }

    /// Connections that the kernel holds ready for us.
    private static let backlog: Int32 = 512

    /// The listening channel.
    func listen(_ setUp: @escaping SetUp) async throws -> any Channel {
        let bootstrap = ServerBootstrap(group: group).serverChannelOption(.backlog, value: Self.backlog)
        switch endpoint {
        case .unixSocket(let descriptor):
            return try await bootstrap.childChannelInitializer { channel in
                admitting(channel) {
                    PeerCredentials.peer(of: channel).flatMapThrowing { peer in
                        try join("uid \(peer.process?.uid ?? .max)", channel)
                        let handler = PeerConnectionHandler(source: .known(peer))
                        try channel.pipeline.syncOperations.addHandler(handler)
                        try setUp(channel, handler)
                    }
                }
            }
            .withBoundSocket(descriptor).get()
        case .tls(let host, let port, let context, let verify):
            return
                try await bootstrap
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelInitializer { channel in
                    admitting(channel) {
                        channel.eventLoop.makeCompletedFuture {
                            try join(channel.remoteAddress?.ipAddress ?? "unknown", channel)
                            try setUp(channel, try addTLS(channel, context: context(), verify: verify))
                        }
                    }
                }
                .bind(host: host, port: port).get()
        }
    }

    /// Sets a connection up if there is room for it, and closes it if that fails: nobody else would.
    private func admitting(_ channel: any Channel, _ setUp: () -> EventLoopFuture<Void>) -> EventLoopFuture<Void> {
        guard counts.enter() else {
            channel.close(promise: nil)
            return channel.eventLoop.makeFailedFuture(PeerServerError.tooManyConnections)
        }
        channel.closeFuture.whenComplete { [counts] _ in counts.leave() }
        let result = setUp()
        result.whenFailure { _ in channel.close(promise: nil) }
        return result
    }

    /// Counts a connection for its source until it closes.
    private func join(_ source: String, _ channel: any Channel) throws(PeerServerError) {
        guard counts.enter(source: source) else { throw .tooManyConnections }
        channel.closeFuture.whenComplete { [counts] _ in counts.leave(source: source) }
    }

    private func addTLS(
        _ channel: any Channel, context: NIOSSLContext, verify: @escaping @Sendable ([[UInt8]]) -> Bool
    ) throws -> PeerConnectionHandler {
        let presented = PresentedChain()
        let limits = limits
        let bounded: @Sendable ([[UInt8]]) -> Bool = { chain in
            !chain.isEmpty && chain.count <= limits.maximumChainLength
                && chain.reduce(0) { $0 + $1.count } <= limits.maximumChainBytes && verify(chain)
        }
        let memory = memory
        let tls = NIOSSLServerHandler(context: context) { certificates, promise in
            guard let chain = try? certificates.map({ try $0.toDERBytes() }), bounded(chain) else {
                return promise.succeed(.failed)
            }
            presented.accept(chain)
            memory.remember(chain)
            promise.succeed(.certificateVerified)
        }
        let handler = PeerConnectionHandler(
            source: .handshake(
                presented, memory: memory, verify: bounded, timeout: TimeAmount(limits.handshakeTimeout)))
        try channel.pipeline.syncOperations.addHandlers([tls, handler])
        return handler
    }
}
