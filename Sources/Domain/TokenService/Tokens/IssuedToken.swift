import AgentDirectory
import AuditTrail
import Issuance
import JOSE
package import OAuth
package import SPIFFE

/// A token that was recorded, signed, read back and verified. Only ``TokenService/issue(_:to:about:_:)`` makes values of this
/// type.
struct IssuedToken: Sendable {
    let token: SecretText
    let prepared: PreparedToken

    fileprivate init(_ token: SecretText, _ prepared: PreparedToken) {
        self.token = token
        self.prepared = prepared
    }

    func response(at time: UnixTime) -> TokenResponse {
        TokenResponse(
            token: token, use: prepared.use, expiresIn: prepared.claims.expiresAt - time.seconds,
            scope: prepared.claims.scope, issuedTokenType: prepared.issuedTokenType,
            authorizationDetails: prepared.claims.authorizationDetails)
    }
}

extension TokenService {
    /// Records, signs and hands out.
    func issue(
        _ prepared: PreparedToken, to client: AuthenticatedClient, about subject: GrantedSubject, _ call: TokenCall
    ) async throws(TokenRefusal) -> IssuedToken {
        let token = try await issueRecorded(
            event(prepared, client, subject, call), facts: facts(prepared, client).merging(subject.evidence) { $1 }
        ) { receipt throws(TokenRefusal) in try signed(prepared, consuming: receipt) }
        return IssuedToken(token, prepared)
    }

    private func signed(
        _ prepared: PreparedToken, consuming receipt: consuming AuditReceipt
    ) throws(TokenRefusal) -> SecretText {
        let text: String
        do {
            text = try prepared.authority.sign(
                type: AccessToken.type, payload: prepared.payload, consuming: receipt)
        } catch {
            throw .unavailable("signing failed")
        }
        do {
            let read = try UnverifiedAccessToken(parsing: text).verify(
                with: prepared.authority.verificationKey,
                policy: AccessTokenPolicy(
                    issuer: prepared.claims.issuer, audiences: prepared.claims.audience,
                    actorLimit: ActorChain.deepestLimit),
                now: now().seconds)
            guard read.claims == prepared.claims else { throw TokenRefusal.unavailable("it is not what was prepared") }
        } catch {
            throw .unavailable("the signed token does not verify: \(error)")
        }
        return SecretText(text)
    }

    private func event(
        _ prepared: PreparedToken, _ client: AuthenticatedClient, _ subject: GrantedSubject, _ call: TokenCall
    ) -> AuditEvent {
        AuditEvent(
            type: .accessTokenIssue, phase: .intent, agent: client.audit, delegation: subject.audit,
            resource: AuditEvent.ResourceField(kind: "resource", id: prepared.resource.id),
            decision: AuditEvent.DecisionField(
                action: "issue", result: .permit,
                reason: prepared.reason, policyID: "policy:" + prepared.permit.policyHash),
            correlation: AuditEvent.CorrelationField(requestID: call.requestID))
    }

    private func facts(_ prepared: PreparedToken, _ client: AuthenticatedClient) -> [String: String] {
        let claims = prepared.claims
        var facts = [
            "jti": claims.tokenID, "expires": UnixTime(seconds: claims.expiresAt).description,
            "authority": prepared.authority.id, "binding": prepared.binding, "client": claims.clientID,
            "grants": prepared.permit.permission.grantIDs.prefix(4).joined(separator: " "),
        ]
        facts["credential"] = client.credentialName
        facts["actors"] = claims.actors.map { String($0.depth) }
        facts["approval"] = claims.approvalID
        facts["root"] = claims.otherClaims[AccessTokenClaims.chainRootClaim]?.stringValue
        return facts
    }
}

extension TokenService {
    /// Tells the log of a refusal.
    func record(_ refusal: TokenRefusal, _ client: AuthenticatedClient?, _ call: TokenCall) async {
        // Whoever waits for a person asks again and again; what the person says is recorded once.
        guard refusal.code != .authorizationPending, refusal.code != .slowDown else { return }
        let event = event(
            of: refusal, client, peer: call.peer, address: call.address, profile: call.profile,
            requestID: call.requestID)
        guard client != nil else {
            refusals.record(event, source: call.address, kind: refusal.code.rawValue)
            return
        }
        _ = try? await audit.record(event)
    }

    /// Tells the log of a request that cannot even be read, within the limits for clients that nobody has authenticated.
    package func recordUnreadable(
        _ error: OAuthError, peer: VerifiedX509SVID?, address: String, profile: TokenProfile, requestID: String
    ) {
        let refusal = TokenRefusal(error.code, error.description ?? "the request cannot be read")
        let event = event(of: refusal, nil, peer: peer, address: address, profile: profile, requestID: requestID)
        refusals.record(event, source: address, kind: error.code.rawValue)
    }

    private func event(
        of refusal: TokenRefusal, _ client: AuthenticatedClient?, peer: VerifiedX509SVID?, address: String,
        profile: TokenProfile, requestID: String
    ) -> AuditEvent {
        AuditEvent(
            type: .accessTokenRefuse,
            agent: client?.audit
                ?? AuditEvent.AgentField(
                    id: peer?.id.string, authMethod: .none, peer: AuditEvent.PeerField(address: address)),
            resource: AuditEvent.ResourceField(kind: "token-endpoint", id: profile.rawValue),
            decision: AuditEvent.DecisionField(
                action: "issue", result: .deny, reason: "\(refusal.code.rawValue): \(refusal.reason)"),
            correlation: AuditEvent.CorrelationField(requestID: requestID),
            effect: AuditEvent.EffectField(observed: .none))
    }
}
