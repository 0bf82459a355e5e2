import AuditTrail
import Hummingbird
import Logging
import NIOCore
import PeerHTTP
import PeerTLS
import SPIFFE

/// The HTTPS listener: TLS 1.3 with the server's own SVID, no client certificate asked for yet.
struct HTTPSListener: Sendable {
    let address: String
    let port: Int
    let identity: LiveIdentity
    let verifier: PeerVerifier
    let log: AuditLog
    let logger: Logger

    /// Serves until the task is cancelled or the process shuts down gracefully.
    func run(listening: @escaping @Sendable (_ port: Int) -> Void) async throws {
        let router = Router(context: BasicRequestContext.self)
        router.get("health") { _, _ in "ok\n" }
        LogReadPath(log: log).register(on: router)
        let application = Application(
            router: router,
            server: .peerTLS(identity, clientCertificate: .requested, verifier: verifier),
            configuration: ApplicationConfiguration(
                address: .hostname(address, port: port), serverName: nil),
            onServerRunning: { channel in
                if let port = channel.localAddress?.port { listening(port) }
            },
            logger: logger)
        try await application.run()
    }
}
