public import A2A
package import A2ATransport
public import AgentTasks
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import HTTPTypes
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
public import Logging
public import NIOSSL
import PeerHTTP
import PeerRPC
import SPIFFE
import SQLiteFile
public import ServiceLifecycle
import TaskStorage

/// An agent that other agents can send tasks to (A2A 1.0.1): its author writes an ``AgentTasks/AgentHandler``, everything else is
/// here. JSON-RPC, HTTP+JSON and the public card on one listener, tasks in SQLite, identity and rules before every operation.
public final class A2AServer: Service {
    /// How callers prove who they are, and the listener's own proof.
    public enum Security: Sendable {
        /// Mutual TLS with SVIDs; those that the rule does not allow get no further than the handshake.
        case mutualTLS(AgentIdentity, allow: PeerRule)
        /// TLS with a certificate of the web's kind; callers prove themselves by tokens only.
        case tls(TLSConfiguration)
        /// No TLS at all: for tests, and behind something that ends TLS on the same machine.
        case plaintext
    }

    /// Where an agent listens and what it keeps.
    public struct Settings: Sendable {
        /// The address to listen on.
        public var host = "127.0.0.1"
        /// The port of JSON-RPC and HTTP+JSON; 0 for any that is free.
        public var port = 0
        /// The port of gRPC; without one there is no gRPC.
        public var grpcPort: Int?
        /// Where the agent stands below its host, without a slash at the end; empty for the root.
        public var path = ""
        /// The directory for the agent's tasks; without one they end with the process.
        public var directory: String?
        /// Access tokens that are taken, beside certificates.
        public var tokens: AgentTokenVerifier?
        /// Proofs of single requests that are taken, for callers behind something that ends TLS.
        public var proofs: AgentProofVerifier?
        /// Rules, limits and retention.
        public var tasks: TaskServiceSettings
        /// The card for callers that have proved who they are.
        public var extendedCard: (@Sendable (A2ACaller) async throws -> AgentCard?)?
        /// Whether push notifications may go to this machine, without TLS too; for tests only.
        public var allowsLoopbackReceivers = false
        /// The most bytes of a request.
        public var maximumBodySize = 8 << 20

        /// Settings with these rules.
        public init(rules: CallRules) {
            tasks = TaskServiceSettings(rules: rules)
        }
    }

    private let security: Security
    private let settings: Settings
    private let service: TaskService
    /// The right to the directory: another process must not take running tasks for those of one that has ended.
    private let lock: DataDirectoryLock?
    private let push: PushNotifier?
    private let responder: Responder
    private let logger: Logger
    private let onReady: @Sendable (Int) async -> Void

    /// An agent that is not listening yet.
    ///
    /// - Parameters:
    ///   - card: the public card; streaming, media types and extensions of the server follow it.
    ///   - onReady: called with the port once the agent listens.
    public convenience init(
        card: AgentCard, handler: any AgentHandler, security: Security, settings: Settings,
        logger: Logger = Logger(label: "a2a"), onReady: @escaping @Sendable (Int) async -> Void = { _ in }
    ) throws(AgentShieldError) {
        let published: PublishedCard
        do throws(FieldViolation) {
            published = try .forOldPeers(json: card.jsonBytes)
        } catch {
            throw .tasks("the card cannot be published: \(error)")
        }
        try self.init(
            card: card, publishing: published, handler: handler, security: security, settings: settings,
            logger: logger, onReady: onReady)
    }

