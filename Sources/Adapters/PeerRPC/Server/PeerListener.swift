import GRPCCore
import GRPCNIOTransportHTTP2Posix
import NIOCore
import NIOPosix
import NIOSSL

/// Accepts connections for gRPC and finds out who they are.
struct PeerListener: HTTP2ServerTransport.ListenerFactory {
    enum Endpoint: Sendable {
        case unixSocket(descriptor: Int32)
        case tls(
            host: String, port: Int, context: @Sendable () throws -> NIOSSLContext,
            verify: @Sendable ([[UInt8]]) -> Bool)
    }

    let endpoint: Endpoint
    let limits: PeerServerLimits
    let registry: PeerRegistry
    let group: MultiThreadedEventLoopGroup
    private let memory = ChainMemory()

    init(
        endpoint: Endpoint, limits: PeerServerLimits, registry: PeerRegistry, group: MultiThreadedEventLoopGroup
    ) {
        self.endpoint = endpoint
        self.limits = limits
        self.registry = registry
        self.group = group
    }

    var eventLoopGroup: any EventLoopGroup { group }

    /// Connections that the kernel holds ready for us.
    private static let backlog: Int32 = 512

    func makeListeningChannel(
        listenerConfigurator: HTTP2ServerTransport.ListenerConfigurator,
        connectionConfigurator: HTTP2ServerTransport.ConnectionConfigurator
    ) async throws -> NIOAsyncChannel<HTTP2ServerTransport.ConnectionConfigurator.ConnectionChannel, Never> {
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: Self.backlog)
            .serverChannelInitializer { listenerConfigurator.configure(channel: $0) }
        switch endpoint {
        case .unixSocket(let descriptor):
            return try await bootstrap.bind(descriptor) { channel in
                admitting(channel) {
                    PeerCredentials.peer(of: channel)
                        .flatMapThrowing { peer in
                            try join("uid \(peer.process?.uid ?? .max)", channel)
                            let handler = PeerConnectionHandler(source: .known(peer), registry: registry)
                            try channel.pipeline.syncOperations.addHandler(handler)
                        }
                        .flatMap { connectionConfigurator.configure(channel: channel, tls: .none) }
                }
            }
        case .tls(let host, let port, let context, let verify):
            return
                try await bootstrap
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .bind(host: host, port: port) { channel in
                    admitting(channel) {
                        channel.eventLoop
                            .makeCompletedFuture {
                                try join(channel.remoteAddress?.ipAddress ?? "unknown", channel)
                                try addTLS(channel, context: context(), verify: verify)
                            }
                            .flatMap {
                                connectionConfigurator.configure(channel: channel, tls: .configured(requireALPN: true))
                            }
                    }
                }
        }
    }

    /// Adds the peer's token to each call of a connection; gRPC runs it before the first frame is read.
    func prepareStream(_ stream: any Channel) -> EventLoopFuture<Void> {
        stream.eventLoop.makeCompletedFuture {
            guard let connection = stream.parent,
                let token = try connection.pipeline.syncOperations.handler(type: PeerConnectionHandler.self).token
            else { throw PeerServerError.unknownPeer }
            let handler = PeerStreamHandler(
                headerName: registry.headerName, token: token, maximumFields: limits.maximumHeaderFields,
                maximumMessageBytes: limits.maximumRequestBytes)
            try stream.pipeline.syncOperations.addHandler(handler, position: .first)
        }
    }

    /// Sets a connection up if there is room for it, and closes it if that fails: nobody else would.
    private func admitting<Value>(
        _ channel: any Channel, _ setUp: () -> EventLoopFuture<Value>
    ) -> EventLoopFuture<Value> {
        guard registry.enter() else {
            channel.close(promise: nil)
            return channel.eventLoop.makeFailedFuture(PeerServerError.tooManyConnections)
        }
        channel.closeFuture.whenComplete { [registry] _ in registry.leave() }
        let value = setUp()
        value.whenFailure { _ in channel.close(promise: nil) }
        return value
    }

    /// Counts a connection for its source until it closes.
    private func join(_ source: String, _ channel: any Channel) throws(PeerServerError) {
        guard registry.enter(source: source) else { throw .tooManyConnections }
        channel.closeFuture.whenComplete { [registry] _ in registry.leave(source: source) }
    }

    private func addTLS(
        _ channel: any Channel, context: NIOSSLContext, verify: @escaping @Sendable ([[UInt8]]) -> Bool
    ) throws {
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
                presented, memory: memory, verify: bounded, timeout: TimeAmount(limits.handshakeTimeout)),
            registry: registry)
        try channel.pipeline.syncOperations.addHandlers([tls, handler])
    }
}
