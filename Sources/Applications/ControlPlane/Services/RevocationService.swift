import ControlPlaneAPI
import FoundationEssentials
import GRPCCore
import Issuance
import Revocation
import SPIFFE

/// `agentshield.admin.v1.Revocation`: revokes, takes back, lists.
struct RevocationService: Agentshield_Admin_V1_Revocation.SimpleServiceProtocol {
    let register: RevocationRegister
    let authorities: Authorities

    func revoke(
        request: Agentshield_Admin_V1_RevokeRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_RevokedItem {
        let caller = try context.caller
        do throws(RevocationRegisterError) {
            let subject = try Self.parse(request.subject)
            let record = try await register.revoke(
                subject, reason: request.reason,
                expiresAt: end(request, of: subject),
                latestEnd: authorities.latestEnd(of: subject), sparing: authorityKeys, by: caller.audit,
                requestID: caller.requestID
            )
            return Agentshield_Admin_V1_RevokedItem(record)
        } catch {
            throw RPCError(error)
        }
    }

    func unrevoke(
        request: Agentshield_Admin_V1_UnrevokeRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_UnrevokeResponse {
        let caller = try context.caller
        do throws(RevocationRegisterError) {
            try await register.undo(
                Self.parse(request.subject), reason: request.reason, by: caller.audit, requestID: caller.requestID)
            return .with { $0.sequence = UInt64(clamping: register.sequence) }
        } catch {
            throw RPCError(error)
        }
    }

    func list(
        request: Agentshield_Admin_V1_ListRevokedRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_RevokedList {
        let stored = register.current
        return .with {
            $0.sequence = UInt64(clamping: stored.sequence)
            $0.items = stored.records.map(Agentshield_Admin_V1_RevokedItem.init)
        }
    }

    /// The end that the caller knows. An agent stays revoked until somebody takes it back.
    private func end(_ request: Agentshield_Admin_V1_RevokeRequest, of subject: RevokedSubject) -> UnixTime? {
        if case .agent = subject { return nil }
        return request.expiresAt == 0 ? nil : UnixTime(seconds: request.expiresAt)
    }

    /// Keys that are revoked with their authority. One that signs tokens no more may go by itself, with all its tokens.
    private var authorityKeys: Set<String> {
        let spared = authorities.records.filter { record in
            switch record.status {
            case .prepared, .active: true
            case .old, .external: record.kind == .x509
            }
        }
        return Set(spared.compactMap { (try? SubjectPublicKey(derSPKI: $0.publicKey))?.thumbprint })
    }

    private static func parse(
        _ message: Agentshield_Admin_V1_RevokedSubject
    ) throws(RevocationRegisterError) -> RevokedSubject {
        guard let kind = RevokedSubject.Kind(rawValue: message.kind) else {
            throw .badSubject("kind `\(message.kind.prefix(32))`")
        }
        do throws(RevokedSubjectError) {
            return try RevokedSubject(kind: kind, value: message.value)
        } catch {
            throw .badSubject(error.description)
        }
    }
}

/// `agentshield.node.v1.Revocations`: the snapshot for node agents.
struct RevocationSnapshotService: Agentshield_Node_V1_Revocations.SimpleServiceProtocol {
    let publisher: RevocationPublisher

    func getSnapshot(
        request: Agentshield_Node_V1_GetRevocationSnapshotRequest, context: ServerContext
    ) async throws -> Agentshield_Node_V1_RevocationSnapshot {
        _ = try context.liveAgent
        do throws(IssuanceError) {
            let published = try await publisher.current()
            return .with {
                $0.token = Data(published.token)
                $0.sequence = published.sequence
                $0.revocationLists = published.revocationLists.map { Data($0) }
            }
        } catch {
            throw RPCError(error)
        }
    }
}

extension Agentshield_Admin_V1_RevokedItem {
    init(_ record: RevocationRecord) {
        self.init()
        subject.kind = record.subject.kind.rawValue
        subject.value = record.subject.value
        reason = record.reason
        expiresAt = record.expiresAt?.seconds ?? 0
        createdAt = record.createdAt.seconds
        cause = record.cause?.string ?? ""
    }
}

extension RPCError {
    /// What an administrator is told of a revocation that did not happen.
    init(_ error: RevocationRegisterError) {
        let code: RPCError.Code =
            switch error {
            case .otherTrustDomain, .ownIdentity, .reasonTooLong, .authorityKey, .alreadyEnded,
                .badSubject:
                .invalidArgument
            case .notRevoked: .notFound
            case .full, .store(.storageFull), .audit(.storageFull): .resourceExhausted
            case .store, .audit: .unavailable
            }
        self.init(
            code: code, message: code == .unavailable ? "the record cannot be read or written now" : error.description)
    }
}
