import ControlPlaneAPI
import GRPCCore
import Issuance
import Revocation

/// `agentshield.admin.v1.TokenAuthority`: an administrator's hand on the keys that sign access tokens and agent
/// cards.
struct TokenAuthorityService: Agentshield_Admin_V1_TokenAuthority.SimpleServiceProtocol {
    let authorities: Authorities
    let revocations: RevocationRegister

    func getState(
        request: Agentshield_Admin_V1_GetTokenAuthorityStateRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_TokenAuthorityStates {
        let kind = try Self.kind(request.kind)
        return .with {
            if let record = authorities.latest(kind, .active) { $0.active = .init(record) }
            if let record = authorities.latest(kind, .prepared) { $0.prepared = .init(record) }
            if let record = authorities.latest(kind, .old) { $0.old = .init(record) }
        }
    }

    func prepare(
        request: Agentshield_Admin_V1_PrepareTokenAuthorityRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_TokenAuthorityState {
        let (kind, caller) = (try Self.kind(request.kind), try context.caller)
        return try await Self.answer { () async throws(AuthoritiesError) in
            try await authorities.prepare(kind, by: caller.audit, requestID: caller.requestID)
        }
    }

    func activate(
        request: Agentshield_Admin_V1_TokenAuthorityRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_TokenAuthorityState {
        let (kind, caller) = (try Self.kind(request.kind), try context.caller)
        return try await Self.answer { () async throws(AuthoritiesError) in
            try await authorities.activate(
                kind, id: request.authorityID, by: caller.audit, requestID: caller.requestID)
        }
    }

    func taint(
        request: Agentshield_Admin_V1_TokenAuthorityRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_TokenAuthorityState {
        let (kind, caller) = (try Self.kind(request.kind), try context.caller)
        return try await Self.answer { () async throws(AuthoritiesError) in
            try await authorities.taint(kind, id: request.authorityID, by: caller.audit, requestID: caller.requestID)
        }
    }

    /// The key leaves what the issuer publishes. Verifiers that have kept it, as those of the SDK do, learn from the
    /// revocations that it counts no more; these come first, so that a failure in between can be tried again.
    func revoke(
        request: Agentshield_Admin_V1_TokenAuthorityRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_TokenAuthorityState {
        let (kind, caller) = (try Self.kind(request.kind), try context.caller)
        if let record = authorities.records.last(where: {
            $0.kind == kind && $0.id.utf8.elementsEqual(request.authorityID.utf8)
        }), record.status == .old, record.isTainted {
            do throws(RevocationRegisterError) {
                // The ID of such a key is its thumbprint.
                _ = try await revocations.revoke(
                    .key(record.id), reason: "its authority was revoked",
                    expiresAt: record.notAfter, latestEnd: record.notAfter, by: caller.audit,
                    requestID: caller.requestID)
            } catch {
                // Nothing that it signed is left.
                guard error == .alreadyEnded else { throw RPCError(error) }
            }
        }
        return try await Self.answer { () async throws(AuthoritiesError) in
            try await authorities.revoke(kind, id: request.authorityID, by: caller.audit, requestID: caller.requestID)
        }
    }

    private static func answer(
        _ act: () async throws(AuthoritiesError) -> AuthorityRecord
    ) async throws -> Agentshield_Admin_V1_TokenAuthorityState {
        do throws(AuthoritiesError) {
            return .init(try await act())
        } catch {
            throw RPCError(error)
        }
    }

    /// Only the kinds that SPIRE's API does not have: those of SVIDs are administered there.
    private static func kind(_ name: String) throws(RPCError) -> AuthorityRecord.Kind {
        guard let kind = AuthorityRecord.Kind(rawValue: name), !kind.isInBundle else {
            throw RPCError(code: .invalidArgument, message: "a kind of keys is `oauth`, `entra` or `card`")
        }
        return kind
    }
}

extension Agentshield_Admin_V1_TokenAuthorityState {
    init(_ record: AuthorityRecord) {
        self.init()
        authorityID = record.id
        expiresAt = record.notAfter.seconds
    }
}
