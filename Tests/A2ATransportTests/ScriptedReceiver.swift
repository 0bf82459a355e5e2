import Crypto
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import SPIFFE
import Synchronization

/// A receiver on loopback that answers each POST as its script says, the last line of it again and again.
final class ScriptedReceiver: Sendable {
    enum Answer: Sendable {
        case status(UInt, location: String? = nil)
        /// The status, and a body that is announced as this long and goes on being sent until the connection ends.
        case endless(UInt, length: Int)
        case hang
        case close
    }

    struct Post: Sendable {
        let head: HTTPRequestHead
        let body: String

        func header(_ name: String) -> String? { head.headers.first(name: name) }
    }

    private struct State {
        var posts: [Post] = []
        var answers: [Answer]
        var connections = 0
        var unanswered = 0
        var mostUnanswered = 0
        var channel: (any Channel)?
    }

    // Guards what came and what is left of the script.
    private let state: Mutex<State>

    private init(_ answers: [Answer]) {
        state = Mutex(State(answers: answers))
    }

    static func start(_ answers: [Answer] = [.status(200)], tls: NIOSSLContext? = nil) async throws -> ScriptedReceiver
    {
        let receiver = ScriptedReceiver(answers)
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
                    try pipeline.configureHTTPServerPipeline(withErrorHandling: false)
                    try pipeline.addHandler(Handler(receiver))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        receiver.state.withLock { $0.channel = channel }
        return receiver
    }

    var port: Int { state.withLock { $0.channel?.localAddress?.port ?? 0 } }
    var url: String { "http://127.0.0.1:\(port)/hook" }
    var posts: [Post] { state.withLock { $0.posts } }
    var connections: Int { state.withLock { $0.connections } }
    /// The most requests that were there at once before their answers.
    var mostUnanswered: Int { state.withLock { $0.mostUnanswered } }
    func stop() async throws { try await state.withLock { $0.channel }?.close() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        private let receiver: ScriptedReceiver
        private var head: HTTPRequestHead?
        private var body = ""

        init(_ receiver: ScriptedReceiver) { self.receiver = receiver }

        func channelActive(context: ChannelHandlerContext) {
            receiver.state.withLock { $0.connections += 1 }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): self.head = head
            case .body(let part): body += String(buffer: part)
            case .end:
                guard let head else { return }
                let body = body
                let answer = receiver.state.withLock { state in
                    state.unanswered += 1
                    state.mostUnanswered = max(state.mostUnanswered, state.unanswered)
                    state.posts.append(Post(head: head, body: body))
                    return state.answers.count > 1 ? state.answers.removeFirst() : state.answers[0]
                }
                act(answer, context)
            }
        }

        private func act(_ answer: Answer, _ context: ChannelHandlerContext) {
            switch answer {
            case .hang: break
            case .close: context.close(promise: nil)
            case .status(let code, let location):
                receiver.state.withLock { $0.unanswered -= 1 }
                var headers: HTTPHeaders = ["content-length": code == 204 ? "0" : "2"]
                if code == 204 { headers.remove(name: "content-length") }
                if let location { headers.add(name: "location", value: location) }
                let status = HTTPResponseStatus(statusCode: Int(code))
                let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                if code != 204 {
                    context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: "ok")))), promise: nil)
                }
                let channel = context.channel
                context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
            case .endless(let code, let length):
                let status = HTTPResponseStatus(statusCode: Int(code))
                let head = HTTPResponseHead(
                    version: .http1_1, status: status, headers: ["content-length": String(length)])
                context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
                flood(context)
            }
        }

        private func flood(_ context: ChannelHandlerContext) {
            let part = ByteBuffer(repeating: 0x20, count: 1000)
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(part)))).whenSuccess {
                let (handler, context) = bound.value
                if context.channel.isActive { handler.flood(context) }
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

/// An authority of the web and what it signs.
struct WebAuthority {
    private let key = P256.Signing.PrivateKey()
    private let certificate: ParsedCertificate
    private static let notBefore = UnixTime(seconds: 1_600_000_000)
    private static let notAfter = UnixTime(seconds: 2_400_000_000)

    init() throws {
        let der = try CertificateTemplate.authority(
            trustDomain: TrustDomain("web.example"), publicKey: SubjectPublicKey(key.publicKey),
            serialNumber: SerialNumber([1]), notBefore: Self.notBefore, notAfter: Self.notAfter
        ).sign(with: key)
        certificate = try ParsedCertificate(der: der)
    }

    var pem: [UInt8] { Array(PEM.encode(label: "CERTIFICATE", der: certificate.der).utf8) }

    func context(_ names: [String]) throws -> NIOSSLContext {
        let leafKey = P256.Signing.PrivateKey()
        let leaf = try CertificateTemplate.x509SVID(
            id: SPIFFEID("spiffe://web.example/server"), dnsNames: names,
            publicKey: SubjectPublicKey(leafKey.publicKey),
            issuer: CertificateIssuer(certificate), serialNumber: SerialNumber([2]), notBefore: Self.notBefore,
            notAfter: Self.notAfter
        ).sign(with: key)
        return try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: [.certificate(try NIOSSLCertificate(bytes: leaf, format: .der))],
                privateKey: .privateKey(
                    try NIOSSLPrivateKey(bytes: [UInt8](leafKey.derRepresentation), format: .der))))
    }
}
