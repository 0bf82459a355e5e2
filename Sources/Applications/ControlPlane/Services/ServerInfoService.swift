import ControlPlaneAPI
import GRPCCore
import SPIFFE
import TokenService

/// `agentshield.admin.v1.Server`: what this control plane is and where it listens.
struct ServerInfoService: Agentshield_Admin_V1_Server.SimpleServiceProtocol {
    let version: String
    let trustDomain: TrustDomain
    let names: @Sendable () -> TokenServiceNames?
    let addresses: Addresses
    let startedAt: UnixTime
    let now: @Sendable () -> UnixTime

    func getInfo(
        request: Agentshield_Admin_V1_GetServerInfoRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_ServerInfo {
        let nodeAPI = addresses.nodeAPI
        let https = addresses.https
        return .with {
            $0.version = version
            $0.trustDomain = trustDomain.name
            $0.nodeApiAddress = nodeAPI ?? ""
            $0.httpsAddress = https ?? ""
            $0.publicURL = names()?.base ?? ""
            $0.uptimeSeconds = max(0, now().seconds - startedAt.seconds)
        }
    }
}
