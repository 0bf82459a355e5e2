import AgentDirectory
import ArgumentParser
import Attestation
import Authentication
import ControlPlane
import JOSE
import Registry
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
    @Option(name: .flag("defaultWITSVIDTTL"), help: "Lifetime of WIT-SVIDs, such as 1h.")
    var witSVIDTTL: String?
    @Option(name: .flag("agentTTL"), help: "Lifetime of node agents' certificates.")
    var agentTTL: String?
    @Option(name: .flag("jwtIssuer"), help: "The `iss` claim of JWT-SVIDs.")
    var jwtIssuer: String?
    @Option(
        name: .flag("publicURL"),
        help: "How clients reach HTTPS, such as https://id.example.org: names of the token service grow from it.")
    var publicURL: String?
    @Option(
        name: .flag("trustedIssuer"),
        help: """
            Issuer whose tokens federated credentials may name: "URL [jwks_uri=URL] [jwks=FILE] [ca=FILE] [private] \
            [loopback_http]"; repeat for more.
            """)
    var trustedIssuers: [String] = []
    @Option(
        name: .flag("socketApprover"),
        help:
            "\"UID NAME\": who a user of this machine is when it answers approvals on the admin socket; repeat for more."
    )
    var socketApprovers: [String] = []
    @Option(
        name: .flag("approverIssuer"),
        help: """
            Identity provider whose people answer approvals over HTTPS: "URL audience=CLIENT_ID [claim=email|sub] [domain=NAME]", then \
            what -trustedIssuer takes; repeat for more.
            """)
    var approverIssuers: [String] = []
    @Option(
        name: .flag("signalIssuer"),
        help: """
            Transmitter whose security events end agents with a federated credential of it: "URL [all] [audience=TEXT] \
            [jwks_uri=URL] [jwks=FILE] [ca=FILE] [private] [loopback_http]"; all: every agent; repeat for more.
            """)
    var signalIssuers: [String] = []
    @Option(
        name: .flag("grantIssuer"),
        help: """
            Authorization server whose grants say for whom clients act here: "URL [trust_domain=NAME]" and what \
            -trustedIssuer has; repeat for more.
            """)
    var grantIssuers: [String] = []
    @Option(
        name: .flag("clientAt"),
        help: """
            What an agent is called at another authorization server, where that is not its SPIFFE ID: "ISSUER SPIFFE_ID \
            CLIENT_ID"; repeat for more.
            """)
    var foreignClientNames: [String] = []
    @Option(name: .flag("oidcDomain"), help: "A further host name for OIDC discovery; repeat for more.")
    var oidcDomains: [String] = []
    @Flag(name: .flag("oidcSetKeyUse"), help: "Say `use: sig` of the keys of OIDC discovery.")
    var oidcSetKeyUse = false
    @Option(
        name: .flag("webCertificate"),
        help: "CHAIN.pem:KEY.pem, shown by HTTPS to clients that ask for its names; repeat for more.")
    var webCertificates: [String] = []
    @Option(
        name: .flag("clientCA"),
        help: "Authorities (PEM) whose client certificates authenticate agents at the token service (tls_client_auth).")
    var clientAuthorities: String?
    @Option(
        name: .flag("federatesWith"),
        help: "\"DOMAIN https_web URL\" or \"DOMAIN https_spiffe URL ENDPOINT_ID\"; repeat for more.")
    var federatesWith: [String] = []
    @Option(
        name: .flag("federationWebRoots"),
        help: "Authorities of https_web endpoints, PEM (default: those of the operating system).")
    var federationWebRoots: String?
    @Flag(name: .flag("requireParent"), help: "Refuse entries made without a parent.")
    var requireParent = false
    @Option(
        name: .flag("dnsName"), help: "A further DNS name or IP address in the server's certificate; repeat for more.")
    var dnsNames: [String] = []

    @Option(
        name: .flag("upstreamCert"),
        help: "Certificate (PEM) of the authority that signs this server's authorities, and those above it.")
    var upstreamCertificate: String?
    @Option(name: .flag("upstreamKey"), help: "Its private key (PEM), readable by nobody else.")
    var upstreamKey: String?
    @Option(
        name: .flag("upstreamBundle"), help: "The roots above it (PEM); not needed when it is a root itself.")
    var upstreamBundle: String?

    @Option(
        name: .flag("rateLimitAttestation"),
        help: "Attestations per second from one address, 0 for no limit (default 1).")
    var rateLimitAttestation: Int64?
    @Option(
        name: .flag("rateLimitSigning"),
        help: "Certificates, and tokens, signed per second for one address, 0 for no limit (default 500).")
    var rateLimitSigning: Int64?
    @Option(
        name: .flag("rateLimitStatus"),
        help: "Reports of node agents per second from one address, 0 for no limit (default 10).")
    var rateLimitStatus: Int64?

    @Option(
        name: .flag("rateLimitTokens"),
        help: "Requests to the token service per second from one address, 0 for no limit (default 500).")
    var rateLimitTokens: Int64?

    @Option(
        name: .flag("maxConnections"), help: "Connections of the node API at once (default 2048).")
    var maximumConnections: Int64?
    @Option(
        name: .flag("maxConnectionsPerSource"),
        help: "Connections of the node API at once from one address (default 512).")
    var maximumConnectionsPerSource: Int64?

    @Option(
        name: .flag("x509popCABundle"),
        help: "File with authorities (PEM) whose certificates attest node agents; repeat for more.")
    var x509popCABundles: [String] = []
    @Option(
        name: .flag("x509popMode"),
        help: "external_pki, or spiffe: node agents attest with an SVID of the trust domain (default external_pki).")
    var x509popMode: String?
    @Option(
        name: .flag("x509popSVIDPrefix"),
        help: "Path below which SVIDs attest node agents in mode spiffe (default /spire-exchange).")
    var x509popSVIDPrefix: String?

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
        configuration.witSVIDTTL =
            try settings.seconds("default_wit_svid_ttl", flag: witSVIDTTL) ?? configuration.witSVIDTTL
        configuration.nodeSVIDTTL = try settings.seconds("agent_ttl", flag: agentTTL)
        configuration.jwtIssuer = try settings.text("jwt_issuer", flag: jwtIssuer)
        configuration.publicURL = try publicURL(settings)
        configuration.trustedIssuers = try settings.list("trusted_issuers", flag: trustedIssuers).map {
            try parseTrustedIssuer($0, settings.name("trusted_issuers"))
        }
        let approvers = try settings.list("socket_approvers", flag: socketApprovers).map {
            try parseSocketApprover($0, settings.name("socket_approvers"))
        }
        configuration.socketApprovers = Dictionary(approvers, uniquingKeysWith: { $1 })
        configuration.approverIssuers = try settings.list("approver_issuers", flag: approverIssuers).map {
            try parseApproverIssuer($0, settings.name("approver_issuers"))
        }
        let addresses = configuration.approverIssuers.filter { $0.claim == .email }
        guard addresses.count <= 1 || addresses.allSatisfy({ $0.domain != nil }) else {
            throw CommandFailure(
                "\(settings.name("approver_issuers")): two providers of addresses need domain=NAME each, or one could name "
                    + "the other's people")
        }
        configuration.signalIssuers = try settings.list("signal_issuers", flag: signalIssuers).map {
            try parseSignalIssuer($0, settings.name("signal_issuers"))
        }
        configuration.grantIssuers = try settings.list("grant_issuers", flag: grantIssuers).map {
            try parseGrantIssuer($0, settings.name("grant_issuers"))
        }
        configuration.foreignClientNames = try settings.list("client_at", flag: foreignClientNames).map {
            try parseClientName($0, settings.name("client_at"))
        }
        configuration.claims = settings.file.claims
        configuration.oidcDomains = settings.list("oidc_domains", flag: oidcDomains)
        configuration.oidcSetKeyUse = try settings.flag("oidc_set_key_use", flag: oidcSetKeyUse)
        configuration.webCertificates = settings.list("web_certificates", flag: webCertificates).map(
            parseWebCertificate)
        configuration.clientAuthorities = try settings.text("client_ca_path", flag: clientAuthorities).map(absolute)
        configuration.federation = try settings.list("federates_with", flag: federatesWith).map {
            try parseFederation($0, settings.name("federates_with"))
        }
        configuration.federationWebRoots = try settings.text("federation_web_roots", flag: federationWebRoots)
            .map(absolute)
        configuration.requireParent = try settings.flag("require_parent", flag: requireParent)
        configuration.serverNames = settings.list("dns_names", flag: dnsNames)
        for name in configuration.serverNames where !DNSName.isValid(name) && IPAddress(name) == nil {
            throw CommandFailure("\(settings.name("dns_names")): `\(name)` is neither a DNS name nor an IP address")
        }
        configuration.rateLimits.attestation = try rate(
            "ratelimit_attestation", rateLimitAttestation, configuration.rateLimits.attestation, settings)
        configuration.rateLimits.signing = try rate(
            "ratelimit_signing", rateLimitSigning, configuration.rateLimits.signing, settings)
        configuration.rateLimits.status = try rate(
            "ratelimit_status", rateLimitStatus, configuration.rateLimits.status, settings)
        configuration.rateLimits.tokens = try rate(
            "ratelimit_tokens", rateLimitTokens, configuration.rateLimits.tokens, settings)
        configuration.connectionLimits = try connectionLimits(settings)
        configuration.x509pop = try x509pop(settings)
        configuration.upstream = try upstream(settings)
        return configuration
    }

    /// An `https` URL that is nothing but a name and a port.
    private func publicURL(_ settings: Settings) throws -> String? {
        guard let text = try settings.text("public_url", flag: publicURL) else { return nil }
        let base = text.hasSuffix("/") ? String(text.dropLast()) : text
        guard let url = try? HTTPSURL(base), url.target == "/", base.lowercased() == base else {
            throw CommandFailure(
                "\(settings.name("public_url")): `\(text)` is not an https url of a name in lower case and a port")
        }
        return base
    }

    private func upstream(_ settings: Settings) throws -> UpstreamAuthorityFiles? {
        let certificate = try settings.text("upstream_cert_file_path", flag: upstreamCertificate).map(absolute)
        let key = try settings.text("upstream_key_file_path", flag: upstreamKey).map(absolute)
        let bundle = try settings.text("upstream_bundle_file_path", flag: upstreamBundle).map(absolute)
        switch (certificate, key) {
        case (nil, nil):
            guard bundle == nil else {
                throw CommandFailure(
                    "\(settings.name("upstream_bundle_file_path")) means nothing without "
                        + settings.name("upstream_cert_file_path"))
            }
            return nil
        case (let certificate?, let key?):
            return UpstreamAuthorityFiles(certificatePath: certificate, privateKeyPath: key, bundlePath: bundle)
        case (nil, _?): throw CommandFailure("\(settings.name("upstream_cert_file_path")) is needed with the key")
        case (_?, nil):
            throw CommandFailure("\(settings.name("upstream_key_file_path")) is needed with the certificate")
        }
    }

    private func rate(_ key: String, _ flag: Int64?, _ standard: Int?, _ settings: Settings) throws -> Int? {
        guard let number = try settings.integer(key, flag: flag) else { return standard }
        guard (0...1_000_000).contains(number) else {
            throw CommandFailure("\(settings.name(key)): `\(number)` is not a rate from 0 to 1000000")
        }
        return number == 0 ? nil : Int(number)
    }

    private func connectionLimits(_ settings: Settings) throws -> ControlPlaneConfiguration.ConnectionLimits {
        var limits = ControlPlaneConfiguration.ConnectionLimits()
        limits.total = try connections("max_connections", maximumConnections, settings) ?? limits.total
        guard let perSource = try connections("max_connections_per_source", maximumConnectionsPerSource, settings)
        else {
            limits.perSource = min(limits.perSource, limits.total)
            return limits
        }
        guard perSource <= limits.total else {
            throw CommandFailure(
                "\(settings.name("max_connections_per_source")): `\(perSource)` is more than the \(limits.total) of "
                    + settings.name("max_connections"))
        }
        limits.perSource = perSource
        return limits
    }

    private func connections(_ key: String, _ flag: Int64?, _ settings: Settings) throws -> Int? {
        guard let number = try settings.integer(key, flag: flag) else { return nil }
        guard (1...1_000_000).contains(number) else {
            throw CommandFailure("\(settings.name(key)): `\(number)` is not a number of connections from 1 to 1000000")
        }
        return Int(number)
    }

    private func x509pop(_ settings: Settings) throws -> ControlPlaneConfiguration.X509PoP? {
        let mode = try settings.text("x509pop_mode", flag: x509popMode)
        let paths = settings.list("x509pop_ca_bundle_paths", flag: x509popCABundles)
        let prefix = try settings.text("x509pop_svid_prefix", flag: x509popSVIDPrefix)
        switch mode ?? "external_pki" {
        case "spiffe":
            guard paths.isEmpty else {
                throw CommandFailure("\(settings.name("x509pop_ca_bundle_paths")) has no meaning in mode spiffe")
            }
            let prefix = prefix ?? "/spire-exchange"
            guard prefix.hasPrefix("/") else {
                throw CommandFailure("\(settings.name("x509pop_svid_prefix")): `\(prefix)` does not begin with `/`")
            }
            return .spiffe(prefix: prefix)
        case "external_pki":
            guard prefix == nil else {
                throw CommandFailure("\(settings.name("x509pop_svid_prefix")) has a meaning only in mode spiffe")
            }
            guard !paths.isEmpty else {
                guard mode == nil else {
                    throw CommandFailure("\(settings.name("x509pop_ca_bundle_paths")) is needed for mode external_pki")
                }
                return nil
            }
            return .externalPKI(authorities: try paths.flatMap { try authorities($0, settings) })
        case let other:
            throw CommandFailure(
                "\(settings.name("x509pop_mode")): `\(other)` is neither external_pki nor spiffe")
        }
    }

    private func authorities(_ path: String, _ settings: Settings) throws -> [ParsedCertificate] {
        let text = String(decoding: try LocalFile.read(path, limit: PEM.maximumLength), as: UTF8.self)
        do {
            return try PEM.decodeAll(text, label: PEM.certificateLabel, limit: X509Bundle.maximumAuthorities).map {
                try ParsedCertificate(der: $0, rsaBits: X509PoPAttestation.rsaBits)
            }
        } catch {
            throw CommandFailure("\(settings.name("x509pop_ca_bundle_paths")) `\(path)`: \(error)")
        }
    }
}