    package init(
        card: AgentCard, publishing published: PublishedCard, handler: any AgentHandler, security: Security,
        settings: Settings, logger: Logger, onReady: @escaping @Sendable (Int) async -> Void
    ) throws(AgentShieldError) {
        let store: SQLiteTaskStore
        do {
            lock = try settings.directory.map { try DataDirectoryLock(directory: $0) }
            store = try settings.directory.map { try .open(directory: $0) } ?? .inMemory()
        } catch {
            throw .tasks("\(error)")
        }
        var tasks = settings.tasks
        tasks.streams = card.capabilities.streaming ?? false
        tasks.inputModes = card.defaultInputModes
        tasks.outputModes = card.defaultOutputModes
        for known in card.capabilities.extensions { tasks.extensions[known.uri] = known.required }
        push = try card.capabilities.pushNotifications == true ? Self.notifier(settings, logger) : nil
        var extended: (@Sendable (A2ACaller) async throws -> [UInt8]?)?
        if let make = settings.extendedCard { extended = { caller in try await make(caller)?.jsonBytes } }
        service = TaskService(
            handler: handler, store: store, settings: tasks, push: push,
            extendedCard: extended,
            now: WallClock.now, report: { Self.log($0, logger) })
        var http = A2AHTTPResponder<BasicRequestContext>.Settings(path: settings.path)
        http.maximumBodySize = settings.maximumBodySize
        let tokens = settings.tokens
        let base = A2AHTTPResponder<BasicRequestContext>(service: service, card: { published }, settings: http) {
            request, _ async throws(A2AHTTPResponder<BasicRequestContext>.Refusal) -> A2ACaller in
            try await Self.caller(of: request, tokens: tokens)
        }
        responder = Responder(base: base, proofs: settings.proofs.map(RequestProofMiddleware.init))
        self.security = security
        self.settings = settings
        self.logger = logger
        self.onReady = onReady
    }

