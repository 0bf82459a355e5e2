import JOSE
import OAuth
import SPIFFE

/// How much the directory holds at most.
package struct DirectoryBounds: Sendable, Hashable {
    package var blueprints = 1000
    /// Agents that are not retired.
    package var liveAgents = 100_000
    /// Agents with those that are retired, whose records stay.
    package var agents = 200_000
    package var resources = 10_000
    package var grants = 200_000
    package var grantsOfAgent = 1000

    package init() {}
}

/// The rules that need to know more than one value.
struct DirectoryRules: Sendable {
    let trustDomain: TrustDomain
    let jwtIssuer: String?
    let bounds: DirectoryBounds

    static let maximumDescriptionLength = 600
    static let maximumReasonLength = 512
    static let maximumAllowedAudiences = 100
    static let shortestTokenLifetime: Int64 = 60
    static let deepestActorChain = 16
    /// Longest resource identifier, in bytes; that of audiences of federated credentials too.
    static let maximumResourceLength = 600

    private static let gitHub = "https://token.actions.githubusercontent.com"
    /// Issuers whose tokens have claims that no caller chooses; anywhere else an expression could match anything.
    static let expressionIssuers = [gitHub, "https://gitlab.com", "https://app.terraform.io"]
    /// Claims of GitHub that stay with a repository or its owner when names change hands.
    private static let gitHubPins: Set<String> = ["repository_id", "repository_owner_id"]

    /// The last second that RFC 3339 can write.
    private static let latestEnd = UnixTime(seconds: 253_402_300_799)

    func check(description: String) throws(DirectoryError) {
        guard description.utf8.count <= Self.maximumDescriptionLength else { throw .descriptionTooLong }
    }

    func check(reason: String) throws(DirectoryError) {
        guard reason.utf8.count <= Self.maximumReasonLength else { throw .reasonTooLong }
    }

    func check(end: UnixTime?, now: UnixTime) throws(DirectoryError) {
        guard let end else { return }
        guard end > now, end <= Self.latestEnd else { throw .badEnd }
    }

    func check(tokenLifetime: Int64) throws(DirectoryError) {
        guard (Self.shortestTokenLifetime...AgentBlueprint.longestTokenLifetime).contains(tokenLifetime) else {
            throw .badTokenLifetime
        }
    }

    /// Longest type of authorization details, in bytes.
    private static let maximumDetailTypeLength = 200

    // MARK: blueprints

    func check(_ blueprint: AgentBlueprint, in snapshot: DirectorySnapshot) throws(DirectoryError) {
        try check(description: blueprint.description)
        try check(tokenLifetime: blueprint.maximumTokenLifetime)
        guard (1...Self.deepestActorChain).contains(blueprint.maximumActorDepth) else { throw .badActorDepth }
        guard blueprint.allowedAudiences.count <= Self.maximumAllowedAudiences else { throw .tooManyAudiences }
        for audience in blueprint.allowedAudiences { try check(resourceID: audience) }
        guard !blueprint.credentialKinds.isEmpty else { throw .noCredentialKinds }
        if let other = snapshot.blueprint(named: blueprint.name.text), other.id != blueprint.id { throw .nameTaken }
    }

    // MARK: agents

    func check(_ agent: AgentIdentity, in snapshot: DirectorySnapshot) throws(DirectoryError) {
        guard agent.spiffeID.isMember(of: trustDomain) else { throw .otherTrustDomain }
        guard !agent.spiffeID.path.isEmpty, !agent.spiffeID.isReserved else { throw .reservedSPIFFEID }
        if let other = snapshot.agent(named: agent.name.text), other.id != agent.id { throw .nameTaken }
        if let other = snapshot.agent(withSPIFFEID: agent.spiffeID), other.id != agent.id { throw .spiffeIDTaken }
    }

