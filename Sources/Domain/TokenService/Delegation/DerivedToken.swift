import AgentDirectory
import AuditTrail
import Authentication
import Issuance
import JOSE
import OAuth
import SPIFFE

/// A transaction token or a grant for another authorization server that is built and checked but not signed.
struct PreparedDerivedToken: Sendable {
    /// Which of the two, with what it says.
    enum Content: Sendable, Equatable {
        case transaction(TransactionClaims)
        case grant(AuthorizationGrantClaims)
    }

    let content: Content
    let payload: [UInt8]
    let authority: TokenSigningAuthority
    let permit: Permit

    init(_ content: Content, authority: TokenSigningAuthority, permit: Permit) throws(TypedTokenError) {
        self.content = content
        self.authority = authority
        self.permit = permit
        payload =
            switch content {
            case .transaction(let claims): try TransactionToken.payload(of: claims)
            case .grant(let claims): try AuthorizationGrant.payload(of: claims)
            }
    }

    fileprivate var type: String {
        switch content {
        case .transaction: TransactionToken.type
        case .grant(let claims): claims.profile.type
        }
    }

    fileprivate var eventType: EventType {
        switch content {
        case .transaction: .transactionTokenIssue
        case .grant: .authorizationGrantIssue
        }
    }

    fileprivate var scope: Scope {
        switch content {
        case .transaction(let claims): claims.scope
        case .grant(let claims): claims.scope
        }
    }

    fileprivate var expiresAt: Int64 {
        switch content {
        case .transaction(let claims): claims.expiresAt
        case .grant(let claims): claims.expiresAt
        }
    }

    fileprivate var issuedTokenType: TokenType {
        switch content {
        case .transaction: .transactionToken
        case .grant(let claims): claims.profile == .identityAssertion ? .identityAssertionGrant : .jwt
        }
    }

    /// What the log has of it beside its permit.
    fileprivate var facts: [String: String] {
        switch content {
        case .transaction(let claims):
            var facts = [
                "txn": claims.transactionID, "root": claims.chainRoot,
                "requesters": String(claims.requesters.count),
            ]
            facts["actors"] = claims.actors.map { String($0.depth) }
            return facts
        case .grant(let claims):
            var facts = [
                "jti": claims.tokenID, "kind": claims.profile.type,
                "binding": claims.confirmation == nil ? "bearer" : "dpop",
            ]
            facts["root"] = claims.chainRoot
            facts["actors"] = claims.actors.map { String($0.depth) }
            facts["for_client"] = claims.clientID.map { String($0.prefix(256)) }
            return facts
        }
    }
}

extension TokenService {
    /// What a token exchange asks for that is no access token; nil where it is one.
    func derivedToken(
        _ request: TokenRequest, _ client: AuthenticatedClient, _ key: PresentedKey?, _ call: TokenCall,
        _ directory: DirectorySnapshot
    ) async throws(TokenRefusal) -> TokenResponse? {
        guard case .tokenExchange(let exchange) = request.grant else { return nil }
        let prepared: PreparedDerivedToken
        let subject: GrantedSubject
        if exchange.requestedType == .transactionToken {
            (prepared, subject) = try transactionToken(request, exchange, client, key, call, directory)
        } else if let target = try grantTarget(request, exchange, directory) {
            (prepared, subject) = try grant(target, request, exchange, client, key, call, directory)
        } else {
            return nil
        }
        try refuseDetails(request, subject)
        return try await issue(prepared, to: client, about: subject, call)
    }

    /// Who acts for whom, by a subject token of one of the kinds that every exchange takes.
    func exchangedSubject(
        _ exchange: TokenExchange, _ client: AuthenticatedClient, _ key: PresentedKey?, _ call: TokenCall,
        _ directory: DirectorySnapshot, impersonates: Bool = false
    ) throws(TokenRefusal) -> GrantedSubject {
        switch exchange.subject.type {
        case .accessToken:
            let token = try verifiedToken(exchange.subject.token, directory)
            return try grants.exchanged(token, by: client, key: key, impersonates: impersonates, directory)
        case .jwt: return try grants.vouched(svid(exchange.subject.token, call, directory, .invalidRequest), by: client)
        default: throw TokenRefusal(.invalidRequest, "subject tokens of this type are not taken")
        }
    }

