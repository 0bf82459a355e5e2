import ControlPlaneAPI
import GRPCCore
import Issuance
import Registry

extension Spire_Api_Types_Status {
    static let ok = Spire_Api_Types_Status()

    init(_ error: RPCError) {
        self.init()
        code = Int32(error.code.rawValue)
        message = error.message
    }
}

extension RPCError {
    /// What a caller is told of a failed act in the registry: its own mistake in words, our trouble without details.
    init(_ error: RegistryError) {
        let code: RPCError.Code =
            switch error {
            case .invalidEntry, .badNodeID, .versionTooLong, .badJoinToken, .negativeTTL, .badPageToken,
                .ownTrustDomain,
                .bundleTooLarge, .joinTokenRefused:
                .invalidArgument
            case .entryNotFound, .nodeNotFound, .bundleNotFound, .relationshipNotFound: .notFound
            case .entryIDTaken, .similarEntryExists, .joinTokenExists, .bundleExists, .relationshipExists:
                .alreadyExists
            case .nodeBanned, .nodeRefused, .nodeAlreadyAttested: .permissionDenied
            case .bundleInUse, .bundleRefused: .failedPrecondition
            case .storage(.storageFull), .audit(.storageFull): .resourceExhausted
            case .storage, .audit: .unavailable
            }
        self.init(
            code: code, message: code == .unavailable ? "the record cannot be read or written now" : error.description,
            cause: error)
    }

    /// What a caller is told of an identity that was not issued.
    init(_ error: IssuanceError) {
        let code: RPCError.Code =
            switch error {
            case _ where error.isRefusal: .invalidArgument
            case .intentNotRecorded(.storageFull), .outcomeNotRecorded(.storageFull): .resourceExhausted
            default: .unavailable
            }
        self.init(
            code: code, message: code == .unavailable ? "the identity cannot be issued now" : error.description,
            cause: error)
    }
}
