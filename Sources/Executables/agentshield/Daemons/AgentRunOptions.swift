import ArgumentParser
import NodeAgent
import SPIFFE

/// The flags of the node agent, shared by `agent run` and `validate`.
struct AgentRunOptions: ParsableArguments {
    @Option(name: .flag("trustDomain"), help: "The trust domain, such as example.org.")
    var trustDomain: String?
    @Option(name: .flag("dataDir"), help: "Directory for the node agent's keys and spool (default data/agent).")
    var dataDirectory: String?
    @Option(name: .flag("serverAddress"), help: "Host of the control plane (default 127.0.0.1).")
    var serverAddress: String?
    @Option(name: .flag("serverPort"), help: "Port of the control plane's node API (default 8081).")
    var serverPort: Int?
    @Option(name: .flag("socketPath"), help: "Workload API socket (default: api.sock in the data directory).")
    var socketPath: String?
    @Option(name: .flag("adminSocketPath"), help: "Socket for `agent logger` and `agent debug` (default: none).")
    var adminSocketPath: String?
    @Option(
        name: .flag("joinToken"),
        help: "Join token for the first attestation (visible to others in `ps`: prefer -joinTokenFile).")
    var joinToken: String?
    @Option(name: .flag("joinTokenFile"), help: "File with the join token.")
    var joinTokenFile: String?
    @Option(name: .flag("trustBundle"), help: "File with the trust bundle of the control plane (PEM).")
    var trustBundle: String?
    @Option(
        name: .flag("x509popPrivateKey"),
        help: "File with the private key (PEM) that proves this node, instead of a join token.")
    var x509popPrivateKey: String?
    @Option(name: .flag("x509popCertificate"), help: "File with this node's certificate (PEM), for -x509popPrivateKey.")
    var x509popCertificate: String?
    @Option(
        name: .flag("x509popIntermediates"),
        help: "File with the certificates (PEM) between this node's and the authority's.")
    var x509popIntermediates: String?
    @Option(
        name: .flag("rebootstrapMode"),
        help: "Build lost trust in the control plane anew: never, auto (when the node can attest again) or always.")
    var rebootstrapMode: String?
    @Option(
        name: .flag("rebootstrapDelay"),
        help: "How long the control plane goes unrecognized before that (default 10m).")
    var rebootstrapDelay: String?
    @Flag(name: .flag("insecureBootstrap"), help: "Trust whatever server answers the first time.")
    var insecureBootstrap = false
    @Option(name: .flag("syncInterval"), help: "How often to ask a control plane that does not push (default 5s).")
    var syncInterval: String?
    @OptionGroup var service: WorkloadServiceOptions

    func configuration(_ settings: Settings) throws -> NodeAgentConfiguration {
        guard let name = try settings.text("trust_domain", flag: trustDomain) else {
            throw CommandFailure(
                "-trustDomain is needed (or \(settings.name("trust_domain")) in the configuration file)")
        }
        let directory = absolute(try settings.text("data_dir", flag: dataDirectory) ?? "data/agent")
        let domain = try parseTrustDomain(name, settings.name("trust_domain"))
        var configuration = NodeAgentConfiguration(
            trustDomain: domain, dataDirectory: directory,
            serverHost: try settings.text("server_address", flag: serverAddress) ?? "127.0.0.1",
            serverPort: try settings.port("server_port", flag: serverPort, default: 8081),
            workloadSocketPath: absolute(try settings.text("socket_path", flag: socketPath) ?? "\(directory)/api.sock"))
        configuration.adminSocketPath = try settings.text("admin_socket_path", flag: adminSocketPath).map(absolute)
        configuration.joinToken = try token(settings)
        configuration.x509pop = try x509pop(settings)
        guard configuration.joinToken == nil || configuration.x509pop == nil else {
            throw CommandFailure("a node attests by a join token or by x509pop, not by both")
        }
        configuration.rebootstrap = try rebootstrap(settings)
        configuration.agentVersion = AgentShieldVersion.current
        if let seconds = try settings.seconds("sync_interval", flag: syncInterval) {
            configuration.syncInterval = .seconds(seconds)
        }
        try service.changes(settings)(&configuration)
        if try settings.flag("insecure_bootstrap", flag: insecureBootstrap) {
            configuration.bootstrap = .insecure
        } else if let file = try settings.text("trust_bundle_path", flag: trustBundle) {
            let pem = String(decoding: try LocalFile.read(file, limit: 1 << 20), as: UTF8.self)
            do {
                _ = try TrustBundle(trustDomain: domain, pem: pem)
            } catch {
                throw CommandFailure("\(settings.name("trust_bundle_path")) `\(file)`: \(error)")
            }
            configuration.bootstrap = .file(absolute(file))
        }
        return configuration
    }

    private func x509pop(_ settings: Settings) throws -> X509PoPFiles? {
        let key = try settings.text("x509pop_private_key_path", flag: x509popPrivateKey)
        let certificate = try settings.text("x509pop_certificate_path", flag: x509popCertificate)
        let intermediates = try settings.text("x509pop_intermediates_path", flag: x509popIntermediates)
        guard let key, let certificate else {
            guard key == nil, certificate == nil, intermediates == nil else {
                throw CommandFailure(
                    "\(settings.name("x509pop_private_key_path")) and \(settings.name("x509pop_certificate_path")) "
                        + "are needed together")
            }
            return nil
        }
        return X509PoPFiles(
            privateKey: absolute(key), certificate: absolute(certificate), intermediates: intermediates.map(absolute))
    }

    private func rebootstrap(_ settings: Settings) throws -> NodeAgentConfiguration.Rebootstrap {
        var rule = NodeAgentConfiguration.Rebootstrap()
        if let text = try settings.text("rebootstrap_mode", flag: rebootstrapMode) {
            guard let mode = NodeAgentConfiguration.Rebootstrap.Mode(rawValue: text) else {
                throw CommandFailure("\(settings.name("rebootstrap_mode")): `\(text)` is not never, auto or always")
            }
            rule.mode = mode
        }
        if let text = try settings.text("rebootstrap_delay", flag: rebootstrapDelay) {
            rule.delay = .seconds(try DurationText.seconds(text, flag: settings.name("rebootstrap_delay")))
        }
        return rule
    }

    private func token(_ settings: Settings) throws -> String? {
        if let token = try settings.text("join_token", flag: joinToken) { return token }
        guard let file = try settings.text("join_token_file", flag: joinTokenFile) else { return nil }
        let text = String(decoding: try LocalFile.read(file, limit: 4096), as: UTF8.self)
        let token = text.filter { !$0.isWhitespace }
        guard !token.isEmpty else { throw CommandFailure("\(settings.name("join_token_file")) `\(file)` is empty") }
        return token
    }
}
