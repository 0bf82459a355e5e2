import NIOCore
import NIOSSL
import NIOTLS
import Synchronization

/// Stands between a connection's transport and gRPC: knows the peer, and lets nothing through before it does.
final class PeerConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = NIOAny
    typealias OutboundIn = NIOAny

    /// What has to happen before the peer is known.
    enum Source {
        /// Nothing: the kernel told.
        case known(ConnectionPeer)
        /// A TLS handshake in which the client may show a certificate.
        case handshake(
            PresentedChain, memory: ChainMemory, verify: @Sendable ([[UInt8]]) -> Bool, timeout: TimeAmount)
    }

    /// Stands for the peer in the registry; `nil` until the peer is known and after the connection closed.
    private(set) var token: String?

    private let registry: PeerRegistry
    private let source: Source
    private var timeout: Scheduled<Void>?
    private var isRefused = false

    init(source: Source, registry: PeerRegistry) {
        self.source = source
        self.registry = registry
    }

    func handlerAdded(context: ChannelHandlerContext) {
        switch source {
        case .known(let peer):
            token = registry.add(peer)
        case .handshake(_, _, _, let limit):
            let channel = context.channel
            timeout = context.eventLoop.scheduleTask(in: limit) { channel.close(promise: nil) }
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        forget()
    }

    func channelInactive(context: ChannelHandlerContext) {
        forget()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // INVARIANT: gRPC sees no byte of a peer that is not known.
        guard token != nil, !isRefused else { return }
        context.fireChannelRead(data)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent,
            case .handshake(let presented, let memory, let verify, _) = source
        {
            timeout?.cancel()
            timeout = nil
            guard let identity = Self.identity(context, presented: presented, memory: memory, verify: verify) else {
                isRefused = true
                context.close(promise: nil)
                return
            }
            let address = context.remoteAddress.map(Self.text(of:)) ?? "unknown"
            token = registry.add(ConnectionPeer(identity: identity, remoteAddress: address))
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// A close that fails (a TLS peer that never answers close_notify, say) would end gRPC's accept loop with it.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard let promise else { return context.close(mode: mode, promise: nil) }
        let attempt = context.eventLoop.makePromise(of: Void.self)
        attempt.futureResult.whenComplete { _ in promise.succeed(()) }
        context.close(mode: mode, promise: attempt)
    }

    private func forget() {
        timeout?.cancel()
        timeout = nil
        guard let token else { return }
        self.token = nil
        registry.remove(token)
    }

    /// `nil` refuses. A resumed session skips the verification callback, so that the certificate it carries is judged
    /// again here, by the trust and the time of now.
    private static func identity(
        _ context: ChannelHandlerContext, presented: PresentedChain, memory: ChainMemory,
        verify: ([[UInt8]]) -> Bool
    ) -> ConnectionPeer.Identity? {
        if let chain = presented.accepted { return .certificate(chain: chain) }
        guard let certificate = try? context.pipeline.syncOperations.nioSSL_peerCertificate() else { return .anonymous }
        guard let leaf = try? certificate.toDERBytes() else { return nil }
        let chain = memory.chain(of: leaf)
        return verify(chain) ? .certificate(chain: chain) : nil
    }

    private static func text(of address: SocketAddress) -> String {
        guard let host = address.ipAddress, let port = address.port else { return "unix" }
        return host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

/// The chain that the verification callback of one connection accepted.
final class PresentedChain: Sendable {
    private let chain = Mutex<[[UInt8]]?>(nil)

    /// DER, leaf first; `nil` when the callback did not run.
    var accepted: [[UInt8]]? { chain.withLock { $0 } }

    func accept(_ chain: [[UInt8]]) {
        self.chain.withLock { $0 = chain }
    }
}
