import OAuth
import SPIFFE

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
            var reasons: [Reason] = []
            if !permission.dormantGrantIDs.isEmpty { reasons.append(.grantNeedsApproval(permission.dormantGrantIDs)) }
            if permission.isSingleUse { reasons.append(.actNeedsApproval) }
            guard reasons.isEmpty || question.action.approval == .given else {
                return Decision(outcome: .needsApproval(permission), reasons: reasons, policyHash: hash)
            }
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
        let ceiling = blueprint.map { Set($0.scopes) }
        // A scope that the resource no longer has is not given, whatever a grant or a blueprint says.
        let existing = resource.scopes.filter { ceiling?.contains($0) ?? true }
        let scopes = try choose(question, resource, existing: existing, grants)
        try checkDetails(question.action.details, grants)
        let used = grants.filter { $0.isUsed(for: scopes, question.action.details) }
        let dormant = used.filter { grant in
            // What grants that hold give is given by them: nobody is asked for more than is needed.
            guard !grant.holds(at: question.time) else { return false }
            return !grant.isSpare(
                for: scopes, question.action.details, beside: used.filter { $0.holds(at: question.time) })
        }
        let resting = used.filter { grant in
            grant.holds(at: question.time) || dormant.contains { $0.id == grant.id }
        }
        // A grant is approved for its scopes; what is said in detail is approved as it is said.
        let isSingleUse =
            needsApprovalEachTime(question.action, scopes, resource)
            || (!dormant.isEmpty && !question.action.details.isEmpty)
        return Permission(
            scopes: scopes, details: question.action.details,
            maximumLifetime: try lifetime(question, resource, blueprint, resting, isSingleUse: isSingleUse),
            maximumActorDepth: depth, grantIDs: resting.map(\.id).withoutRepetitions,
            dormantGrantIDs: dormant.map(\.id).withoutRepetitions,
            isSingleUse: isSingleUse)
    }

    /// Seconds: a token does not outlive the grants that it rests on.
    private func lifetime(
        _ question: PolicyQuestion, _ resource: ResourceFacts, _ blueprint: BlueprintFacts?, _ grants: [GrantFacts],
        isSingleUse: Bool
    ) throws(Denied) -> Int64 {
        var lifetime = min(resource.tokenLifetime, blueprint?.maximumTokenLifetime ?? .max)
        if isSingleUse { lifetime = min(lifetime, Self.singleUseLifetime) }
        for grant in grants {
            var ends = [grant.expiresAt]
            if case .approved(let until?) = grant.standing, until > question.time { ends.append(until) }
            for case let end? in ends { lifetime = min(lifetime, end.seconds - question.time.seconds) }
        }
        guard lifetime > 0 else { throw Denied(.nothingGranted) }
        return lifetime
    }

    /// Longest life of a token for one approved act, in seconds.
    package static let singleUseLifetime: Int64 = 120

    private func needsApprovalEachTime(
        _ action: TokenAction, _ scopes: [String], _ resource: ResourceFacts
    ) -> Bool {
        action.approval == .demanded || !Set(resource.approvedScopes).isDisjoint(with: scopes)
            || action.details.contains { resource.approvedTypes.contains($0.type) }
    }

    /// Every detail has to be covered by one grant as a whole: halves of two do not make one.
    private func checkDetails(
        _ details: [AuthorizationDetails.Detail], _ grants: [GrantFacts]
    ) throws(Denied) {
        let missing = details.filter { detail in
            !grants.contains { $0.details.contains { $0.covers(detail) } }
        }
        guard missing.isEmpty else { throw Denied(missing.map { .detailNotGranted($0.type) }) }
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
        _ question: PolicyQuestion, _ resource: ResourceFacts, existing: [String], _ grants: [GrantFacts]
    ) throws(Denied) -> [String] {
        let granted = Set(grants.flatMap(\.scopes))
        let available = existing.filter { granted.contains($0) }
        switch question.action.scopes {
        case .allGranted:
            // What holds without anybody's word comes first. Only an agent that has nothing else asks for the rest by this.
            let held = Set(grants.filter { $0.holds(at: question.time) }.flatMap(\.scopes))
            let free = available.filter { held.contains($0) && !resource.approvedScopes.contains($0) }
            guard free.isEmpty else { return free }
            guard !available.isEmpty else { throw Denied(.nothingGranted) }
            return available
        case .exactly(let scopes):
            guard !scopes.isEmpty || !question.action.details.isEmpty else { throw Denied(.nothingGranted) }
            let missing = scopes.filter { !available.contains($0) }
            guard missing.isEmpty else { throw Denied(missing.map { .scopeNotGranted($0) }) }
            return available.filter { scopes.contains($0) }
        }
    }
}

extension [String] {
    /// One grant can be two facts: what of it was approved, and the rest.
    fileprivate var withoutRepetitions: [String] {
        var seen = Set<String>()
        return filter { seen.insert($0).inserted }
    }
}

extension GrantFacts {
    /// Whether it holds without a person's word, or has it already.
    fileprivate func holds(at time: UnixTime) -> Bool {
        switch standing {
        case .always: true
        case .approved(let until): until.map { time < $0 } ?? false
        }
    }

    fileprivate func isUsed(for wanted: [String], _ asked: [AuthorizationDetails.Detail]) -> Bool {
        !Set(scopes).isDisjoint(with: wanted) || asked.contains { detail in details.contains { $0.covers(detail) } }
    }

    /// Whether others give all of what this one would.
    fileprivate func isSpare(
        for wanted: [String], _ asked: [AuthorizationDetails.Detail], beside others: [GrantFacts]
    ) -> Bool {
        let given = Set(others.flatMap(\.scopes))
        return scopes.allSatisfy { !wanted.contains($0) || given.contains($0) }
            && asked.allSatisfy { detail in
                !details.contains { $0.covers(detail) } || others.contains { $0.details.contains { $0.covers(detail) } }
            }
    }
}
