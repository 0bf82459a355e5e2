import AgentDirectory
import Approvals
import AuditTrail
import Issuance
import JOSE
package import OAuth
import Revocation
import SPIFFE

extension TokenService {
    /// Introspection (RFC 7662): what a token says, if it is good now and the asker's business: the agent behind the
    /// resource, or the client that the token was issued to. Everything else is inactive.
    package func introspect(_ call: TokenCall) async throws(TokenRefusal) -> IntrospectionResponse {
        let (query, client, directory) = try await query(call)
        guard let token = try? genuineToken(query.token), isBusiness(token, of: client, directory),
            endedReason(token, directory) == nil, isUnspent(token)
        else { return .inactive }
        return .active(token.claims, use: token.claims.confirmation?.keyThumbprint == nil ? .bearer : .dpop)
    }

    /// Revocation (RFC 7009): the client takes back a token of its own, at once and everywhere. Unknown tokens are as good as
    /// revoked.
    package func revoke(_ call: TokenCall) async throws(TokenRefusal) {
        let (query, client, _) = try await query(call)
        guard let token = try? genuineToken(query.token) else { return }
        guard token.claims.clientID.hasSameBytes(as: client.agent.id) else {
            let refusal = TokenRefusal(silently: .unauthorizedClient, "the token is another client's")
            await record(refusal, client, call)
            throw refusal
        }
        let end = UnixTime(seconds: token.claims.expiresAt)
        guard !revocations.revoked.all.contains(.jwtID(token.claims.tokenID)) else { return }
        // Half of the register is kept for administrators: no client can take the kill switch away by filling it.
        guard revocations.current.records.count < RevocationSnapshot.maximumSubjects / 2,
            ownRevocations.admit(client.agent, until: end, now: now())
        else {
            let refusal = TokenRefusal.unavailable("the client has revoked too much, or the register is half full")
            await record(refusal, client, call)
            throw refusal
        }
        do {
            _ = try await revocations.revoke(
                .jwtID(token.claims.tokenID), reason: "revoked by its client", expiresAt: end, latestEnd: end,
                by: client.audit, requestID: call.requestID)
        } catch .alreadyEnded {
            return
        } catch {
            throw .unavailable("\(error)")
        }
    }

    /// Uses up a token for one approved act, and says what it allowed. The agent behind the resource asks before it does what
    /// the token is for; whoever gets no such answer does nothing.
    ///
    /// Of any number of questions about one token, one is answered with the token's claims; the others with `inactive`. A
    /// form may say which transaction or which authorization details are meant; a token for others is not used up by it.
    package func consume(_ call: TokenCall) async throws(TokenRefusal) -> IntrospectionResponse {
        let (query, client, directory) = try await query(call)
        let expected: AuthorizationDetails?
        do throws(AuthorizationDetailsError) {
            expected = try call.form["authorization_details"].map {
                text throws(AuthorizationDetailsError) in try AuthorizationDetails(parsing: text)
            }
        } catch {
            throw TokenRefusal(error.code, error.description)
        }
        guard let token = try? genuineToken(query.token), isAddressed(token, to: client, directory),
            endedReason(token, directory) == nil, token.claims.isSingleUse, let approvalID = token.claims.approvalID
        else { return .inactive }
        if let transaction = call.form["txn"] {
            guard
                token.claims.otherClaims[AccessTokenClaims.transactionClaim]?.stringValue?
                    .hasSameBytes(as: transaction) == true
            else { return try await refuseUse(client, call, "the token is for another transaction") }
        }
        if let expected, token.claims.authorizationDetails != expected {
            return try await refuseUse(client, call, "the token is for other authorization details")
        }
        do {
            try await approvals.spend(
                approvalID, tokenID: token.claims.tokenID, by: client.audit, requestID: call.requestID)
        } catch {
            guard error.isRefusal else { throw .unavailable("\(error)") }
            return .inactive
        }
        return .active(token.claims, use: token.claims.confirmation?.keyThumbprint == nil ? .bearer : .dpop)
    }

    private func refuseUse(
        _ client: AuthenticatedClient, _ call: TokenCall, _ reason: String
    ) async throws(TokenRefusal) -> IntrospectionResponse {
        await record(TokenRefusal(silently: .invalidRequest, reason), client, call)
        return .inactive
    }

    private func isUnspent(_ token: VerifiedAccessToken) -> Bool {
        guard token.claims.isSingleUse else { return true }
        guard let id = token.claims.approvalID else { return false }
        return approvals.isUnspent(id, tokenID: token.claims.tokenID)
    }

    private func query(
        _ call: TokenCall
    ) async throws(TokenRefusal) -> (TokenQuery, AuthenticatedClient, DirectorySnapshot) {
        var known: AuthenticatedClient?
        do throws(TokenRefusal) {
            let query: TokenQuery
            do {
                query = try TokenQuery(form: call.form, authorization: call.authorization)
            } catch {
                if error.code == .invalidClient { throw TokenRefusal.client(error.description) }
                throw TokenRefusal(error.code, error.description)
            }
            let client = try await authenticator.authenticate(query.client, call, directory())
            known = client
            let directory = try presentDirectory(of: client)
            guard !revocations.revoked.revokes(client.agent.spiffeID) else { throw .client("the agent is revoked") }
            if let reason = Self.endedReason(client.agent, directory, now()) { throw .client(reason) }
            if let id = client.agent.blueprintID, let blueprint = directory.blueprint(id),
                !blueprint.credentialKinds.contains(client.kind)
            {
                throw TokenRefusal(.unauthorizedClient, "the blueprint does not allow `\(client.kind.rawValue)`")
            }
            return (query, client, directory)
        } catch {
            await record(error, known, call)
            throw error
        }
    }

    private func isBusiness(
        _ token: VerifiedAccessToken, of client: AuthenticatedClient, _ directory: DirectorySnapshot
    ) -> Bool {
        token.claims.clientID.hasSameBytes(as: client.agent.id)
            || isAddressed(token, to: client, directory)
    }

    private func isAddressed(
        _ token: VerifiedAccessToken, to client: AuthenticatedClient, _ directory: DirectorySnapshot
    ) -> Bool {
        token.claims.audience.contains { directory.resource($0)?.agentID == client.agent.id }
    }
}
