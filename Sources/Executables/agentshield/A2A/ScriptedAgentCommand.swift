import A2A
import AgentShield
import AgentTasks
import ArgumentParser
import Glibc
import JOSE
import NIOSSL
import ServiceLifecycle

/// `agentshield a2a scripted-agent`: an agent for everybody's tests.
struct ScriptedAgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scripted-agent",
        abstract: "Serves an A2A agent that follows a script, for tests of clients and gateways.",
        discussion: """
            The script (YAML) says what the card shows and which steps a message leads to, by the prefix of its messageId. \
            Callers are not asked who they are, so the agent listens on loopback unless -host says otherwise.
            """)

    @Option(name: .flag("script"), help: "The script (YAML).") var script: String
    @Option(name: .flag("host"), help: "Address to listen on (default 127.0.0.1).") var host = "127.0.0.1"
    @Option(name: .flag("port"), help: "Port for JSON-RPC and HTTP+JSON (default: any that is free).") var port = 0
    @Option(name: .flag("grpcPort"), help: "Port for gRPC; without it there is none.") var grpcPort: Int?
    @Flag(name: .flag("allow-loopback-webhooks"), help: "Send push notifications to this machine too, for tests.")
    var allowLoopbackWebhooks = false
    @Option(name: .flag("certificate"), help: "File with a certificate chain (PEM): serve TLS.") var certificate:
        String?
    @Option(name: .flag("key"), help: "File with the certificate's private key (PEM).") var key: String?
    @Option(name: .flag("dataDir"), help: "Existing directory for tasks; without it they end with the process.")
    var dataDirectory: String?
    @OptionGroup var daemon: DaemonOptions

    func validate() throws {
        guard (certificate == nil) == (key == nil) else {
            throw ValidationError("-certificate and -key belong together")
        }
        guard (0...65_535).contains(port) else { throw ValidationError("-port must be 0 to 65535") }
        guard (1...65_535).contains(grpcPort ?? 1) else { throw ValidationError("-grpcPort must be 1 to 65535") }
    }

    func run() async throws {
        let script = try readScript()
        let settings = Settings(section: "scripted_agent", file: try daemon.file())
        let (logger, _) = try daemon.logger(settings)
        let readyFile = ReadyFile(path: try daemon.readyFile(settings))
        readyFile.clear()
        // The card names the port, which is known once the agent listens: the port is taken first.
        let port = port == 0 ? try FreePort.find(on: host) : port
        var card = script.card
        let address = "\(certificate == nil ? "http" : "https")://\(host.contains(":") ? "[\(host)]" : host):\(port)"
        if card.supportedInterfaces.isEmpty {
            card.supportedInterfaces = [AgentInterface.ProtocolBinding.jsonRPC, .httpJSON].map {
                AgentInterface(url: address, protocolBinding: $0, protocolVersion: "1.0")
            }
            if let grpcPort {
                let url =
                    "\(certificate == nil ? "http" : "https")://\(host.contains(":") ? "[\(host)]" : host):\(grpcPort)"
                card.supportedInterfaces.append(
                    AgentInterface(url: url, protocolBinding: .grpc, protocolVersion: "1.0"))
            }
        }
        if script.card.supportedInterfaces.isEmpty {
            // Last, so that nobody who speaks 1.0 takes it; old peers find their members in the card by it.
            card.supportedInterfaces.append(
                AgentInterface(url: address, protocolBinding: .jsonRPC, protocolVersion: "0.3"))
        }
        var server = A2AServer.Settings(rules: CallRules(.anybody))
        server.host = host
        server.port = port
        server.grpcPort = grpcPort
        server.allowsLoopbackReceivers = allowLoopbackWebhooks
        if let dataDirectory {
            let path = absolute(dataDirectory)
            try LocalFile.checkDirectory(path, flag: "-dataDir")
            server.directory = path
        }
        let shown = card
        if card.capabilities.extendedAgentCard == true { server.extendedCard = { _ in shown } }
        let security = try security()
        do {
            let agent = try A2AServer(
                card: card, handler: ScriptedHandler(script: script), security: security, settings: server,
                logger: logger
            ) { _ in
                do {
                    try readyFile.write([("url", .string(address))])
                } catch {
                    logger.error("cannot write the ready file", metadata: ["error": "\(error)"])
                }
                logger.info("the scripted agent serves", metadata: ["url": "\(address)"])
            }
            var services = ServiceGroupConfiguration(services: [agent], logger: AgentIdentity.silentLogger)
            // Streams that are still open then are cut.
            services.maximumGracefulShutdownDuration = .seconds(3)
            let group = ServiceGroup(configuration: services)
            try await SignalWatch.run(logger: logger, stop: { Task { await group.triggerGracefulShutdown() } }) {
                do {
                    try await group.run()
                } catch is CancellationError {
                    return
                }
            }
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure("\(error)")
        }
        readyFile.clear()
    }

    private func readScript() throws -> AgentScript {
        let document = try YAMLDocument.read(try LocalFile.read(script, limit: 1 << 20), name: script)
        do throws(FieldViolation) {
            return try AgentScript(document)
        } catch {
            throw CommandFailure("`\(script)`: \(error)")
        }
    }

    private func security() throws -> A2AServer.Security {
        guard let certificate, let key else { return .plaintext }
        do {
            let chain = try NIOSSLCertificate.fromPEMBytes(try LocalFile.read(certificate, limit: 1 << 20))
            let own = try NIOSSLPrivateKey(bytes: try LocalFile.read(key, limit: 1 << 20), format: .pem)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(own))
            configuration.minimumTLSVersion = .tlsv12
            return .tls(configuration)
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure("the certificate or its key cannot be read: \(error)")
        }
    }
}

/// A port that was free a moment ago.
enum FreePort {
    static func find(on host: String) throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw CommandFailure("there is no socket to be had") }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else {
            throw CommandFailure("-port is needed where -host is no IPv4 address")
        }
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard isBound else { throw CommandFailure("cannot listen on `\(host)`") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
