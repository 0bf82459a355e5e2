import ControlPlaneAPI
import GRPCCore
import Issuance

/// `spire.api.server.localauthority.v1.LocalAuthority`: an administrator's hand on the signing authorities.
///
/// The messages of the three kinds are alike on the wire but not to the compiler; what they do is written once.
struct LocalAuthorityService: Spire_Api_Server_Localauthority_V1_LocalAuthority.SimpleServiceProtocol {
    let authorities: Authorities

    private typealias State = Spire_Api_Server_Localauthority_V1_AuthorityState

    private func latest(_ kind: AuthorityRecord.Kind, _ status: AuthorityRecord.Status) -> State? {
        authorities.latest(kind, status).map { State($0) }
    }

    private func prepare(_ kind: AuthorityRecord.Kind, _ context: ServerContext) async throws -> State {
        let caller = try context.caller
        do throws(AuthoritiesError) {
            return State(try await authorities.prepare(kind, by: caller.audit, requestID: caller.requestID))
        } catch {
            throw RPCError(error)
        }
    }

    private func activate(_ kind: AuthorityRecord.Kind, _ id: String, _ context: ServerContext) async throws -> State {
        let caller = try context.caller
        do throws(AuthoritiesError) {
            return State(
                try await authorities.activate(kind, id: id, by: caller.audit, requestID: caller.requestID))
        } catch {
            throw RPCError(error)
        }
    }

    private func taint(_ kind: AuthorityRecord.Kind, _ id: String, _ context: ServerContext) async throws -> State {
        let caller = try context.caller
        do throws(AuthoritiesError) {
            return State(try await authorities.taint(kind, id: id, by: caller.audit, requestID: caller.requestID))
        } catch {
            throw RPCError(error)
        }
    }

    private func revoke(_ kind: AuthorityRecord.Kind, _ id: String, _ context: ServerContext) async throws -> State {
        let caller = try context.caller
        do throws(AuthoritiesError) {
            return State(try await authorities.revoke(kind, id: id, by: caller.audit, requestID: caller.requestID))
        } catch {
            throw RPCError(error)
        }
    }

    /// The root that is meant, where there are roots of somebody else's.
    private func upstreamRoot(_ id: String) throws(RPCError) -> String {
        guard authorities.upstream != nil else {
            throw RPCError(code: .failedPrecondition, message: "upstream authority is not configured")
        }
        guard authorities.records.contains(where: { $0.kind == .x509 && $0.id == id && $0.status != .external }) else {
            return id
        }
        throw RPCError(code: .invalidArgument, message: "`\(id)` is an authority of this server, not an upstream one")
    }
}

// MARK: X.509

