import AgentDirectory
import Approvals
import OAuth
import PolicyEngine
import Revocation
import SPIFFE

extension TokenService {
    /// What the client is told about something that it has asked people for: the token, once, when one of them said yes.
    ///
    /// Everything is decided again: what was taken away while a person thought about it is not given.
    func approvedToken(
        _ handle: SecretText, _ client: AuthenticatedClient, _ key: PresentedKey?, _ call: TokenCall,
        _ directory: DirectorySnapshot
    ) async throws(TokenRefusal) -> TokenResponse {
        guard let known = approvals.approval(handle: handle, clientID: client.agent.id) else {
            throw TokenRefusal(silently: .invalidGrant, "the client has not asked for this")
        }
        let approval: Approval
        switch approvals.answer(known) {
        case .pending: throw TokenRefusal(.authorizationPending, "nobody has answered yet")
        case .slowDown: throw TokenRefusal(.slowDown, "the client asks too often")
        case .denied: throw TokenRefusal(.accessDenied, "a person said no")
        case .expired: throw TokenRefusal(.expiredToken, "nobody answered in time, or the token was fetched")
        case .approved(let answered): approval = answered
        }
        if let confirmation = approval.confirmation, confirmation != key?.confirmation {
            throw TokenRefusal(silently: .invalidGrant, "the client shows another key than when it asked")
        }
        guard key != nil || !approval.isForOneUse else {
            throw TokenRefusal(
                .invalidRequest, "a token for one act is bound to a key: show a certificate or a DPoP proof")
        }
        if let reason = endedReason(of: approval, directory) {
            throw TokenRefusal(silently: .accessDenied, reason)
        }
        let subject = grants.approved(approval)
        let target = TokenTarget(
            resourceID: approval.act.resourceID, scopes: .exactly(approval.act.scope.tokens),
            details: approval.act.details?.details ?? [])
        let permit = try permit(target, client, key, subject, directory, approval: approval)
        guard approval.isForOneUse || !permit.permission.isSingleUse else {
            throw TokenRefusal(.accessDenied, "the resource wants every use approved now")
        }
        guard Set(approval.act.grantIDs).isSuperset(of: permit.permission.dormantGrantIDs) else {
            throw TokenRefusal(.accessDenied, "the grants are others by now than those that a person has approved")
        }
        let prepared = try prepare(permit, client, key, subject, issuedTokenType: nil, approval: approval)
        do {
            try await approvals.redeem(
                approval, tokenID: prepared.claims.tokenID, tokenEnd: UnixTime(seconds: prepared.claims.expiresAt),
                by: client.audit, requestID: call.requestID)
        } catch {
            throw TokenRefusal(error)
        }
        let issued = try await issue(prepared, to: client, about: subject, call)
        return issued.response(at: now())
    }

    /// Why what the act rests on is over: the subject's token was revoked, or somebody in it is there no more.
    private func endedReason(of approval: Approval, _ directory: DirectorySnapshot) -> String? {
        let revoked = revocations.revoked
        if let basis = approval.basis {
            guard now() < basis.expiresAt else { return "the subject's token has expired" }
            let subjects: [RevokedSubject] =
                [.jwtID(basis.tokenID), .chainRoot(basis.chainRoot), .key(basis.keyID)]
                + (basis.keyThumbprint.map { [.key($0)] } ?? [])
            guard !subjects.contains(where: { revoked.all.contains($0) }) else {
                return "the subject's token is revoked"
            }
        }
        for name in [approval.act.subject] + (approval.act.actors?.actors.map(\.subject) ?? []) {
            guard let id = try? SPIFFEID(name) else { continue }
            if revoked.revokes(id) { return "`\(id)` is revoked" }
            let since = (approval.basis?.issuedAt ?? approval.createdAt).seconds
            if let reason = endedReason(id, since: since + Self.backdating, directory) { return reason }
        }
        return nil
    }
}
