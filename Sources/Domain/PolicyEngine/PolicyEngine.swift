/// Decides what agents may do. Default deny: what no rule permits is refused.
///
/// The rules are those of typed settings. A policy language may take their place inside; question and decision stay.
package struct PolicyEngine: Sendable {
    /// The longest actor chain of agents without a blueprint.
    package let defaultActorDepth: Int

    package init(defaultActorDepth: Int = 4) {
        self.defaultActorDepth = defaultActorDepth
    }

    /// The answer, with its reasons and a hash over the settings that it rests on. Equal questions get equal answers.
    package func decide(_ question: PolicyQuestion) -> Decision {
        let hash = PolicyHash.of(question, defaultActorDepth: defaultActorDepth)
        do throws(Denied) {
            let permission = try permission(question)
            return Decision(
                outcome: .permit(permission), reasons: [.granted(permission.grantIDs)], policyHash: hash)
        } catch {
            return Decision(outcome: .deny, reasons: error.reasons, policyHash: hash)
        }
    }

    private struct Denied: Error {
        let reasons: [Reason]

        init(_ reasons: Reason...) { self.reasons = reasons }
        init(_ reasons: [Reason]) { self.reasons = reasons }
    }

    private func permission(_ question: PolicyQuestion) throws(Denied) -> Permission {
        try checkAgent(question)
        let blueprint = try usableBlueprint(question)
        // Up to the grants nothing but these reasons may tell what exists: a probe must not learn of it by another one.
        guard let resource = question.resource else { throw Denied(.unknownResource) }
        guard blueprint?.audiences.contains(resource.id) ?? true else { throw Denied(.audienceNotAllowed) }
        let grants = try usableGrants(question, resource)
        guard !resource.demandsBinding || question.isBound else { throw Denied(.bindingNeeded) }
        let depth = blueprint?.maximumActorDepth ?? defaultActorDepth
        if case .another(let wanted) = question.action.onBehalf, wanted > depth {
            throw Denied(.chainTooDeep(limit: depth))
        }
        var lifetime = min(resource.tokenLifetime, blueprint?.maximumTokenLifetime ?? .max)
        let ceiling = blueprint.map { Set($0.scopes) }
        let granted = Set(grants.flatMap(\.scopes))
        // A scope that the resource no longer has is not given, whatever a grant or a blueprint says.
        let available = resource.scopes.filter { granted.contains($0) && ceiling?.contains($0) ?? true }
        let scopes = try choose(question.action.scopes, among: available)
        for grant in grants {
            guard let end = grant.expiresAt, !Set(grant.scopes).isDisjoint(with: scopes) else { continue }
            // A token does not outlive the grant that it rests on.
            lifetime = min(lifetime, end.seconds - question.time.seconds)
        }
        guard lifetime > 0 else { throw Denied(.nothingGranted) }
        return Permission(
            scopes: scopes, maximumLifetime: lifetime, maximumActorDepth: depth,
            grantIDs: grants.filter { !Set($0.scopes).isDisjoint(with: scopes) }.map(\.id))
    }

    private func checkAgent(_ question: PolicyQuestion) throws(Denied) {
        let agent = question.agent
        guard agent.isEnabled else { throw Denied(.agentDisabled) }
        guard !agent.isRevoked else { throw Denied(.agentRevoked) }
        if let end = agent.expiresAt, question.time >= end { throw Denied(.agentExpired) }
    }

    /// The ceiling over the agent; nil for an agent without one.
    private func usableBlueprint(_ question: PolicyQuestion) throws(Denied) -> BlueprintFacts? {
        switch question.agent.template {
        case .none: return nil
        case .missing: throw Denied(.blueprintUnavailable)
        case .blueprint(let blueprint):
            guard blueprint.isEnabled else { throw Denied(.blueprintUnavailable) }
            guard blueprint.credentialKinds.contains(question.credentialKind) else {
                throw Denied(.credentialKindNotAllowed(question.credentialKind))
            }
            return blueprint
        }
    }

    private func usableGrants(_ question: PolicyQuestion, _ resource: ResourceFacts) throws(Denied) -> [GrantFacts] {
        let live = question.grants.filter { grant in
            grant.resourceID == resource.id && grant.expiresAt.map { question.time < $0 } ?? true
        }
        guard !live.isEmpty else { throw Denied(.nothingGranted) }
        switch question.action.onBehalf {
        case .itself: return live
        case .another:
            let usable = live.filter { $0.allowsDelegation || $0.allowsImpersonation }
            guard !usable.isEmpty else { throw Denied(.delegationNotGranted) }
            return usable
        case .impersonating:
            let usable = live.filter(\.allowsImpersonation)
            guard !usable.isEmpty else { throw Denied(.impersonationNotGranted) }
            return usable
        }
    }

    private func choose(
        _ wanted: TokenAction.RequestedScopes, among available: [String]
    ) throws(Denied) -> [String] {
        switch wanted {
        case .allGranted:
            guard !available.isEmpty else { throw Denied(.nothingGranted) }
            return available
        case .exactly(let scopes):
            guard !scopes.isEmpty else { throw Denied(.nothingGranted) }
            let missing = scopes.filter { !available.contains($0) }
            guard missing.isEmpty else { throw Denied(missing.map { .scopeNotGranted($0) }) }
            return available.filter { scopes.contains($0) }
        }
    }
}
