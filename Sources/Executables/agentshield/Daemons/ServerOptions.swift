import ArgumentParser
import ControlPlane
import SPIFFE

/// The flags of the control plane, shared by `server run`, `up` and `validate`.
struct ServerOptions: ParsableArguments {
    @Option(name: .flag("httpsPort"), help: "HTTPS port (0: a free one; default 8443).")
    var httpsPort: Int?
    @Option(name: .flag("bindAddress"), help: "Address to listen on (default 127.0.0.1).")
    var bindAddress: String?
    @Option(name: .flag("caTTL"), help: "Lifetime of authorities, such as 24h.")
    var caTTL: String?
    @Option(
        name: .flag("defaultX509SVIDTTL"), help: "Lifetime of X.509-SVIDs where the entry does not say, such as 1h.")
    var x509SVIDTTL: String?
    @Option(name: .flag("defaultJWTSVIDTTL"), help: "Lifetime of JWT-SVIDs where the entry does not say, such as 5m.")
    var jwtSVIDTTL: String?
    @Option(name: .flag("agentTTL"), help: "Lifetime of node agents' certificates.")
    var agentTTL: String?
    @Option(name: .flag("jwtIssuer"), help: "The `iss` claim of JWT-SVIDs.")
    var jwtIssuer: String?
    @Flag(name: .flag("requireParent"), help: "Refuse entries made without a parent.")
    var requireParent = false
    @Option(name: .flag("dnsName"), help: "A further name in the server's certificate; repeat for more.")
    var dnsNames: [String] = []

    func configuration(
        _ settings: Settings, trustDomain: String?, dataDirectory: String?, port: Int?, adminSocketPath: String?
    ) throws -> ControlPlaneConfiguration {
        guard let name = try settings.text("trust_domain", flag: trustDomain) else {
            throw CommandFailure(
                "-trustDomain is needed (or \(settings.name("trust_domain")) in the configuration file)")
        }
        let domain = try parseTrustDomain(name, settings.name("trust_domain"))
        let directory = try settings.text("data_dir", flag: dataDirectory) ?? "data"
        var configuration = ControlPlaneConfiguration(trustDomain: domain, dataDirectory: absolute(directory))
        configuration.bindAddress = try settings.text("bind_address", flag: bindAddress) ?? configuration.bindAddress
        configuration.nodeAPIPort = try settings.port("bind_port", flag: port, default: configuration.nodeAPIPort)
        configuration.httpsPort = try settings.port("https_port", flag: httpsPort, default: configuration.httpsPort)
        configuration.adminSocketPath = try settings.text("socket_path", flag: adminSocketPath).map(absolute)
        configuration.authorityTTL = try settings.seconds("ca_ttl", flag: caTTL) ?? configuration.authorityTTL
        configuration.x509SVIDTTL =
            try settings.seconds("default_x509_svid_ttl", flag: x509SVIDTTL) ?? configuration.x509SVIDTTL
        configuration.jwtSVIDTTL =
            try settings.seconds("default_jwt_svid_ttl", flag: jwtSVIDTTL) ?? configuration.jwtSVIDTTL
        configuration.nodeSVIDTTL = try settings.seconds("agent_ttl", flag: agentTTL)
        configuration.jwtIssuer = try settings.text("jwt_issuer", flag: jwtIssuer)
        configuration.requireParent = try settings.flag("require_parent", flag: requireParent)
        configuration.serverNames = settings.list("dns_names", flag: dnsNames)
        return configuration
    }
}

/// A path made absolute against the working directory, so that sockets and messages do not depend on it.
func absolute(_ path: String) -> String {
    path.hasPrefix("/") ? path : "\(WorkingDirectory.path)/\(path)"
}

func parseTrustDomain(_ text: String, _ name: String) throws -> TrustDomain {
    do {
        return try TrustDomain(idOrName: text)
    } catch {
        throw CommandFailure("\(name): \(error)")
    }
}
