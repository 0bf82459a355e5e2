import GRPCCore
import NIOCore
import NIOHTTP2
import NIOPosix
import NIOSSL

/// One HTTP/2 connection to the server, with the calls on it. Runs on its event loop alone.
final class ClientConnection {
    private let channel: any Channel
    private let streams: NIOHTTP2Handler.StreamMultiplexer
    private let head: CallHead
    private let onRetire: (ClientConnection) -> Void
    /// The open streams.
    private var calls: [ObjectIdentifier: ClientCallHandler] = [:]
    /// Takes no more calls.
    private var isRetired = false
    private var isDraining = false

    /// Bytes of responses that may be on their way, of one call and of one connection.
    private static let window = 1024 * 1024
    /// Largest list of header fields, in bytes (RFC 9113 §6.5.2).
    private static let maximumHeaderBytes = 16 * 1024

    private init(
        _ channel: any Channel, _ streams: NIOHTTP2Handler.StreamMultiplexer, _ head: CallHead,
        onRetire: @escaping (ClientConnection) -> Void
    ) {
        self.channel = channel
        self.streams = streams
        self.head = head
        self.onRetire = onRetire
    }

    // MARK: opening

    /// A connection that the server has accepted: its SETTINGS have come.
    /// - Parameters:
    ///   - onOpen: once there is a connection that will end; `false` if it is not wanted any more.
    ///   - onEnd: once it is closed.
    ///   - onRetire: when it takes no more calls.
    static func open(
        _ settings: PeerClientSettings, _ loop: any EventLoop,
        onOpen: @escaping (ClientConnection) -> Bool,
        onEnd: @escaping (ClientConnection) -> Void,
        onRetire: @escaping (ClientConnection) -> Void
    ) -> EventLoopFuture<NIOLoopBound<ClientConnection>> {
        let ready = loop.makePromise(of: NIOLoopBound<ClientConnection>.self)
        let callbacks = NIOLoopBound((onOpen, onEnd, onRetire), eventLoop: loop)
        let timeout = TimeAmount(settings.connectTimeout)
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(timeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if case .tls(let context, let verify) = settings.security {
                        try channel.pipeline.syncOperations.addHandler(tlsHandler(context, verify, settings.target))
                    }
                }
            }
        let channel =
            switch settings.target {
            case .unixSocket(let path): bootstrap.connect(unixDomainSocketPath: path)
            case .host(let host, let port):
                bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1).connect(host: host, port: port)
            }
        channel.hop(to: loop).whenComplete { result in
            do {
                let channel = try result.get()
                let (onOpen, _, onRetire) = callbacks.value
                let connection = try ClientConnection.setUp(channel, settings, ready, onRetire)
                let known = NIOLoopBound(connection, eventLoop: loop)
                channel.closeFuture.whenComplete { _ in callbacks.value.1(known.value) }
                guard onOpen(connection) else {
                    connection.close()
                    return ready.fail(ConnectFailure.ended)
                }
                let deadline = loop.scheduleTask(in: timeout) {
                    ready.fail(ConnectFailure.timeout)
                    known.value.close()
                }
                ready.futureResult.whenComplete { _ in deadline.cancel() }
            } catch {
                ready.fail(error)
            }
        }
        return ready.futureResult
    }

    private static func tlsHandler(
        _ context: NIOSSLContext, _ verify: @escaping @Sendable ([[UInt8]]) -> Bool, _ target: PeerClientSettings.Target
    ) throws -> NIOSSLClientHandler {
        try NIOSSLClientHandler(context: context, serverHostname: serverName(target)) { certificates, promise in
            let chain = (try? certificates.map { try $0.toDERBytes() }) ?? []
            promise.succeed(!chain.isEmpty && verify(chain) ? .certificateVerified : .failed)
        }
    }

    /// Told to the server (SNI): a name only, never an address (RFC 6066 §3).
    private static func serverName(_ target: PeerClientSettings.Target) -> String? {
        guard case .host(let host, let port) = target,
            (try? SocketAddress(ipAddress: host, port: port)) == nil
        else { return nil }
        return host
    }

    private static func setUp(
        _ channel: any Channel, _ settings: PeerClientSettings,
        _ ready: EventLoopPromise<NIOLoopBound<ClientConnection>>,
        _ onRetire: @escaping (ClientConnection) -> Void
    ) throws -> ClientConnection {
        let loop = channel.eventLoop
        let http2 = NIOHTTP2Handler(
            mode: .client, eventLoop: loop, connectionConfiguration: connectionConfiguration,
            streamConfiguration: streamConfiguration
        ) { stream in
            // A gRPC server opens no streams.
            stream.close()
        }
        let handler = ClientConnectionHandler(keepAlive: settings.keepAlive)
        try channel.pipeline.syncOperations.addHandlers([http2, handler])
        let isEncrypted = if case .tls = settings.security { true } else { false }
        let connection = ClientConnection(
            channel, try http2.syncMultiplexer(),
            CallHead(authority: settings.target.authority, scheme: isEncrypted ? "https" : "http"), onRetire: onRetire)
        handler.isInUse = { [unowned connection] in !connection.calls.isEmpty }
        handler.onReady = { [unowned connection] in ready.succeed(NIOLoopBound(connection, eventLoop: loop)) }
        handler.onGoAway = { [unowned connection] in connection.drain() }
        handler.onEnd = { [unowned connection] error in
            ready.fail(error ?? ConnectFailure.closed)
            connection.retire()
        }
        return connection
    }

    private static var connectionConfiguration: NIOHTTP2Handler.ConnectionConfiguration {
        var configuration = NIOHTTP2Handler.ConnectionConfiguration()
        configuration.initialSettings = [
            HTTP2Setting(parameter: .enablePush, value: 0),
            HTTP2Setting(parameter: .maxConcurrentStreams, value: 0),
            HTTP2Setting(parameter: .initialWindowSize, value: window),
            HTTP2Setting(parameter: .maxHeaderListSize, value: maximumHeaderBytes),
        ]
        configuration.targetWindowSize = window
        return configuration
    }

    private static var streamConfiguration: NIOHTTP2Handler.StreamConfiguration {
        var configuration = NIOHTTP2Handler.StreamConfiguration()
        configuration.targetWindowSize = window
        configuration.outboundBufferSizeHighWatermark = 64 * 1024
        configuration.outboundBufferSizeLowWatermark = 32 * 1024
        return configuration
    }

    // MARK: calls

    /// Opens the stream of a call, and sends what it has gathered.
    func open(_ call: ClientCall, _ request: CallRequest, _ promise: EventLoopPromise<Void>) {
        guard !isRetired, channel.isActive else {
            return promise.fail(RPCError(code: .unavailable, message: "the connection is closed"))
        }
        let loop = channel.eventLoop
        let handler = ClientCallHandler(head, request, call.response)
        calls[ObjectIdentifier(handler)] = handler
        let known = NIOLoopBound((self, call, handler), eventLoop: loop)
        let opened = loop.makePromise(of: (any Channel).self)
        streams.createStreamChannel(promise: opened) { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandler(known.value.2)
            }
        }
        opened.futureResult.whenComplete { result in
            let (connection, call, handler) = known.value
            switch result {
            case .success(let stream):
                stream.closeFuture.whenComplete { _ in known.value.0.ended(known.value.2) }
                guard call.open(handler) else { return stream.close(promise: nil) }
                promise.succeed()
            case .failure(let error):
                connection.ended(handler)
                promise.fail(RPCError(code: .unavailable, message: "the connection takes no more calls", cause: error))
            }
        }
    }

    private func ended(_ handler: ClientCallHandler) {
        calls[ObjectIdentifier(handler)] = nil
        if isDraining, calls.isEmpty { close() }
    }

    // MARK: its end

    /// Takes no more calls, and closes after the last.
    func drain() {
        isDraining = true
        if calls.isEmpty { close() }
        retire()
    }

    func close() {
        channel.close(promise: nil)
    }

    private func retire() {
        guard !isRetired else { return }
        isRetired = true
        onRetire(self)
    }
}

extension PeerClientSettings.Target {
    /// The value of `:authority`.
    fileprivate var authority: String {
        switch self {
        case .unixSocket: "localhost"
        case .host: description
        }
    }
}