/// A path made absolute against the working directory, so that sockets and messages do not depend on it.
func absolute(_ path: String) -> String {
    path.hasPrefix("/") ? path : "\(WorkingDirectory.path)/\(path)"
}

/// `DOMAIN PROFILE URL [ENDPOINT_ID]`.
private func parseFederation(_ text: String, _ name: String) throws -> FederationRelationship {
    let words = text.split(separator: " ").map { String($0) }
    guard (3...4).contains(words.count) else {
        throw CommandFailure("\(name): `\(text)` is not DOMAIN PROFILE URL and, for https_spiffe, ENDPOINT_ID")
    }
    let url: HTTPSURL
    do { url = try HTTPSURL(words[2]) } catch { throw CommandFailure("\(name): \(error)") }
    let profile: FederationRelationship.Profile
    switch (words[1], words.count) {
    case ("https_web", 3): profile = .web
    case ("https_spiffe", 4):
        do { profile = .spiffe(endpointID: try SPIFFEID(words[3])) } catch { throw CommandFailure("\(name): \(error)") }
    default: throw CommandFailure("\(name): `\(text)` is neither https_web with a url nor https_spiffe with url and id")
    }
    return FederationRelationship(
        trustDomain: try parseTrustDomain(words[0], name), bundleEndpointURL: url, profile: profile)
}

