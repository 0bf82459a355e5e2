import Crypto
import NIOCore
import NIOPosix
import NIOSSL
import SPIFFE
import Synchronization

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

    /// The authority's certificate in PEM.
    var pem: [UInt8] { Array(PEM.encode(label: "CERTIFICATE", der: certificate.der).utf8) }

    /// A server's TLS for these names.
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

/// A server on loopback that answers every request with the same bytes and remembers what it was sent.
final class WebServer: Sendable {
    // Guards what came.
    private let requests = Mutex<[String]>([])
    private let listener: Mutex<(any Channel)?> = Mutex(nil)

    /// - Parameter answer: the whole answer as it goes over the wire; the connection ends after it.
    static func start(_ context: NIOSSLContext?, answer: String) async throws -> WebServer {
        let server = WebServer()
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let context {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                    }
                    try channel.pipeline.syncOperations.addHandler(Answering(server, answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        server.listener.withLock { $0 = listener }
        return server
    }

    var port: Int { listener.withLock { $0?.localAddress?.port ?? 0 } }
    var received: [String] { requests.withLock { $0 } }
    func stop() async throws { try await listener.withLock { $0 }?.close() }

    private final class Answering: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let server: WebServer
        private let answer: String
        private var request = ""

        init(_ server: WebServer, _ answer: String) {
            self.server = server
            self.answer = answer
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            request += String(buffer: unwrapInboundIn(data))
            guard request.hasSuffix("\r\n\r\n") else { return }
            server.requests.withLock { $0.append(request) }
            let channel = context.channel
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)))
                .whenComplete { _ in channel.close(promise: nil) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

/// The answer 200 with this body.
func ok(_ body: String, _ headers: String = "") -> String {
    "HTTP/1.1 200 OK\r\ncontent-length: \(body.utf8.count)\r\n\(headers)\r\n\(body)"
}

/// A server on loopback without TLS that says one thing at most and keeps the connection.
struct SilentServer {
    private let listener: any Channel

    static func start(saying text: String?) async throws -> SilentServer {
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(SayingOnce(text))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return SilentServer(listener: listener)
    }

    var port: Int { listener.localAddress?.port ?? 0 }
    func stop() async throws { try await listener.close() }

    private final class SayingOnce: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let text: String?

        init(_ text: String?) { self.text = text }

        func channelActive(context: ChannelHandlerContext) {
            guard let text else { return }
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
        }
    }
}
