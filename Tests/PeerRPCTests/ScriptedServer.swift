import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix
import Synchronization

/// An HTTP/2 server on a Unix socket that answers every call with the same frames, whatever they mean.
final class ScriptedServer: Sendable {
    let path: String
    private let channel: any Channel

    init(_ path: String, _ answer: [HTTP2Frame.FramePayload]) async throws {
        self.path = path
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.configureHTTP2Pipeline(
                    mode: .server, connectionConfiguration: .init(), streamConfiguration: .init()
                ) { stream in
                    stream.eventLoop.makeCompletedFuture {
                        try stream.pipeline.syncOperations.addHandler(Answer(answer))
                    }
                }.map { _ in }
            }
            .bind(unixDomainSocketPath: path).get()
    }

    func stop() async {
        try? await channel.close()
    }

    private final class Answer: ChannelInboundHandler {
        typealias InboundIn = HTTP2Frame.FramePayload
        typealias OutboundOut = HTTP2Frame.FramePayload

        private let answer: [HTTP2Frame.FramePayload]

        init(_ answer: [HTTP2Frame.FramePayload]) {
            self.answer = answer
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard case .headers = Self.unwrapInboundIn(data) else { return }
            for payload in answer { context.write(Self.wrapOutboundOut(payload), promise: nil) }
            context.flush()
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }
}

extension HTTP2Frame.FramePayload {
    static func headers(_ headers: HPACKHeaders, end: Bool = false) -> Self {
        .headers(.init(headers: headers, endStream: end))
    }

    static func data(_ bytes: [UInt8], end: Bool = false) -> Self {
        .data(.init(data: .byteBuffer(ByteBuffer(bytes: bytes)), endStream: end))
    }

    /// A gRPC message.
    static func message(_ bytes: [UInt8], flag: UInt8 = 0) -> Self {
        .data([flag, 0, 0, UInt8(bytes.count >> 8), UInt8(bytes.count & 0xff)] + bytes)
    }
}

/// Listens on a Unix socket and treats what connects by its bytes.
final class ByteServer: Sendable {
    private let channel: any Channel
    private let accepted = Counter()
    let path: String

    /// How many have connected.
    var connections: Int { accepted.value.load(ordering: .relaxed) }

    /// - Parameter greeting: sent to everybody who connects; then, if `closes`, the connection ends.
    init(_ path: String, greeting: [UInt8], closes: Bool = false) async throws {
        self.path = path
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { [accepted] channel in
                accepted.value.add(1, ordering: .relaxed)
                channel.eventLoop.execute {
                    channel.writeAndFlush(ByteBuffer(bytes: greeting)).whenComplete { _ in
                        // Not before what the client sends first is read: that would lose it the greeting.
                        if closes {
                            channel.eventLoop.scheduleTask(in: .milliseconds(5)) { channel.close(promise: nil) }
                        }
                    }
                }
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(unixDomainSocketPath: path).get()
    }

    func stop() async {
        try? await channel.close()
    }

    private final class Counter: Sendable {
        let value = Atomic(0)
    }
}
