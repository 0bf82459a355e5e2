import NIOCore
import NIOSSL
import NIOTLS
import Synchronization

/// Stands between a connection's transport and HTTP/2: knows the peer, and lets nothing through before it does.
final class PeerConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// What has to happen before the peer is known.
    enum Source {
        /// Nothing: the kernel told.
        case known(ConnectionPeer)
        /// A TLS handshake in which the client may show a certificate.
        case handshake(
            PresentedChain, memory: ChainMemory, verify: @Sendable ([[UInt8]]) -> Bool, timeout: TimeAmount)
    }

    /// Who is on the connection; `nil` until that is known and after the connection closed.
    private(set) var peer: ConnectionPeer?

    private let source: Source
    private var timeout: Scheduled<Void>?
    private var isRefused = false

    init(source: Source) {
        self.source = source
    }

    func handlerAdded(context: ChannelHandlerContext) {
        switch source {
        case .known(let peer):
            self.peer = peer
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
        // INVARIANT: HTTP/2 sees no byte of a peer that is not known.
        guard peer != nil, !isRefused else { return }
        let bytes = Self.unwrapInboundIn(data)
        // HTTP/2's parser may keep the storage of the last bytes for as long as the connection is quiet: 32 KiB of what TLS
        // read into, or just these few.
        context.fireChannelRead(
            bytes.readableBytes <= Self.fewBytes ? Self.wrapInboundOut(ByteBuffer(buffer: bytes)) : data)
    }

    /// How many bytes are copied rather than kept within a larger storage.
    private static let fewBytes = 4096

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted(let application)? = event as? TLSUserEvent,
            case .handshake(let presented, let memory, let verify, _) = source
        {
            timeout?.cancel()
            timeout = nil
            guard application == "h2",
                let identity = Self.identity(context, presented: presented, memory: memory, verify: verify)
            else {
                isRefused = true
                context.close(promise: nil)
                return
            }
            let address = context.remoteAddress.map(Self.text(of:)) ?? "unknown"
            peer = ConnectionPeer(identity: identity, remoteAddress: address)
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func forget() {
        timeout?.cancel()
        timeout = nil
        // The last reference closes the descriptors of a process.
        peer = nil
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
