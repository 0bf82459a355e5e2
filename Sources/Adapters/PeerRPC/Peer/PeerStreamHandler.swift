import NIOCore
import NIOHPACK
import NIOHTTP2

/// First handler of each HTTP/2 stream: strips forged copies of the peer header, adds the true one, and ends calls
/// that are too big with the status that the standard has for them.
final class PeerStreamHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias InboundOut = HTTP2Frame.FramePayload
    typealias OutboundIn = HTTP2Frame.FramePayload
    typealias OutboundOut = HTTP2Frame.FramePayload

    private let headerName: String
    private let token: String
    private let maximumFields: Int
    private var hasRequestHeaders = false
    private var hasResponseHeaders = false
    private var isRefused = false
    private var lengths: MessageLengths

    init(headerName: String, token: String, maximumFields: Int, maximumMessageBytes: Int) {
        self.headerName = headerName
        self.token = token
        self.maximumFields = maximumFields
        lengths = MessageLengths(maximum: maximumMessageBytes)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isRefused else { return }
        switch Self.unwrapInboundIn(data) {
        case .headers(var payload):
            guard payload.headers.count <= maximumFields else {
                return refuse(context, "more than \(maximumFields) header fields")
            }
            payload.headers.remove(name: headerName)
            if !hasRequestHeaders {
                hasRequestHeaders = true
                payload.headers.add(name: headerName, value: token, indexing: .neverIndexed)
            }
            context.fireChannelRead(Self.wrapInboundOut(.headers(payload)))
        case .data(let payload):
            // gRPC's own limit resets the stream, which tells the caller nothing.
            if case .byteBuffer(let bytes) = payload.data, !lengths.accept(bytes.readableBytesView) {
                return refuse(context, "a message of more than \(lengths.maximum) bytes")
            }
            context.fireChannelRead(data)
        default:
            context.fireChannelRead(data)
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !isRefused else {
            promise?.fail(ChannelError.outputClosed)
            return
        }
        if case .headers = Self.unwrapOutboundIn(data) { hasResponseHeaders = true }
        context.write(data, promise: promise)
    }

    /// Ends the call with ResourceExhausted, and the stream with NO_ERROR so that the client stops sending
    /// (RFC 9113 §8.1).
    private func refuse(_ context: ChannelHandlerContext, _ message: String) {
        isRefused = true
        var headers: HPACKHeaders =
            hasResponseHeaders ? [:] : [":status": "200", "content-type": "application/grpc"]
        headers.add(name: "grpc-status", value: "8")
        headers.add(name: "grpc-message", value: message)
        context.write(Self.wrapOutboundOut(.headers(.init(headers: headers, endStream: true))), promise: nil)
        context.writeAndFlush(Self.wrapOutboundOut(.rstStream(.noError)), promise: nil)
    }
}

/// Follows the lengths of gRPC's length-prefixed messages over any cut of their bytes.
struct MessageLengths {
    /// Longest message, in bytes as sent.
    let maximum: Int

    private var prefix: [UInt8] = []
    private var remaining = 0

    /// A compression flag and a big-endian 32-bit length.
    private static let prefixLength = 5

    init(maximum: Int) {
        self.maximum = maximum
    }

    /// `false` as soon as a prefix announces too long a message.
    mutating func accept(_ bytes: some RandomAccessCollection<UInt8>) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard remaining == 0 else {
                let step = min(remaining, rest.count)
                remaining -= step
                rest = rest.dropFirst(step)
                continue
            }
            let step = min(Self.prefixLength - prefix.count, rest.count)
            prefix += rest.prefix(step)
            rest = rest.dropFirst(step)
            guard prefix.count == Self.prefixLength else { return true }
            remaining = prefix.dropFirst().reduce(0) { $0 << 8 | Int($1) }
            prefix.removeAll(keepingCapacity: true)
            guard remaining <= maximum else { return false }
        }
        return true
    }
}