    /// Neither kind says what rich authorization requests (RFC 9396) would narrow, and nothing may get wider on the way.
    func refuseDetails(_ request: TokenRequest, _ subject: GrantedSubject? = nil) throws(TokenRefusal) {
        guard request.authorizationDetails == nil, subject?.detailCeiling?.isEmpty ?? true else {
            throw TokenRefusal(.invalidAuthorizationDetails, "tokens of this kind have no authorization details")
        }
    }

    /// When a token of at most this many seconds ends: nothing outlives what it rests on.
    func end(
        within seconds: Int64, of permit: Permit, _ authority: TokenSigningAuthority, _ client: AuthenticatedClient,
        _ subject: GrantedSubject
    ) throws(TokenRefusal) -> Int64 {
        let time = now()
        let ends = [
            time + min(seconds, permit.permission.maximumLifetime), authority.notAfter, subject.expiresAt,
            client.agent.expiresAt, client.endsAt,
        ].compactMap { $0?.seconds }
        guard let end = ends.min(), end > time.seconds else {
            throw TokenRefusal(.invalidGrant, "what was presented ends too soon for a token")
        }
        return end
    }

    func scope(of permit: Permit) throws(TokenRefusal) -> Scope {
        do {
            return try Scope(tokens: permit.permission.scopes)
        } catch {
            throw TokenRefusal(.invalidScope, error.description)
        }
    }

    // MARK: issuance

    /// Records, signs and hands out.
    private func issue(
        _ prepared: PreparedDerivedToken, to client: AuthenticatedClient, about subject: GrantedSubject,
        _ call: TokenCall
    ) async throws(TokenRefusal) -> TokenResponse {
        let token = try await issueRecorded(
            event(prepared, client, subject, call), facts: facts(prepared, client)
        ) { receipt throws(TokenRefusal) in try signed(prepared, consuming: receipt) }
        return TokenResponse(
            token: token, use: .notApplicable, expiresIn: prepared.expiresAt - now().seconds, scope: prepared.scope,
            issuedTokenType: prepared.issuedTokenType)
    }

    private func signed(
        _ prepared: PreparedDerivedToken, consuming receipt: consuming AuditReceipt
    ) throws(TokenRefusal) -> SecretText {
        let text: String
        do {
            text = try prepared.authority.sign(
                type: prepared.type, payload: prepared.payload, consuming: receipt)
        } catch {
            throw .unavailable("signing failed")
        }
        let read: PreparedDerivedToken.Content
        do throws(TypedTokenError) {
            read = try readBack(text, prepared)
        } catch {
            throw .unavailable("the signed token does not verify: \(error)")
        }
        guard read == prepared.content else { throw .unavailable("the signed token is not what was prepared") }
        return SecretText(text)
    }

    private func readBack(
        _ text: String, _ prepared: PreparedDerivedToken
    ) throws(TypedTokenError) -> PreparedDerivedToken.Content {
        let key = prepared.authority.verificationKey
        switch prepared.content {
        case .transaction(let claims):
            let policy = TransactionTokenPolicy(
                issuer: claims.issuer, audience: claims.audience, actorLimit: ActorChain.deepestLimit)
            return .transaction(
                try UnverifiedTransactionToken(parsing: text).verify(with: key, policy: policy, now: now().seconds)
                    .claims)
        case .grant(let claims):
            return .grant(
                try UnverifiedAuthorizationGrant(parsing: SecretText(text)).verify(
                    with: key, policy: AuthorizationGrantPolicy(audience: claims.audience), now: now().seconds
                ).claims)
        }
    }

    private func event(
        _ prepared: PreparedDerivedToken, _ client: AuthenticatedClient, _ subject: GrantedSubject, _ call: TokenCall
    ) -> AuditEvent {
        AuditEvent(
            type: prepared.eventType, phase: .intent, agent: client.audit, delegation: subject.audit,
            resource: AuditEvent.ResourceField(kind: "resource", id: prepared.permit.resource.id),
            decision: AuditEvent.DecisionField(
                action: "issue", result: .permit, reason: "scope " + prepared.scope.string,
                policyID: "policy:" + prepared.permit.policyHash),
            correlation: AuditEvent.CorrelationField(requestID: call.requestID))
    }

    private func facts(_ prepared: PreparedDerivedToken, _ client: AuthenticatedClient) -> [String: String] {
        var facts = prepared.facts
        facts["expires"] = UnixTime(seconds: prepared.expiresAt).description
        facts["authority"] = prepared.authority.id
        facts["client"] = client.agent.id
        facts["grants"] = prepared.permit.permission.grantIDs.prefix(4).joined(separator: " ")
        facts["credential"] = client.credentialName
        return facts
    }
}