/// `URL [jwks_uri=URL] [jwks=FILE] [ca=FILE] [private] [loopback_http]`.
private func parseTrustedIssuer(
    _ text: String, _ name: String, algorithms: [JWSAlgorithm] = JWSAlgorithm.allCases, transmitsSignals: Bool = false
) throws -> TrustedIssuer {
    let words = text.split(separator: " ").map { String($0) }
    guard let issuer = words.first else { throw CommandFailure("\(name): an issuer begins with its url") }
    var keysURL: String?
    var keys: [UInt8]?
    var roots = TrustedIssuer.Roots.system
    var flags: Set<String> = []
    for word in words.dropFirst() {
        let parts = word.split(separator: "=", maxSplits: 1).map { String($0) }
        switch (parts[0], parts.count) {
        case ("jwks_uri", 2): keysURL = parts[1]
        case ("jwks", 2): keys = try LocalFile.read(absolute(parts[1]), limit: IssuerKeys.maximumBytes)
        case ("ca", 2): roots = .pem(try LocalFile.read(absolute(parts[1]), limit: PEM.maximumLength))
        case ("private", 1), ("loopback_http", 1): flags.insert(parts[0])
        default:
            throw CommandFailure(
                "\(name): `\(word)` is none of jwks_uri=URL, jwks=FILE, ca=FILE, private and loopback_http")
        }
    }
    do {
        return try TrustedIssuer(
            issuer: issuer, jwksURI: keysURL, jwks: keys, roots: roots,
            allowsPrivateAddresses: flags.contains("private"), allowsLoopbackHTTP: flags.contains("loopback_http"),
            algorithms: algorithms, transmitsSignals: transmitsSignals)
    } catch {
        throw CommandFailure("\(name): `\(issuer)`: \(error)")
    }
}

