import AgentDirectory
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
            endedReason(token, directory) == nil
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
            || token.claims.audience.contains { directory.resource($0)?.agentID == client.agent.id }
    }
}
