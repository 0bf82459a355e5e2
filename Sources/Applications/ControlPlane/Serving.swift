import AuditTrail
import Issuance
import Registry
package import SPIFFE

/// A control plane that serves: where, and what the node agent beside it needs.
package struct Serving: Sendable {
    /// `host:port` of the node API.
    package let nodeAPI: String
    /// `host:port` of HTTPS.
    package let https: String
    package let adminSocketPath: String
    private let authorities: Authorities
    private let registry: Registry

    init(
        _ configuration: ControlPlaneConfiguration, _ addresses: Addresses, _ authorities: Authorities,
        _ registry: Registry
    ) {
        nodeAPI = addresses.nodeAPI ?? ""
        https = addresses.https ?? ""
        adminSocketPath = configuration.resolvedAdminSocketPath
        self.authorities = authorities
        self.registry = registry
    }

    /// The trust bundle now.
    package var bundle: TrustBundle { authorities.bundle }

    /// Calls `use` with the bundle at every change, until the task is cancelled.
    package func followBundle(_ use: @Sendable (TrustBundle) -> Void) async {
        for await _ in authorities.changes() { use(authorities.bundle) }
    }

    /// Whether the node agent with this ID would still be served.
    package func knowsNode(_ id: SPIFFEID) -> Bool {
        registry.node(id).map { !$0.isBanned } ?? false
    }

    /// A join token for a node agent in the same process; never printed.
    package func makeJoinToken(requestID: String) async throws -> String {
        try await registry.createJoinToken(ttl: 60, by: .internal(), requestID: requestID).value
    }
}
