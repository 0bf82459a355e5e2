import ControlPlaneAPI
import GRPCCore
import SPIFFE

/// `spire.agent.debug.v1.Debug`: uptime, what is at hand, and the certificates that the node agent shows.
struct AgentDebugService: Spire_Agent_Debug_V1_Debug.SimpleServiceProtocol {
    let cache: AgentCache
    /// The node's present identity; nil while it has none.
    let identity: @Sendable () -> NodeIdentity?
    let startedAt: UnixTime
    let now: @Sendable () -> UnixTime

    func getInfo(
        request: Spire_Agent_Debug_V1_GetInfoRequest, context: ServerContext
    ) async throws -> Spire_Agent_Debug_V1_GetInfoResponse {
        let (count, bundle) = cache.withEntries { ($0.svidCount, $0.bundle) }
        let tokens = cache.withTokens { $0.count }
        return .with {
            $0.svidChain = chain(bundle).map(Spire_Agent_Debug_V1_GetInfoResponse.Cert.init)
            $0.uptime = Int32(clamping: max(0, now().seconds - startedAt.seconds))
            $0.svidsCount = Int32(clamping: count)
            $0.lastSyncSuccess = cache.lastSync?.seconds ?? 0
            $0.cachedX509SvidsCount = Int32(clamping: count)
            $0.cachedJwtSvidsCount = Int32(clamping: tokens)
        }
    }

    /// The node's certificates, and the authority of the bundle that they lead to.
    private func chain(_ bundle: TrustBundle) -> [ParsedCertificate] {
        guard let identity = identity() else { return [] }
        let own = identity.svid.chain.compactMap { try? ParsedCertificate(der: $0) }
        let root = bundle.x509Authorities.map(\.certificate).first {
            $0.subjectKeyIdentifier != nil && $0.subjectKeyIdentifier == identity.authorityKeyID
        }
        return own + [root].compactMap { $0 }
    }
}

extension Spire_Agent_Debug_V1_GetInfoResponse.Cert {
    fileprivate init(_ certificate: ParsedCertificate) {
        self.init()
        id = Spire_Api_Types_SPIFFEID(namedBy: certificate)
        expiresAt = certificate.notAfter.seconds
        subject = certificate.commonName.map { "CN=\($0)" } ?? ""
    }
}
