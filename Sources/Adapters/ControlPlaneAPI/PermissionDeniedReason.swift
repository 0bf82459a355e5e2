package import GRPCCore
import GRPCProtobuf
import SwiftProtobuf

extension RPCError {
    /// What a node agent should do about this refusal, if the server said so.
    package var permissionDeniedReason: Spire_Api_Types_PermissionDeniedDetails.Reason? {
        guard code == .permissionDenied, let status = try? unpackGoogleRPCStatus() else { return nil }
        for detail in status.details {
            guard let packed = detail.any,
                packed.isA(Spire_Api_Types_PermissionDeniedDetails.self),
                let details = try? Spire_Api_Types_PermissionDeniedDetails(unpackingAny: packed)
            else { continue }
            return details.reason
        }
        return nil
    }
}
