package import SPIFFE
package import SecretDiscovery

/// Everything that one node agent has to be told.
package struct NodeAgentConfiguration: Sendable {
    /// The trust domain that the node belongs to.
    package var trustDomain: TrustDomain
    /// Where the agent keeps its key and certificate, the trust bundle and the audit spool; made with mode 0700.
    package var dataDirectory: String
    /// DNS name or IP address of the control plane.
    package var serverHost: String
    /// Port of the node API.
    package var serverPort: Int
    /// Absolute path of the Unix socket of the Workload API.
    package var workloadSocketPath: String
    /// Absolute path of the Unix socket of administration; nil for none.
    package var adminSocketPath: String?
    /// A join token for the first attestation; not needed again while the stored identity is good.
    package var joinToken: String?
    /// A certificate and key that prove the node as often as needed; takes the place of a join token.
    package var x509pop: X509PoPFiles?
    /// When trust in the server that was lost is built anew.
    package var rebootstrap = Rebootstrap()
    /// How the server is known before the first attestation.
    package var bootstrap: Bootstrap = .stored
    /// Whether workloads also get `unix:path` and `unix:sha256` selectors.
    package var discoverWorkloadPath = false
    /// Whether workloads also get the `systemd` selectors of their unit.
    package var discoverSystemdUnit = false
    /// Largest executable that is hashed, in bytes; 0 means no limit, negative means never hash.
    package var workloadSizeLimit: Int64 = 0
    /// How often a control plane that does not push is asked for changes. One that pushes is asked twelve times less often.
    package var syncInterval: Duration = .seconds(5)
    /// Told to the server, for its list of agents.
    package var agentVersion = ""
    /// What happens to identities that cannot be recorded.
    package var auditPolicy: AuditPolicy = .deny
    /// Most bytes of audit records that wait for the control plane.
    package var auditSpoolLimit = 64 * 1024 * 1024
    /// Whether workloads without an identity may have the own trust domain's bundles.
    package var allowUnauthenticatedVerifiers = false
    /// Claims of other trust domains' JWT-SVIDs that validation shows beside `sub`, `aud` and `exp`.
    package var allowedForeignJWTClaims: Set<String> = []
    /// How Envoys name their secrets, and how they are told to verify peers.
    package var secretNames = SecretNames()
    /// Calls per second that processes with the same selectors may make; `nil` for no limit.
    package var callsPerSecond: Int?
    /// How long decisions may rest on revocations without news of them from the control plane; nil for no limit.
    package var revocationLimit: Duration? = .seconds(30)
    /// X509-SVIDs kept at hand; more are kept while workloads hold streams open for them.
    package var x509CacheLimit = 1000
    /// JWT-SVIDs kept at hand.
    package var jwtCacheLimit = 1000

    package init(
        trustDomain: TrustDomain, dataDirectory: String, serverHost: String, serverPort: Int, workloadSocketPath: String
    ) {
        self.trustDomain = trustDomain
        self.dataDirectory = dataDirectory
        self.serverHost = serverHost
        self.serverPort = serverPort
        self.workloadSocketPath = workloadSocketPath
    }

    /// How the server is known before the agent has a bundle of its own.
    package enum Bootstrap: Sendable {
        /// By authorities that the operator brought here.
        case bundle(TrustBundle)
        /// By authorities in a file (PEM), which is read anew each time: somebody may keep it up to date.
        case file(String)
        /// Not at all: whoever answers first is believed from then on. For trials.
        case insecure
        /// Only what an earlier run has stored; without it the agent does not start.
        case stored
    }

    /// What happens when the server is not recognized by the stored bundle any more, as after a long absence. The names
    /// and defaults are SPIRE's.
    package struct Rebootstrap: Sendable {
        package enum Mode: String, Sendable, CaseIterable {
            /// The stored bundle counts for ever.
            case never
            /// The bundle is built anew if the node can also attest again by itself.
            case auto
            /// The bundle is built anew in any case.
            case always
        }

        package var mode: Mode
        /// How long the server has to go unrecognized. A bundle that has ended as a whole is not waited for.
        package var delay: Duration

        package init(mode: Mode = .never, delay: Duration = .seconds(600)) {
            self.mode = mode
            self.delay = delay
        }
    }

    /// What happens when the audit spool is full or broken (architecture, decision 7).
    package enum AuditPolicy: String, Sendable, CaseIterable {
        /// No record, no identity: the workload gets Unavailable.
        case deny
        /// The workload gets its identity; how many went unrecorded is recorded when the spool works again.
        case pass
    }
}

/// Where certificate and key of this node are, in PEM.
package struct X509PoPFiles: Sendable, Hashable {
    package let privateKey: String
    /// The node's own certificate; intermediates may follow it.
    package let certificate: String
    package let intermediates: String?

    package init(privateKey: String, certificate: String, intermediates: String?) {
        self.privateKey = privateKey
        self.certificate = certificate
        self.intermediates = intermediates
    }
}
