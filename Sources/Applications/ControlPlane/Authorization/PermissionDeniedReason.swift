import ControlPlaneAPI
import GRPCCore
import GRPCProtobuf
import Registry
import SwiftProtobuf

/// Why a node agent is refused, as SPIRE's `PermissionDeniedDetails` says it: agents act on its number, not on the text.
enum PermissionDeniedReason {
    /// The error that a refused node agent gets.
    static func error(for refusal: NodeRefusal) -> any Error {
        switch refusal {
        case .expired: error(.agentExpired, "agent certificate has expired")
        case .notAttested: error(.agentNotAttested, "agent is not attested")
        case .notActive: error(.agentNotActive, "agent certificate is not the active one")
        case .banned: error(.agentBanned, "agent is banned")
        case .mustReattest: error(.agentMustReattest, "agent must attest again")
        }
    }

    private static func error(
        _ reason: Spire_Api_Types_PermissionDeniedDetails.Reason, _ message: String
    ) -> any Error {
        var details = Spire_Api_Types_PermissionDeniedDetails()
        details.reason = reason
        guard let packed = try? Google_Protobuf_Any(message: details) else {
            return RPCError(code: .permissionDenied, message: message)
        }
        return GoogleRPCStatus(code: .permissionDenied, message: message, details: [.any(packed)])
    }
}
