import ControlPlaneAPI
import GRPCCore
import Issuance
import Registry
import SPIFFE

/// `spire.api.server.debug.v1.Debug`: uptime, counts, and the certificates that the control plane shows.
struct DebugService: Spire_Api_Server_Debug_V1_Debug.SimpleServiceProtocol {
    let registry: Registry
    let authorities: Authorities
    let identity: ServerIdentity
    let startedAt: UnixTime
    let now: @Sendable () -> UnixTime

    func getInfo(
        request: Spire_Api_Server_Debug_V1_GetInfoRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Debug_V1_GetInfoResponse {
        let leaf = identity.certificate
        let signer = authorities.bundle.x509Authorities.map(\.certificate).first {
            $0.subjectKeyIdentifier != nil && $0.subjectKeyIdentifier == leaf.authorityKeyIdentifier
        }
        return .with {
            $0.svidChain = [leaf, signer].compactMap { $0 }.map(Spire_Api_Server_Debug_V1_GetInfoResponse.Cert.init)
            $0.uptime = Int32(clamping: max(0, now().seconds - startedAt.seconds))
            $0.agentsCount = Int32(clamping: registry.countNodes())
            $0.entriesCount = Int32(clamping: registry.countEntries())
            $0.federatedBundlesCount = Int32(clamping: registry.countFederatedBundles())
        }
    }
}

extension Spire_Api_Server_Debug_V1_GetInfoResponse.Cert {
    fileprivate init(_ certificate: ParsedCertificate) {
        self.init()
        id = Spire_Api_Types_SPIFFEID(namedBy: certificate)
        expiresAt = certificate.notAfter.seconds
        subject = certificate.commonName.map { "CN=\($0)" } ?? ""
    }
}
