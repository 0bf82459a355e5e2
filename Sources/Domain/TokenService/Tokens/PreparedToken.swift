import AgentDirectory
import AuditTrail
import Issuance
import JOSE
import OAuth
import PolicyEngine
import SPIFFE

/// What policy permitted. Only ``Permit/init(_:_:)`` makes values of this type, from a decision that permits.
struct Permit: Sendable {
    let permission: Permission
    let resource: ProtectedResource
    let policyHash: String

    fileprivate init(_ permission: Permission, _ resource: ProtectedResource, _ policyHash: String) {
        self.permission = permission
        self.resource = resource
        self.policyHash = policyHash
    }
}

extension TokenService {
    /// Asks the policy engine. A denial is told to the peer by the standard's code, and to the log with all reasons.
    func permit(
        _ target: TokenTarget, _ client: AuthenticatedClient, _ key: PresentedKey?, _ subject: GrantedSubject,
        _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> Permit {
        let resource = directory.resource(target.resourceID)
        var scopes = target.scopes
        if let ceiling = subject.scopeCeiling {
            switch scopes {
            // What the subject token does not have is not asked for.
            case .allGranted: scopes = .exactly(try grantable(ceiling, target, client, directory))
            case .exactly(let wanted):
                let wider = wanted.filter { !ceiling.contains($0) }
                guard wider.isEmpty else {
                    throw TokenRefusal(.invalidScope, "the subject token does not have scope `\(wider[0])`")
                }
            }
        }
        let revoked = revocations.revoked
        let question = PolicyQuestion(
            agent: AgentFacts(client.agent, directory, isRevoked: revoked.revokes(client.agent.spiffeID)),
            action: TokenAction(scopes: scopes, onBehalf: subject.onBehalf),
            resource: resource.map { ResourceFacts($0) },
            grants: directory.grants(ofAgent: client.agent.id).map { GrantFacts($0) },
            credentialKind: client.kind.rawValue, isBound: key != nil, time: now())
        let decision = policy.decide(question)
        guard case .permit(let permission) = decision.outcome, let resource else {
            throw TokenRefusal(decision)
        }
        return Permit(permission, resource, decision.policyHash)
    }

    /// The scopes of a subject token that the client could get at all: the rest is left out, not refused, where the client
    /// names none.
    private func grantable(
        _ ceiling: Scope, _ target: TokenTarget, _ client: AuthenticatedClient, _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> [String] {
        // Sets: an agent may have a thousand grants, and each a hundred scopes.
        let granted = Set(
            directory.grants(ofAgent: client.agent.id)
                .filter { $0.resourceID == target.resourceID }
                .flatMap(\.scopes.tokens))
        guard !granted.isEmpty else {
            // As without a subject token: whether the target exists is not said.
            throw TokenRefusal(silently: .invalidTarget, "nothing is granted on the resource")
        }
        let existing = Set(directory.resource(target.resourceID)?.scopes.tokens ?? [])
        let scopes = ceiling.tokens.filter { granted.contains($0) && existing.contains($0) }
        guard !scopes.isEmpty else {
            throw TokenRefusal(.invalidScope, "nothing of the subject token's scope is granted on the resource")
        }
        return scopes
    }
}

extension TokenRefusal {
    /// A denial of policy in the standard's words.
    fileprivate init(_ decision: Decision) {
        let reason = decision.reasons.map(\.description).joined(separator: "; ")
        let code: OAuthErrorCode
        switch decision.reasons.first {
        case .agentDisabled?, .agentRevoked?, .agentExpired?, .blueprintUnavailable?:
            self.init(silently: .invalidClient, reason)
            return
        case .credentialKindNotAllowed?: code = .unauthorizedClient
        case .unknownResource?, .audienceNotAllowed?, .nothingGranted?: code = .invalidTarget
        case .bindingNeeded?: code = .invalidRequest
        case .delegationNotGranted?, .impersonationNotGranted?, .chainTooDeep?: code = .actorUnauthorized
        case .scopeNotGranted?: code = .invalidScope
        case .granted?, nil: code = .serverError
        }
        // Which of target, grant and ceiling is missing is for administrators: a probe must not learn what exists.
        if code == .invalidTarget {
            self.init(silently: code, reason)
        } else {
            self.init(code, reason)
        }
    }
}

extension AgentFacts {
    init(_ agent: AgentIdentity, _ directory: DirectorySnapshot, isRevoked: Bool) {
        let template: Template
        if let id = agent.blueprintID {
            template = directory.blueprint(id).map { .blueprint(BlueprintFacts($0)) } ?? .missing
        } else {
            template = .none
        }
        self.init(
            id: agent.id, isEnabled: agent.state == .enabled, isRevoked: isRevoked, expiresAt: agent.expiresAt,
            template: template)
    }
}

extension BlueprintFacts {
    init(_ blueprint: AgentBlueprint) {
        self.init(
            id: blueprint.id, isEnabled: blueprint.isEnabled, scopes: blueprint.allowedScopes.tokens,
            audiences: blueprint.allowedAudiences, credentialKinds: Set(blueprint.credentialKinds.map(\.rawValue)),
            maximumTokenLifetime: blueprint.maximumTokenLifetime, maximumActorDepth: blueprint.maximumActorDepth)
    }
}

extension ResourceFacts {
    init(_ resource: ProtectedResource) {
        self.init(
            id: resource.id, scopes: resource.scopes.tokens, tokenLifetime: resource.tokenLifetime,
            demandsBinding: resource.binding == .required)
    }
}

extension GrantFacts {
    init(_ grant: AgentGrant) {
        self.init(
            id: grant.id, resourceID: grant.resourceID, scopes: grant.scopes.tokens,
            allowsDelegation: grant.use != .own, allowsImpersonation: grant.use == .impersonation,
            expiresAt: grant.expiresAt)
    }
}

/// A token that is built and checked but not signed.
struct PreparedToken: Sendable {
    let claims: AccessTokenClaims
    let resource: ProtectedResource
    let use: TokenResponse.Use
    let payload: [UInt8]
    let authority: TokenSigningAuthority
    let permit: Permit
    /// The types of answers differ: a token exchange names what it issued.
    let issuedTokenType: TokenType?

    fileprivate init(
        claims: AccessTokenClaims, use: TokenResponse.Use, payload: [UInt8], authority: TokenSigningAuthority,
        permit: Permit, issuedTokenType: TokenType?
    ) {
        self.claims = claims
        resource = permit.resource
        self.use = use
        self.payload = payload
        self.authority = authority
        self.permit = permit
        self.issuedTokenType = issuedTokenType
    }

    /// How the token is bound, in the log's words.
    var binding: String {
        guard let confirmation = claims.confirmation else { return "bearer" }
        return confirmation.keyThumbprint == nil ? "certificate" : "dpop"
    }
}

extension TokenService {
    /// How far back `iat` and `nbf` lie, in seconds: some verifiers allow no skew at all.
    static let backdating: Int64 = 10

    /// Builds the token: nothing in it goes beyond the permit, what was presented, or the key that signs it.
    func prepare(
        _ permit: Permit, _ client: AuthenticatedClient, _ key: PresentedKey?, _ subject: GrantedSubject,
        issuedTokenType: TokenType?
    ) throws(TokenRefusal) -> PreparedToken {
        let profile = TokenProfile(permit.resource.profile)
        guard let names = names(), let authority = authority(of: profile) else {
            throw .unavailable("no key can sign now")
        }
        let time = now()
        let ends = [
            time + permit.permission.maximumLifetime, authority.notAfter, key?.expiresAt, subject.expiresAt,
            client.agent.expiresAt,
        ].compactMap { $0?.seconds }
        guard let end = ends.min(), end > time.seconds else {
            throw TokenRefusal(.invalidGrant, "what was presented ends too soon for a token")
        }
        let scope: Scope
        do {
            scope = try Scope(tokens: permit.permission.scopes)
        } catch {
            throw TokenRefusal(.invalidScope, error.description)
        }
        let claims = AccessTokenClaims(
            issuer: names.issuer(profile), subject: subject.subject, audience: [permit.resource.id],
            clientID: client.agent.id, tokenID: Base64URL.encode(randomBytes(16)),
            issuedAt: time.seconds - Self.backdating, notBefore: time.seconds - Self.backdating, expiresAt: end,
            scope: scope, confirmation: key?.confirmation, actors: subject.actors, mayAct: subject.mayAct,
            otherClaims: otherClaims(profile, names, client, subject, scope))
        do {
            return PreparedToken(
                claims: claims, use: key?.use ?? .bearer, payload: try AccessToken.payload(of: claims),
                authority: authority, permit: permit, issuedTokenType: issuedTokenType)
        } catch {
            throw .unavailable("the token cannot be built: \(error)")
        }
    }

    private func otherClaims(
        _ profile: TokenProfile, _ names: TokenServiceNames, _ client: AuthenticatedClient, _ subject: GrantedSubject,
        _ scope: Scope
    ) -> JSONObject {
        var claims = JSONObject()
        claims["sub_profile"] = subject.profile.map { .string($0) }
        claims[AccessTokenClaims.chainRootClaim] = subject.chainRoot.map { .string($0) }
        guard profile == .entra else { return claims }
        // What verifiers of Entra's tokens look at. `oid` is the object that `sub` is about: the agent that asked.
        claims["scp"] = .string(scope.string)
        claims["roles"] = .array(scope.tokens.map { .string($0) })
        claims["oid"] = .string(client.agent.id)
        claims["tid"] = .string(names.tenant)
        claims["azp"] = .string(client.agent.id)
        claims["idtyp"] = "app"
        claims["ver"] = "2.0"
        if let blueprint = client.agent.blueprintID { claims["xms_par_app_azp"] = .string(blueprint) }
        return claims
    }
}

extension TokenProfile {
    init(_ profile: ProtectedResource.Profile) {
        self =
            switch profile {
            case .standard: .standard
            case .entra: .entra
            }
    }
}
