import AuditTrail
import Hummingbird
import Issuance
import Logging
import NIOCore
import PeerHTTP
import PeerRPC
import PeerTLS
import SPIFFE
import ServiceLifecycle

/// The HTTPS listener: TLS 1.3 with the server's own SVID, or with an operator's certificate for the name that the client
/// asks for; a client certificate is asked for and not required. One that is no SVID is nobody's identity: the token service
/// alone gets to see it.
struct HTTPSListener: Sendable {
    private let group: ServiceGroup
    private let address: String
    private let port: Int

    /// - Parameter listening: called with the port once it is bound.
    init(
        address: String, port: Int, identity: LiveIdentity, verifier: PeerVerifier, log: AuditLog,
        authorities: Authorities, discovery: OIDCDiscovery?, tokens: TokenEndpoints, approvals: ApprovalEndpoints?,
        revocation: GlobalTokenRevocation, signals: SignalEndpoint?, agents: RegistryEndpoints, logger: Logger,
        listening: @escaping @Sendable (_ port: Int) -> Void
    ) {
        let router = Router(context: HTTPContext.self, options: .autoGenerateHeadEndpoints)
        router.get("health") { _, _ in "ok\n" }
        LogReadPath(log: log).register(on: router)
        BundleEndpoint(authorities: authorities).register(on: router)
        AgentCardKeys(authorities: authorities).register(on: router)
        discovery?.register(on: router)
        tokens.register(on: router)
        approvals?.register(on: router)
        revocation.register(on: router)
        signals?.register(on: router)
        agents.register(on: router)
        DiscoveryEndpoints(endpoints: agents).register(on: router)
        var quiet = logger
        // What the listener says of itself in health is said by the control plane already.
        quiet.logLevel = max(logger.logLevel, .warning)
        let application = Application(
            router: router,
            server: .peerTLS(
                identity, clientCertificate: .requested, verifier: verifier, admitsUnverified: true,
                handlesOnEventLoop: true),
            configuration: ApplicationConfiguration(address: .hostname(address, port: port), serverName: nil),
            onServerRunning: { channel in
                if let port = channel.localAddress?.port { listening(port) }
            },
            logger: quiet)
        group = ServiceGroup(services: [application], logger: quiet)
        self.address = address
        self.port = port
    }

    /// Serves until ``beginGracefulShutdown()``, or until the task is cancelled.
    func run() async throws {
        do {
            try await group.run()
        } catch {
            throw PeerServerError(binding: address, port: port, error) ?? error
        }
    }

    /// Stops accepting and lets requests end.
    func beginGracefulShutdown() async {
        await group.triggerGracefulShutdown()
    }
}
