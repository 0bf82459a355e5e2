import AgentDirectory
import Approvals
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
    ///
    /// - Parameter approval: what a person has approved, for a token that rests on it.
    func permit(
        _ target: TokenTarget, _ client: AuthenticatedClient, _ key: PresentedKey?, _ subject: GrantedSubject,
        _ directory: DirectorySnapshot, approval: Approval? = nil
    ) throws(TokenRefusal) -> Permit {
        let decision = try decide(
            target, client, key, subject, directory, approval: approval == nil ? .notAsked : .given)
        guard case .permit(let permission) = decision.outcome, let resource = directory.resource(target.resourceID)
        else { throw TokenRefusal(decision) }
        return Permit(permission, resource, decision.policyHash)
    }

    /// What the policy engine says about the target: within what the subject's token has.
    func decide(
        _ target: TokenTarget, _ client: AuthenticatedClient, _ key: PresentedKey?, _ subject: GrantedSubject,
        _ directory: DirectorySnapshot, approval: TokenAction.Approval
    ) throws(TokenRefusal) -> Decision {
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
        if let ceiling = subject.detailCeiling {
            let wider = target.details.first { detail in !ceiling.contains { $0.json == detail.json } }
            if let wider {
                throw TokenRefusal(
                    .invalidAuthorizationDetails,
                    "the subject token does not have these authorization details of type `\(wider.type.prefix(80))`")
            }
        }
        let revoked = revocations.revoked
        let question = PolicyQuestion(
            agent: AgentFacts(client.agent, directory, isRevoked: revoked.revokes(client.agent.spiffeID)),
            action: TokenAction(
                scopes: scopes, onBehalf: subject.onBehalf, details: target.details, approval: approval),
            resource: directory.resource(target.resourceID).map { ResourceFacts($0) },
            grants: directory.grants(ofAgent: client.agent.id).flatMap { grant in
                GrantFacts.of(
                    grant,
                    approvals.activations(ofGrant: grant.id, agent: client.agent.id).filter { subject.isMeant(by: $0) })
            },
            credentialKind: client.kind.rawValue, isBound: key != nil, time: now())
        return policy.decide(question)
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
    init(_ decision: Decision) {
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
        case .detailNotGranted?: code = .invalidAuthorizationDetails
        case .actNeedsApproval?, .grantNeedsApproval?: code = .accessDenied
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
            demandsBinding: resource.binding == .required, approvedScopes: resource.approval?.scopes.tokens ?? [],
            approvedTypes: resource.approval?.detailTypes ?? [])
    }
}

extension GrantFacts {
    /// A grant that holds by approval is two facts: what of it a person has approved, and all of it, which nobody has.
    static func of(_ grant: AgentGrant, _ activations: @autoclosure () -> [ApprovalRegister.Activation]) -> [GrantFacts]
    {
        var whole = GrantFacts(
            id: grant.id, resourceID: grant.resourceID, scopes: grant.scopes.tokens,
            allowsDelegation: grant.use != .own, allowsImpersonation: grant.use == .impersonation,
            expiresAt: grant.expiresAt, details: grant.details)
        guard grant.activation != nil else { return [whole] }
        whole.standing = .approved(until: nil)
        let approved = activations().map { activation in
            var part = whole
            part.standing = .approved(until: activation.until)
            part.scopes = grant.scopes.tokens.filter { activation.scope.contains($0) }
            part.details = []
            return part
        }
        return approved + [whole]
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

    /// What was permitted, in the log's words.
    var reason: String {
        let types = claims.authorizationDetails?.details.map(\.type) ?? []
        var parts: [String] = []
        if !claims.scope.isEmpty { parts.append("scope " + claims.scope.string) }
        if !types.isEmpty { parts.append("details " + types.joined(separator: " ")) }
        return parts.joined(separator: ", ")
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
        issuedTokenType: TokenType?, approval: Approval? = nil
    ) throws(TokenRefusal) -> PreparedToken {
        // The trust domain is what transaction tokens are for, another authorization server what grants are for.
        guard let profile = TokenProfile(permit.resource.profile),
            !permit.resource.id.hasSameBytes(as: authorities.trustDomain.idString)
        else { throw TokenRefusal(silently: .invalidTarget, "the resource takes no access tokens") }
        guard let names = names(), let authority = authority(of: profile) else {
            throw .unavailable("no key can sign now")
        }
        let time = now()
        let isSingleUse = approval?.isForOneUse ?? false
        // What a person said yes to is done now or not at all.
        let longest = isSingleUse ? PolicyEngine.singleUseLifetime : .max
        let ends = [
            time + min(permit.permission.maximumLifetime, longest), authority.notAfter, key?.expiresAt,
            subject.expiresAt, client.agent.expiresAt, client.endsAt, approval?.activeUntil,
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
        let details: AuthorizationDetails?
        do {
            details = try permit.permission.details.isEmpty ? nil : AuthorizationDetails(permit.permission.details)
        } catch {
            throw TokenRefusal(.invalidAuthorizationDetails, error.description)
        }
        let claims = AccessTokenClaims(
            issuer: names.issuer(profile), subject: subject.subject, audience: [permit.resource.id],
            clientID: client.agent.id, tokenID: Base64URL.encode(randomBytes(16)),
            issuedAt: time.seconds - Self.backdating, notBefore: time.seconds - Self.backdating, expiresAt: end,
            scope: scope, confirmation: key?.confirmation, actors: subject.actors, mayAct: subject.mayAct,
            authorizationDetails: details,
            otherClaims: otherClaims(profile, names, client, subject, scope, isSingleUse ? approval : nil))
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
        _ scope: Scope, _ approval: Approval?
    ) -> JSONObject {
        var claims = JSONObject()
        claims["sub_profile"] = subject.profile.map { .string($0) }
        claims[AccessTokenClaims.chainRootClaim] = subject.chainRoot.map { .string($0) }
        if let approval {
            claims[AccessTokenClaims.transactionClaim] = .string(approval.act.transactionID)
            claims[AccessTokenClaims.approvalClaim] = .string(approval.id)
            claims[AccessTokenClaims.actHashClaim] = .string(approval.act.hash)
            claims[AccessTokenClaims.singleUseClaim] = true
        }
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
    /// Nil where there are no access tokens.
    init?(_ profile: ProtectedResource.Profile) {
        switch profile {
        case .standard: self = .standard
        case .entra: self = .entra
        case .authorizationServer: return nil
        }
    }
}
