package import AgentDirectory
package import Approvals
package import AuditTrail
package import Authentication
package import Issuance
import JOSE
package import OAuth
package import PolicyEngine
import Revocation
package import SPIFFE

/// Trades attested identities for short-lived, scoped, bound access tokens: flow 2 of the architecture.
package final class TokenService: Sendable {
    let directory: @Sendable () -> DirectorySnapshot
    let authorities: Authorities
    let revocations: RevocationRegister
    let approvals: ApprovalRegister
    let policy: PolicyEngine
    let audit: AuditLog
    let refusals: RefusalRecorder
    let trust: ClientTrust
    let names: @Sendable () -> TokenServiceNames?
    let now: @Sendable () -> UnixTime
    let randomBytes: @Sendable (Int) -> [UInt8]
    let authenticator: ClientAuthenticator
    let proofs: ProofChecker
    let grants: Grants
    let ownRevocations = OwnRevocations()
    let genuineTokens = GenuineTokens()
    let grantTrust: GrantTrust
    let clientNames: ForeignClientNames
    let spentGrants = SpentGrants()
    let startedAt: UnixTime

    /// - Parameters:
    ///   - grantTrust: the other authorization servers whose grants count.
    ///   - clientNames: what agents are called at other authorization servers.
    ///   - names: what the service is called; nil until its listener has a port.
    package init(
        directory: @escaping @Sendable () -> DirectorySnapshot, authorities: Authorities,
        revocations: RevocationRegister, approvals: ApprovalRegister,
        policy: PolicyEngine = PolicyEngine(defaultActorDepth: ActorChain.defaultLimit), audit: AuditLog,
        refusals: RefusalRecorder, trust: ClientTrust, grantTrust: GrantTrust = .none,
        clientNames: ForeignClientNames = .none, names: @escaping @Sendable () -> TokenServiceNames?,
        now: @escaping @Sendable () -> UnixTime, randomBytes: @escaping @Sendable (Int) -> [UInt8]
    ) {
        self.directory = directory
        self.authorities = authorities
        self.revocations = revocations
        self.approvals = approvals
        self.policy = policy
        self.audit = audit
        self.refusals = refusals
        self.trust = trust
        self.names = names
        self.now = now
        self.randomBytes = randomBytes
        authenticator = ClientAuthenticator(
            trust: trust, names: names, revoked: { revocations.revoked }, now: now)
        proofs = ProofChecker(nonces: DPoPNonces(now: now, randomBytes: randomBytes), now: now)
        grants = Grants(trustDomain: authorities.trustDomain)
        self.grantTrust = grantTrust
        self.clientNames = clientNames
        startedAt = now()
    }

    /// The nonce for the next DPoP proof, which every answer of the token endpoint carries (RFC 9449 §8.2).
    package var proofNonce: String { proofs.nonces.newest }

    /// A request to the token endpoint, from bytes to token. Each step needs what the one before returned.
    ///
    /// Refusals are recorded: those of clients that nobody has authenticated within limits, the others each.
    package func token(_ call: TokenCall) async throws(TokenRefusal) -> TokenResponse {
        var client: AuthenticatedClient?
        do throws(TokenRefusal) {
            let request = try parse(call)
            let wanted = try wantedAssertion(request, call)
            let authenticated = try await authenticate(request.client, call, wanted)
            client = authenticated
            if let wanted { return try await blueprintAssertion(wanted, to: authenticated, call) }
            let key = try proofs.presentedKey(call, of: authenticated)
            let foreign = try await foreignGrant(request, authenticated, key)
            let directory = try presentDirectory(of: authenticated)
            if case .backchannel(let requestID) = request.grant {
                return try await approvedToken(requestID, authenticated, key, call, directory)
            }
            if let response = try await derivedToken(request, authenticated, key, call, directory) { return response }
            let target = try TokenTarget(
                scope: request.scope, resources: request.resources, audiences: request.audiences,
                details: request.authorizationDetails?.details ?? [], of: authenticated.agent, in: directory)
            let subject =
                if let foreign { try self.subject(foreign, target, authenticated) } else {
                    try subject(request, target, authenticated, key, call, directory)
                }
            let permit = try permit(target, authenticated, key, subject, directory)
            if let foreign { try spend(foreign) }
            let prepared = try prepare(
                permit, authenticated, key, subject, issuedTokenType: request.isExchange ? .accessToken : nil)
            let issued = try await issue(prepared, to: authenticated, about: subject, call)
            return issued.response(at: now())
        } catch {
            await record(error, client, call)
            throw error
        }
    }

    /// The directory as it is now: while a client was authenticated, keys may have been fetched for seconds.
    func presentDirectory(of client: AuthenticatedClient) throws(TokenRefusal) -> DirectorySnapshot {
        let directory = directory()
        guard directory.agent(client.agent.id) == client.agent else {
            throw .unavailable("the agent was changed meanwhile")
        }
        return directory
    }

    private func parse(_ call: TokenCall) throws(TokenRefusal) -> TokenRequest {
        let request: TokenRequest
        do {
            request = try TokenRequest(form: call.form, authorization: call.authorization)
        } catch {
            // What is wrong with the form is no secret; what is wrong with a credential is.
            if error.code == .invalidClient { throw .client(error.description) }
            throw TokenRefusal(error.code, error.description)
        }
        return request
    }

    /// Whom the token will be about, by the grant.
    private func subject(
        _ request: TokenRequest, _ target: TokenTarget, _ client: AuthenticatedClient, _ key: PresentedKey?,
        _ call: TokenCall, _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> GrantedSubject {
        switch request.grant {
        case .backchannel: throw TokenRefusal(.unsupportedGrantType, "the grant is no subject")
        case .clientCredentials: return grants.ownSubject(client)
        case .jwtBearer(let assertion):
            if request.isOnBehalfOf { return try onBehalf(assertion, by: client, key, directory) }
            return try grants.vouched(
                svid(assertion, call, directory, .invalidGrant), by: client)
        case .tokenExchange(let exchange):
            if let type = exchange.requestedType, type != .accessToken, type != .jwt {
                throw TokenRefusal(.invalidRequest, "only access tokens are issued")
            }
            if let actor = exchange.actor { try check(actor, is: client, call, directory) }
            return try exchangedSubject(
                exchange, client, key, call, directory,
                impersonates: impersonates(exchange, target, client, directory))
        }
    }

    /// Only where a grant says so, and nobody names an actor.
    private func impersonates(
        _ exchange: TokenExchange, _ target: TokenTarget, _ client: AuthenticatedClient,
        _ directory: DirectorySnapshot
    ) -> Bool {
        guard exchange.actor == nil else { return false }
        let time = now()
        return directory.grants(ofAgent: client.agent.id).contains { grant in
            grant.resourceID == target.resourceID && grant.use == .impersonation
                && grant.expiresAt.map { time < $0 } ?? true
        }
    }

    /// The actor is always the client. A token about somebody else would name an actor who is not here.
    func check(
        _ actor: TokenExchange.TypedToken, is client: AuthenticatedClient, _ call: TokenCall,
        _ directory: DirectorySnapshot
    ) throws(TokenRefusal) {
        let subject: String
        switch actor.type {
        case .accessToken:
            let token = try verifiedToken(actor.token, directory)
            guard token.claims.actors == nil else {
                throw TokenRefusal(silently: .invalidRequest, "the actor token has actors itself")
            }
            subject = token.claims.subject
        case .jwt: subject = try svid(actor.token, call, directory, .invalidRequest).id.string
        default: throw TokenRefusal(.invalidRequest, "actor tokens of this type are not taken")
        }
        guard subject.hasSameBytes(as: client.agent.spiffeID.string) else {
            throw TokenRefusal(.invalidRequest, "the actor token is not about the client")
        }
    }

    /// A JWT-SVID that is addressed to this service and to nobody else: whoever received it could pass it on otherwise.
    func svid(
        _ token: SecretText, _ call: TokenCall, _ directory: DirectorySnapshot, _ code: OAuthErrorCode
    ) throws(TokenRefusal) -> VerifiedJWTSVID {
        guard let names = names() else { throw .unavailable("the service has no name yet") }
        let verified: VerifiedJWTSVID
        do {
            verified = try JWTSVID.verify(
                token: token.text, anyAudience: names.assertionAudiences(call.profile),
                bundles: trust.jwtAuthorities, now: now())
        } catch {
            throw TokenRefusal(silently: code, error.description)
        }
        guard verified.audience.count == 1 else {
            throw TokenRefusal(silently: code, "the SVID has several audiences")
        }
        // Whoever federates for mutual TLS has not agreed to that: other trust domains vouch for nobody here.
        guard verified.id.trustDomain == authorities.trustDomain else {
            throw TokenRefusal(silently: code, "the SVID is of another trust domain")
        }
        if let subject = revocations.revoked.revocation(of: verified) {
            throw TokenRefusal(silently: code, "the SVID is revoked (\(subject.kind))")
        }
        if let reason = endedReason(verified.id, since: nil, directory) {
            throw TokenRefusal(silently: code, reason)
        }
        return verified
    }

    /// The key that signs tokens of a profile now.
    func authority(of profile: TokenProfile) -> TokenSigningAuthority? {
        switch profile {
        case .standard: authorities.oauthActive
        case .entra: authorities.entraActive
        }
    }
}

extension TokenProfile {
    /// Whose keys sign the tokens of the profile.
    var authorityKind: AuthorityRecord.Kind {
        switch self {
        case .standard: .oauth
        case .entra: .entra
        }
    }
}

extension TokenRequest {
    /// The audiences of a token exchange.
    fileprivate var audiences: [String] {
        if case .tokenExchange(let exchange) = grant { exchange.audiences } else { [] }
    }

    fileprivate var isExchange: Bool {
        if case .tokenExchange = grant { true } else { false }
    }
}