    /// The agent, if anything about it may still change.
    func live(_ id: String, in snapshot: DirectorySnapshot) throws(DirectoryError) -> AgentIdentity {
        guard let agent = snapshot.agent(id) else { throw .agentNotFound }
        guard agent.state != .retired else { throw .agentRetired }
        return agent
    }

    // MARK: credentials

    func check(
        _ credential: FederatedCredential, for agent: AgentIdentity, in snapshot: DirectorySnapshot
    ) throws(DirectoryError) {
        try check(kind: .federatedAssertion, of: agent, in: snapshot)
        guard agent.federatedCredentials.count < AgentIdentity.maximumFederatedCredentials else {
            throw .tooManyFederatedCredentials
        }
        guard !agent.federatedCredentials.contains(where: { $0.name == credential.name }) else {
            throw .federatedCredentialExists
        }
        guard
            !agent.federatedCredentials.contains(where: {
                $0.issuer == credential.issuer && $0.subject == credential.subject
            })
        else { throw .issuerAndSubjectTaken }
        // A trust domain's ID stands for whatever its JWT authorities have signed, with `iss` and without.
        let isTrustDomain = (try? TrustDomain(idOrName: credential.issuer))?.idString == credential.issuer
        let isOwn = isTrustDomain || (jwtIssuer?.hasSameBytes(as: credential.issuer) ?? false)
        guard isOwn || (try? HTTPSURL(credential.issuer)) != nil else { throw .badIssuer }
        guard case .matching(let expression) = credential.subject else { return }
        guard Self.expressionIssuers.contains(where: { $0.hasSameBytes(as: credential.issuer) }) else {
            throw .expressionNotForIssuer
        }
        guard credential.issuer.hasSameBytes(as: Self.gitHub) else { return }
        let isPinned = expression.conditions.contains { condition in
            guard case .equals = condition.comparison else { return false }
            return Self.gitHubPins.contains(condition.claim)
        }
        guard isPinned else { throw .expressionNotPinned }
    }

    func check(
        _ credential: ClientCredential, for agent: AgentIdentity, in snapshot: DirectorySnapshot
    ) throws(DirectoryError) {
        try check(kind: credential.kind, of: agent, in: snapshot)
        guard agent.clientCredentials.count < AgentIdentity.maximumClientCredentials else {
            throw .tooManyClientCredentials
        }
        switch credential.proof {
        case .secret: break
        case .key(let key):
            guard Self.isAllowed(key) else { throw .badClientKey }
            let thumbprint = key.thumbprint
            let isKnown = agent.clientCredentials.contains { known in
                if case .key(let other) = known.proof { other.thumbprint == thumbprint } else { false }
            }
            guard !isKnown else { throw .clientCredentialExists }
        case .selfSignedCertificate(let digest):
            guard digest.count == 32 else { throw .badCertificate }
            guard !agent.clientCredentials.contains(where: { $0.proof == credential.proof }) else {
                throw .clientCredentialExists
            }
        case .certificateName(let name):
            guard Self.isAllowed(name) else { throw .badCertificate }
            guard !agent.clientCredentials.contains(where: { $0.proof == credential.proof }) else {
                throw .clientCredentialExists
            }
        }
    }

    private func check(
        kind: CredentialKind, of agent: AgentIdentity, in snapshot: DirectorySnapshot
    ) throws(DirectoryError) {
        guard let blueprint = agent.blueprintID.flatMap({ snapshot.blueprint($0) }) else { return }
        guard blueprint.credentialKinds.contains(kind) else { throw .credentialKindNotAllowed(kind) }
    }

    /// The key types that every client has; ``JWK`` has checked sizes and points, and holds nothing private.
    private static func isAllowed(_ key: JWK) -> Bool {
        switch key.key {
        case .p256, .p384, .rsa: true
        case .p521, .ed25519: false
        }
    }

