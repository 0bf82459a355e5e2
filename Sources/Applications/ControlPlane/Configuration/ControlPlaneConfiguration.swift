package import AgentDirectory
package import Authentication
package import Issuance
package import Registry
package import SPIFFE
import TokenService

/// Everything that can be set of a control plane.
package struct ControlPlaneConfiguration: Sendable {
    /// The trust domain that it is the authority of.
    package var trustDomain: TrustDomain
    /// Holds the databases, keys and the admin socket; made with mode 0700 if it does not exist.
    package var dataDirectory: String
    /// Address that the node API and HTTPS listen on.
    package var bindAddress = "127.0.0.1"
    /// Port of the node API; 0 takes a free one.
    package var nodeAPIPort = 8081
    /// Port of HTTPS; 0 takes a free one.
    package var httpsPort = 8443
    /// The admin socket; nil means `admin.sock` in the data directory.
    package var adminSocketPath: String?
    /// Seconds that certificate authorities and the keys that sign tokens live.
    package var authorityTTL: Int64 = 24 * 3600
    /// Seconds that a workload's X.509-SVID lives where its entry does not say.
    package var x509SVIDTTL: Int64 = 3600
    /// Seconds that a JWT-SVID lives where its entry does not say.
    package var jwtSVIDTTL: Int64 = 300
    /// Seconds that a WIT-SVID lives.
    package var witSVIDTTL: Int64 = 3600
    /// Seconds that a node agent's X.509-SVID lives; nil means `x509SVIDTTL`.
    package var nodeSVIDTTL: Int64?
    /// The `iss` claim of JWT-SVIDs; nil leaves it out.
    package var jwtIssuer: String?
    /// How clients reach HTTPS, `https://host[:port]`: what the names of the token service grow from. Nil means the first
    /// of `serverNames`, or `localhost`, and the port.
    package var publicURL: String?
    /// Issuers outside whose tokens count where a federated credential names them.
    package var trustedIssuers: [TrustedIssuer] = []
    /// Who the users of this machine are, by uid, when they answer approvals on the administration socket.
    package var socketApprovers: [UInt32: Person] = [:]
    /// Identity providers whose people answer approvals over HTTP.
    package var approverIssuers: [ApproverIssuer] = []
    /// Transmitters whose security events end agents.
    package var signalIssuers: [SignalIssuer] = []
    /// Other authorization servers whose grants say on whose behalf our clients act.
    package var grantIssuers: [GrantIssuer] = []
    /// What agents are called as clients of other authorization servers, where that is not their SPIFFE ID.
    package var foreignClientNames: [ForeignClientNames.Entry] = []
    /// What is added to JWT- and WIT-SVIDs.
    package var claims = ClaimRules.none
    /// Host names beside that of `jwtIssuer` under which OIDC discovery answers.
    package var oidcDomains: [String] = []
    /// Says `"use": "sig"` of every key that OIDC discovery publishes.
    package var oidcSetKeyUse = false
    /// Certificates that HTTPS shows to clients that ask for one of their names.
    package var webCertificates: [WebCertificateFile] = []
    /// PEM file with the authorities outside whose certificates authenticate clients of the token service (`tls_client_auth`).
    package var clientAuthorities: String?
    /// Federation relationships that win over stored ones.
    package var federation: [FederationRelationship] = []
    /// File with the authorities that `https_web` endpoints are verified with; nil means those of the operating system.
    package var federationWebRoots: String?
    /// Refuses entries made without a parent.
    package var requireParent = false
    /// DNS names and IP addresses in the control plane's own certificate, beside those of loopback and the bind address.
    package var serverNames: [String] = []
    /// The authority above ours; nil when ours are roots themselves.
    package var upstream: UpstreamAuthorityFiles?
    /// Whether and by what node agents can attest with a certificate of their own (`x509pop`).
    package var x509pop: X509PoP?
    /// How often one host may call what costs much.
    package var rateLimits = RateLimits()
    /// How many connections the node API has at once.
    package var connectionLimits = ConnectionLimits()
    /// Seconds between two signs of life on a quiet push stream.
    package var pushHeartbeat: Int64 = 15

    package init(trustDomain: TrustDomain, dataDirectory: String) {
        self.trustDomain = trustDomain
        self.dataDirectory = dataDirectory
    }

    /// Calls per second of one host, SPIRE's by default; nil for no limit.
    package struct RateLimits: Sendable {
        /// AttestAgent.
        package var attestation: Int? = 1
        /// Certificates and tokens that are signed for others, counted apart; each item of a batch counts.
        package var signing: Int? = 500
        /// PostStatus.
        package var status: Int? = 10
        /// Requests to the endpoints of the token service.
        package var tokens: Int? = 500

        package init(attestation: Int? = 1, signing: Int? = 500, status: Int? = 10, tokens: Int? = 500) {
            self.attestation = attestation
            self.signing = signing
            self.status = status
            self.tokens = tokens
        }

        /// No limits.
        package static let off = RateLimits(attestation: nil, signing: nil, status: nil, tokens: nil)
    }

    /// Connections of the node API at once. A node agent holds one; during a renewal it has two for a moment.
    package struct ConnectionLimits: Sendable, Equatable {
        /// Of all addresses together.
        package var total = 2048
        /// Of one address, so that nobody can take all of them.
        package var perSource = 512

        package init() {}
    }

    /// Whose certificates attest a node.
    package enum X509PoP: Sendable {
        /// Those that lead to one of these authorities.
        case externalPKI(authorities: [ParsedCertificate])
        /// SVIDs of the own trust domain below this path.
        case spiffe(prefix: String)
    }

    package var resolvedAdminSocketPath: String { adminSocketPath ?? "\(dataDirectory)/admin.sock" }
}

extension ControlPlaneConfiguration {
    /// The audit log's name in its checkpoints.
    package var logOrigin: String { "\(trustDomain.name)/agentshield/log" }

    /// The base of all names of the token service, once the port is known.
    func tokenServiceNames(httpsPort port: Int) -> TokenServiceNames {
        let host = serverNames.first ?? "localhost"
        let name = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
        return TokenServiceNames(
            base: publicURL ?? (port == 443 ? "https://\(name)" : "https://\(name):\(port)"), tenant: trustDomain.name)
    }

    /// What the control plane's own certificate is good for, beside its SPIFFE ID.
    var certificateNames: [String] {
        var names = ["localhost", "127.0.0.1", "::1"]
        // Nobody connects to the addresses that stand for all of them.
        if IPAddress(bindAddress) != nil, bindAddress != "0.0.0.0", bindAddress != "::" { names.append(bindAddress) }
        names += serverNames
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }
}