extension LocalAuthorityService {
    func getX509AuthorityState(
        request: Spire_Api_Server_Localauthority_V1_GetX509AuthorityStateRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_GetX509AuthorityStateResponse {
        .with {
            if let state = latest(.x509, .active) { $0.active = state }
            if let state = latest(.x509, .prepared) { $0.prepared = state }
            if let state = latest(.x509, .old) { $0.old = state }
        }
    }

    func prepareX509Authority(
        request: Spire_Api_Server_Localauthority_V1_PrepareX509AuthorityRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_PrepareX509AuthorityResponse {
        let state = try await prepare(.x509, context)
        return .with { $0.preparedAuthority = state }
    }

    func activateX509Authority(
        request: Spire_Api_Server_Localauthority_V1_ActivateX509AuthorityRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_ActivateX509AuthorityResponse {
        let state = try await activate(.x509, request.authorityID, context)
        return .with { $0.activatedAuthority = state }
    }

    func taintX509Authority(
        request: Spire_Api_Server_Localauthority_V1_TaintX509AuthorityRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_TaintX509AuthorityResponse {
        let state = try await taint(.x509, request.authorityID, context)
        return .with { $0.taintedAuthority = state }
    }

    func revokeX509Authority(
        request: Spire_Api_Server_Localauthority_V1_RevokeX509AuthorityRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_RevokeX509AuthorityResponse {
        let state = try await revoke(.x509, request.authorityID, context)
        return .with { $0.revokedAuthority = state }
    }

    func taintX509UpstreamAuthority(
        request: Spire_Api_Server_Localauthority_V1_TaintX509UpstreamAuthorityRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_TaintX509UpstreamAuthorityResponse {
        let state = try await taint(.x509, upstreamRoot(request.subjectKeyID), context)
        return .with { $0.upstreamAuthoritySubjectKeyID = state.authorityID }
    }

    func revokeX509UpstreamAuthority(
        request: Spire_Api_Server_Localauthority_V1_RevokeX509UpstreamAuthorityRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_RevokeX509UpstreamAuthorityResponse {
        let state = try await revoke(.x509, upstreamRoot(request.subjectKeyID), context)
        return .with { $0.upstreamAuthoritySubjectKeyID = state.authorityID }
    }
}

// MARK: JWT

extension LocalAuthorityService {
    func getJWTAuthorityState(
        request: Spire_Api_Server_Localauthority_V1_GetJWTAuthorityStateRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_GetJWTAuthorityStateResponse {
        .with {
            if let state = latest(.jwt, .active) { $0.active = state }
            if let state = latest(.jwt, .prepared) { $0.prepared = state }
            if let state = latest(.jwt, .old) { $0.old = state }
        }
    }

    func prepareJWTAuthority(
        request: Spire_Api_Server_Localauthority_V1_PrepareJWTAuthorityRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_PrepareJWTAuthorityResponse {
        let state = try await prepare(.jwt, context)
        return .with { $0.preparedAuthority = state }
    }

    func activateJWTAuthority(
        request: Spire_Api_Server_Localauthority_V1_ActivateJWTAuthorityRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_ActivateJWTAuthorityResponse {
        let state = try await activate(.jwt, request.authorityID, context)
        return .with { $0.activatedAuthority = state }
    }

    func taintJWTAuthority(
        request: Spire_Api_Server_Localauthority_V1_TaintJWTAuthorityRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_TaintJWTAuthorityResponse {
        let state = try await taint(.jwt, request.authorityID, context)
        return .with { $0.taintedAuthority = state }
    }

    func revokeJWTAuthority(
        request: Spire_Api_Server_Localauthority_V1_RevokeJWTAuthorityRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_RevokeJWTAuthorityResponse {
        let state = try await revoke(.jwt, request.authorityID, context)
        return .with { $0.revokedAuthority = state }
    }
}

// MARK: WIT

extension LocalAuthorityService {
    func getWITAuthorityState(
        request: Spire_Api_Server_Localauthority_V1_GetWITAuthorityStateRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_GetWITAuthorityStateResponse {
        .with {
            if let state = latest(.wit, .active) { $0.active = state }
            if let state = latest(.wit, .prepared) { $0.prepared = state }
            if let state = latest(.wit, .old) { $0.old = state }
        }
    }

    func prepareWITAuthority(
        request: Spire_Api_Server_Localauthority_V1_PrepareWITAuthorityRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_PrepareWITAuthorityResponse {
        let state = try await prepare(.wit, context)
        return .with { $0.preparedAuthority = state }
    }

    func activateWITAuthority(
        request: Spire_Api_Server_Localauthority_V1_ActivateWITAuthorityRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_ActivateWITAuthorityResponse {
        let state = try await activate(.wit, request.authorityID, context)
        return .with { $0.activatedAuthority = state }
    }

    func taintWITAuthority(
        request: Spire_Api_Server_Localauthority_V1_TaintWITAuthorityRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_TaintWITAuthorityResponse {
        let state = try await taint(.wit, request.authorityID, context)
        return .with { $0.taintedAuthority = state }
    }

    func revokeWITAuthority(
        request: Spire_Api_Server_Localauthority_V1_RevokeWITAuthorityRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Localauthority_V1_RevokeWITAuthorityResponse {
        let state = try await revoke(.wit, request.authorityID, context)
        return .with { $0.revokedAuthority = state }
    }
}

extension Spire_Api_Server_Localauthority_V1_AuthorityState {
    init(_ record: AuthorityRecord) {
        self.init()
        authorityID = record.id
        expiresAt = record.notAfter.seconds
        upstreamAuthoritySubjectKeyID = record.upstream?.rootID ?? ""
    }
}

extension RPCError {
    /// What a caller is told of an act on the authorities that was not done.
    init(_ error: AuthoritiesError) {
        switch error {
        case .refused(let refusal):
            self.init(
                code: refusal.isBadID ? .invalidArgument : .failedPrecondition, message: refusal.description,
                cause: error)
        case .notAnAuthority, .keyForTwoPurposes: self.init(code: .invalidArgument, message: error.description)
        case .bundleFull, .store(.storageFull), .audit(.storageFull), .keys(.storageFull):
            self.init(code: .resourceExhausted, message: error.description)
        default: self.init(code: .unavailable, message: "the authorities cannot be changed now")
        }
    }
}