/// `UID NAME`.
private func parseSocketApprover(_ text: String, _ name: String) throws -> (UInt32, Person) {
    let words = text.split(separator: " ", maxSplits: 1).map { String($0) }
    guard words.count == 2, let uid = UInt32(words[0]), let person = try? Person(words[1]) else {
        throw CommandFailure("\(name): `\(text)` is not the number of a user and a name")
    }
    return (uid, person)
}

/// `URL audience=CLIENT_ID [claim=email|sub] [domain=NAME]`, and what a trusted issuer has.
private func parseApproverIssuer(_ text: String, _ name: String) throws -> ApproverIssuer {
    var audience: String?
    var claim = ApproverIssuer.Claim.email
    var domain: String?
    var rest: [String] = []
    for word in text.split(separator: " ").map({ String($0) }) {
        if word.hasPrefix("audience=") {
            audience = String(word.dropFirst("audience=".count))
        } else if word.hasPrefix("domain="), word.count > "domain=".count {
            domain = String(word.dropFirst("domain=".count))
        } else if word.hasPrefix("claim=") {
            guard let known = ApproverIssuer.Claim(rawValue: String(word.dropFirst("claim=".count))) else {
                throw CommandFailure("\(name): `\(word)` is neither claim=email nor claim=sub")
            }
            claim = known
        } else {
            rest.append(word)
        }
    }
    guard let audience, !audience.isEmpty else {
        throw CommandFailure("\(name): audience=CLIENT_ID is needed, the client that the ID tokens are for")
    }
    return ApproverIssuer(
        issuer: try parseTrustedIssuer(rest.joined(separator: " "), name), audience: audience, claim: claim,
        domain: domain)
}