    private static func isAllowed(_ name: ClientCredential.CertificateName) -> Bool {
        switch name {
        case .dns(let name):
            // No wildcards: a name stands for one client.
            !name.isEmpty && name.utf8.count <= 253 && name == name.lowercased()
                && name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { label in
                    (1...63).contains(label.count) && label.first != UInt8(ascii: "-")
                        && label.last != UInt8(ascii: "-")
                        && label.allSatisfy {
                            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
                                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: "-")
                        }
                }
        case .uri(let uri):
            // A SPIFFE ID is proved by an SVID alone: no authority outside can vouch for one.
            (try? ResourceIndicator(uri)) != nil && !uri.lowercased().utf8.starts(with: "spiffe:".utf8)
        }
    }

    // MARK: resources and grants

    func check(resourceID id: String) throws(DirectoryError) {
        guard id.utf8.count <= Self.maximumResourceLength, id.utf8.allSatisfy({ (0x21...0x7e).contains($0) }),
            (try? ResourceIndicator(id)) != nil
        else { throw .badResourceID }
    }

    func check(_ resource: ProtectedResource, in snapshot: DirectorySnapshot) throws(DirectoryError) {
        try check(resourceID: resource.id)
        guard resource.profile != .authorizationServer || Self.isIssuer(resource.id) else { throw .badIssuer }
        try check(description: resource.description)
        try check(tokenLifetime: resource.tokenLifetime)
        if let id = resource.agentID { _ = try live(id, in: snapshot) }
        if let rules = resource.approval { try check(rules, of: resource) }
    }

    private func check(_ rules: ApprovalRules, of resource: ProtectedResource) throws(DirectoryError) {
        guard !rules.approvers.isEmpty else { throw .noApprovers }
        guard rules.approvers.count <= ApprovalRules.maximumApprovers,
            rules.detailTypes.count <= ApprovalRules.maximumDetailTypes
        else { throw .badApprovalRules }
        guard rules.detailTypes.allSatisfy({ !$0.isEmpty && $0.utf8.count <= Self.maximumDetailTypeLength }) else {
            throw .badApprovalRules
        }
        guard ApprovalRules.waitingTimes.contains(rules.waitingTime) else { throw .badApprovalRules }
        let unknown = rules.scopes.subtracting(resource.scopes)
        guard unknown.isEmpty else { throw .scopesNotOfResource(unknown.tokens) }
    }

    /// RFC 8414 §2: an `https` URL without query and fragment.
    private static func isIssuer(_ id: String) -> Bool {
        guard let url = try? WebURL(id) else { return false }
        return url.isSecure && url.query == nil && !url.hasFragment
    }

    func check(
        _ grant: AgentGrant, in snapshot: DirectorySnapshot, allowingImpersonation: Bool, now: UnixTime
    ) throws(DirectoryError) {
        let agent = try live(grant.agentID, in: snapshot)
        guard let resource = snapshot.resource(grant.resourceID) else { throw .resourceNotFound }
        guard !grant.scopes.isEmpty || !grant.details.isEmpty else { throw .noScopes }
        let unknown = grant.scopes.subtracting(resource.scopes)
        guard unknown.isEmpty else { throw .scopesNotOfResource(unknown.tokens) }
        if let blueprint = agent.blueprintID.flatMap({ snapshot.blueprint($0) }) {
            guard blueprint.allowedAudiences.contains(where: { $0.hasSameBytes(as: resource.id) }) else {
                throw .audienceAboveBlueprint
            }
            let above = grant.scopes.subtracting(blueprint.allowedScopes)
            guard above.isEmpty else { throw .scopesAboveBlueprint(above.tokens) }
        }
        guard grant.use != .impersonation || allowingImpersonation else { throw .impersonationNotConfirmed }
        guard grant.details.count <= AgentGrant.maximumDetails,
            grant.details.allSatisfy({ $0.type.utf8.count <= Self.maximumDetailTypeLength })
        else { throw .tooManyDetails }
        if let activation = grant.activation {
            guard AgentGrant.activations.contains(activation) else { throw .badActivation }
            guard resource.approval != nil else { throw .noApprovers }
        }
        try check(end: grant.expiresAt, now: now)
    }
}