    /// Serves until the surrounding task is cancelled or the service group shuts down.
    public func run() async throws {
        try await service.recover()
        let server: HTTPServerBuilder =
            switch security {
            case .mutualTLS(let identity, let rule): .agentShield(identity: identity, allow: rule)
            case .tls(let configuration): try .tls(.http1(), tlsConfiguration: configuration)
            case .plaintext: .http1()
            }
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        let application = Application(
            responder: responder, server: server,
            configuration: ApplicationConfiguration(
                address: .hostname(settings.host, port: settings.port), serverName: nil),
            onServerRunning: { [onReady] channel in await onReady(channel.localAddress?.port ?? 0) }, logger: quiet)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.service.forgetOldTasks() }
            if let push { group.addTask { await push.run() } }
            if let port = settings.grpcPort { group.addTask { try await self.serveGRPC(port) } }
            // Signals are for whoever runs the service.
            group.addTask { try await application.run() }
            // The first to end is a listener; tidying up goes on for ever.
            _ = try await group.next()
            group.cancelAll()
        }
    }

    /// The gRPC binding, on a port of its own. Callers prove themselves by their certificate alone; a token in the metadata counts
    /// for nothing.
    private func serveGRPC(_ port: Int) async throws {
        switch security {
        case .mutualTLS(let identity, let rule):
            let verifier = identity.verifier(rule)
            let server = PeerServer.tls(
                host: settings.host, port: port,
                context: {
                    let svid = try identity.usable().svid
                    return try PeerServer.makeTLSContext(chain: svid.chain, privateKey: svid.pkcs8)
                }, verifyClient: { (try? verifier.verify($0)) != nil },
                services: [A2AGRPCService(service: service, authenticate: A2AGRPCService.callersBySVID)])
            try await server.run()
        case .tls(let configuration):
            // What the configuration demands of clients is for HTTP alone to check.
            guard case .none = configuration.certificateVerification else {
                throw AgentShieldError.tasks("gRPC cannot be served where TLS demands certificates of clients")
            }
            try await serveStockGRPC(
                port,
                .tls(
                    certificateChain: configuration.certificateChain.compactMap(Self.source),
                    privateKey: try Self.source(configuration.privateKey)))
        case .plaintext: try await serveStockGRPC(port, .plaintext)
        }
    }

    private func serveStockGRPC(
        _ port: Int, _ security: HTTP2ServerTransport.Posix.TransportSecurity
    ) async throws {
        let address: SocketAddress =
            settings.host.contains(":")
            ? .ipv6(host: settings.host, port: port) : .ipv4(host: settings.host, port: port)
        let server = GRPCServer(
            transport: .http2NIOPosix(address: address, transportSecurity: security),
            services: [A2AGRPCService(service: service) { _, _ in .anonymous }])
        try await server.serve()
    }

    private static func source(_ certificate: NIOSSLCertificateSource) -> TLSConfig.CertificateSource? {
        switch certificate {
        case .certificate(let certificate): (try? certificate.toDERBytes()).map { .bytes($0, format: .der) }
        case .file(let path): .file(path: path, format: .pem)
        }
    }

    private static func source(_ key: NIOSSLPrivateKeySource?) throws -> TLSConfig.PrivateKeySource {
        switch key {
        case .privateKey(let key): .bytes(try key.derBytes, format: .der)
        case .file(let path): .file(path: path, format: .pem)
        case nil: throw AgentShieldError.noIdentity("the TLS configuration has no private key")
        }
    }

    private static func notifier(_ settings: Settings, _ logger: Logger) throws(AgentShieldError) -> PushNotifier {
        var push = PushNotifier.Settings()
        push.allowsLoopback = settings.allowsLoopbackReceivers
        do {
            return try PushNotifier(settings: push) { report in
                logger.warning("a push notification was not delivered", metadata: ["report": "\(report)"])
            }
        } catch {
            throw .tasks("\(error)")
        }
    }

    /// Judges the proof of a request that shows a WIT-SVID before anything else is done with it.
    private struct Responder: HTTPResponder {
        let base: A2AHTTPResponder<BasicRequestContext>
        let proofs: RequestProofMiddleware<BasicRequestContext>?

        func respond(to request: Request, context: BasicRequestContext) async throws -> Response {
            guard let proofs, request.headers[.workloadIdentityToken] != nil else {
                return try await base.respond(to: request, context: context)
            }
            return try await proofs.handle(request, context: context) { try await base.respond(to: $0, context: $1) }
        }
    }

    /// A token goes before proof and certificate: it says on whose behalf the caller comes. A proof goes before the certificate, which
    /// is then that of whatever ended TLS.
    private static func caller(
        of request: Request, tokens: AgentTokenVerifier?
    ) async throws(A2AHTTPResponder<BasicRequestContext>.Refusal) -> A2ACaller {
        let peer = AgentCaller.current
        let prover = AgentProofCaller.current
        // With a proof token there is no room for another credential in the field.
        let showsToken = request.headers[.authorization] != nil && prover?.isSigned != false
        guard let tokens, showsToken || (peer == nil && prover == nil) else {
            // A token that nobody looks at must not be taken for an authorization.
            if let prover { return A2ACaller(method: .signature, name: prover.id.string) }
            if let peer { return A2ACaller(method: .mutualTLS, name: peer.id.string) }
            return .anonymous
        }
        switch await tokens.admission(of: request, scopes: []) {
        case .admitted(let caller, _):
            // Whoever signs a request with somebody else's token is not who the token was given to.
            guard prover.map({ $0.id == caller.actor.id }) ?? true else { throw .init(A2AError(.permissionDenied)) }
            return A2ACaller(
                method: caller.isBound ? .boundToken : .bearerToken, name: caller.actor.name,
                subject: caller.subject.name, scopes: caller.scopes)
        case .refused(_, let status, var headers):
            headers[.contentLength] = nil
            let kind: A2AError.Kind =
                switch status {
                case .forbidden: .permissionDenied
                case .serviceUnavailable: .unavailable
                default: .unauthenticated
                }
            throw .init(A2AError(kind), headers: headers)
        }
    }

    private static func log(_ report: TaskService.Report, _ logger: Logger) {
        switch report {
        case .handlerFailed(let task, let error):
            logger.error("the handler failed", metadata: ["task": "\(task)", "error": "\(error)"])
        case .notStored(let task, let error):
            logger.error("a task could not be stored", metadata: ["task": "\(task)", "error": "\(error)"])
        case .pushConfigsUnreadable(let task, let error):
            logger.error("receivers could not be read", metadata: ["task": "\(task)", "error": "\(error)"])
        case .notForgotten(let error):
            logger.error("old tasks could not be deleted", metadata: ["error": "\(error)"])
        }
    }
}

extension HTTPField.Name {
    // The literal is a field name.
    fileprivate static let workloadIdentityToken = HTTPField.Name("Workload-Identity-Token") ?? .accept
}