/// `URL [all] [audience=TEXT]`, and what other issuers have beside their URL.
private func parseSignalIssuer(_ text: String, _ name: String) throws -> SignalIssuer {
    var rest: [String] = []
    var reachesAll = false
    var audience: String?
    for word in text.split(separator: " ").map(String.init) {
        let prefix = "audience="
        if word == "all" {
            reachesAll = true
        } else if word.hasPrefix(prefix), word.count > prefix.count {
            audience = String(word.dropFirst(prefix.count))
        } else {
            rest.append(word)
        }
    }
    // Whoever signs with anything else has no profile of shared signals that we know.
    let issuer = try parseTrustedIssuer(
        rest.joined(separator: " "), name, algorithms: [.rs256, .es256], transmitsSignals: true)
    return SignalIssuer(issuer: issuer, audience: audience, reachesAll: reachesAll)
}

/// `URL [trust_domain=NAME]` and what a trusted issuer has.
private func parseGrantIssuer(_ text: String, _ name: String) throws -> GrantIssuer {
    let key = "trust_domain="
    let words = text.split(separator: " ").map { String($0) }
    let domains = words.filter { $0.hasPrefix(key) }
    guard domains.count <= 1 else { throw CommandFailure("\(name): an issuer speaks for one trust domain") }
    let issuer = try parseTrustedIssuer(words.filter { !$0.hasPrefix(key) }.joined(separator: " "), name)
    return GrantIssuer(
        issuer, trustDomain: try domains.first.map { try parseTrustDomain(String($0.dropFirst(key.count)), name) })
}

/// `ISSUER SPIFFE_ID CLIENT_ID`.
private func parseClientName(_ text: String, _ name: String) throws -> ForeignClientNames.Entry {
    let words = text.split(separator: " ").map { String($0) }
    guard words.count == 3, let agent = try? SPIFFEID(words[1]) else {
        throw CommandFailure("\(name): `\(text)` is not issuer, spiffe id and client id")
    }
    return ForeignClientNames.Entry(issuer: words[0], agent: agent, clientID: words[2])
}

/// `CHAIN:KEY`, or one file that holds both.
private func parseWebCertificate(_ text: String) -> WebCertificateFile {
    let paths = text.split(separator: ":", maxSplits: 1).map { absolute(String($0)) }
    return WebCertificateFile(chainPath: paths.first ?? "", keyPath: paths.last ?? "")
}

func parseTrustDomain(_ text: String, _ name: String) throws -> TrustDomain {
    do {
        return try TrustDomain(idOrName: text)
    } catch {
        throw CommandFailure("\(name): \(error)")
    }
}
