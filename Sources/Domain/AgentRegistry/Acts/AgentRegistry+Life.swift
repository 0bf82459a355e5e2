import AgentDirectory
import AuditTrail
import SPIFFE

extension AgentRegistry {
    /// Serves the card that waits. The approver says which card it saw, so that nobody approves what came after.
    package func approve(
        _ name: String, digest: String, by caller: RegistryCaller
    ) async throws(AgentRegistryError) -> Listing {
        let time = now()
        return try await write(RegistryAct(.registryApprove, "approve", name, caller)) {
            snapshot throws(AgentRegistryError) in
            let listing = try waiting(name, in: snapshot)
            let person = try approver(of: listing.agent, caller)
            var agent = listing.agent
            guard let candidate = agent.candidate, let card = listing.card(candidate.digest) else { throw .notPending }
            guard candidate.digest == digest else { throw .otherCard }
            if isBarred(agent) { throw .revoked }
            // The name may have been given to somebody since the card was registered.
            if let holder = nameHolder(agent.name), holder != agent.identity { throw .nameTaken }
            guard judge(card.bytes) != .invalid else { throw .badSignature }
            agent.versions[agent.versions.count - 1].stage = .approved(by: person, at: time)
            agent.current = candidate.number
            agent.life = .open
            if agent.drift?.digest == digest { agent.drift = nil }
            return Plan(
                changes: [.put(agent)], agent: agent,
                facts: ["approver": person.name, "digest": digest, "version": candidate.version])
        }
    }

    /// Turns down the card that waits. What was served before is served on.
    package func reject(
        _ name: String, reason: String, by caller: RegistryCaller
    ) async throws(AgentRegistryError) -> Listing {
        let time = now()
        return try await write(RegistryAct(.registryReject, "reject", name, caller, reason: reason)) {
            snapshot throws(AgentRegistryError) in
            try AgentRegistryRules.check(reason: reason)
            var agent = try waiting(name, in: snapshot).agent
            let person = try approver(of: agent, caller)
            agent.versions[agent.versions.count - 1].stage = .rejected(by: person, at: time, reason: reason)
            return Plan(changes: [.put(agent)], agent: agent, facts: ["approver": person.name])
        }
    }

    /// Serves the agent on, and says that others should stop using it.
    package func deprecate(
        _ name: String, reason: String, by caller: RegistryCaller
    ) async throws(AgentRegistryError) -> Listing {
        try await write(RegistryAct(.registryDeprecate, "deprecate", name, caller, reason: reason)) {
            snapshot throws(AgentRegistryError) in
            try AgentRegistryRules.check(reason: reason)
            var agent = try own(name, in: snapshot, caller)
            switch agent.life {
            case .revoked: throw .revoked
            case .deprecated: return Plan(agent: agent)
            case .open: break
            }
            guard agent.current != nil else { throw .notActive }
            agent.life = .deprecated(reason: reason)
            return Plan(changes: [.put(agent)], agent: agent)
        }
    }

    /// Ends the agent for good: nobody but an administrator finds it any more. Its cards stay, as what was once approved.
    package func revoke(
        _ name: String, reason: String, by caller: RegistryCaller
    ) async throws(AgentRegistryError) -> Listing {
        try await write(RegistryAct(.registryRevoke, "revoke", name, caller, reason: reason)) {
            snapshot throws(AgentRegistryError) in
            try AgentRegistryRules.check(reason: reason)
            var agent = try own(name, in: snapshot, caller)
            if case .revoked = agent.life { return Plan(agent: agent) }
            agent.life = .revoked(reason: reason)
            return Plan(changes: [.put(agent)], agent: agent)
        }
    }

    package func setVisibility(
        _ name: String, _ visibility: Visibility, by caller: RegistryCaller
    ) async throws(AgentRegistryError) -> Listing {
        try await write(RegistryAct(.registryVisibility, "visibility", name, caller)) {
            snapshot throws(AgentRegistryError) in
            guard case .administrator = caller.right else { throw .notFound }
            try AgentRegistryRules.check(visibility)
            guard var agent = snapshot.listing(named: name)?.agent else { throw .notFound }
            if case .revoked = agent.life { throw .revoked }
            guard agent.visibility != visibility else { return Plan(agent: agent) }
            agent.visibility = visibility
            return Plan(changes: [.put(agent)], agent: agent, facts: ["visibility": visibility.word])
        }
    }

    /// Seconds between two alarms about one agent.
    static let driftInterval: Int64 = 60

    /// Notes which card the agent shows to others: an alarm if it is not the one that is served here.
    package func noteCard(
        _ name: String, digest: String, by caller: RegistryCaller
    ) async throws(AgentRegistryError) -> Listing {
        let time = now()
        // Most of the time it is the right one, and nobody has to wait for that.
        if let listing = snapshot.listing(named: name), listing.agent.served?.digest == digest,
            listing.agent.drift == nil
        {
            _ = try own(name, in: snapshot, caller)
            return listing
        }
        return try await write(RegistryAct(.registryDrift, "drift", name, caller)) {
            snapshot throws(AgentRegistryError) in
            guard HexText.decode(digest)?.count == 32 else { throw .otherCard }
            var agent = try own(name, in: snapshot, caller)
            guard let served = agent.served else { throw .notActive }
            if served.digest == digest {
                // An agent's own word does not end an alarm: that is for an administrator who has looked.
                guard case .administrator = caller.right else { return Plan(agent: agent) }
                agent.drift = nil
            } else if let drift = agent.drift, drift.digest == digest || time < drift.seenAt + Self.driftInterval {
                return Plan(agent: agent)
            } else {
                agent.drift = RegisteredAgent.Drift(digest: digest, seenAt: time)
            }
            guard agent != snapshot.listing(agent.id)?.agent else { return Plan(agent: agent) }
            return Plan(
                changes: [.put(agent)], agent: agent, facts: ["registered": served.digest, "shown": digest])
        }
    }

    /// Takes a sign of life. Kept in memory, and nothing that others decide by.
    package func heartbeat(
        _ name: String, _ status: AgentHealth.Status, by caller: RegistryCaller
    ) throws(AgentRegistryError) {
        let agent = try own(name, in: snapshot, caller)
        if case .revoked = agent.life { throw .revoked }
        let health = AgentHealth(status: status, heardAt: now())
        withState { $0.health[agent.id] = health }
    }

    /// How an agent said it is doing, if it said so lately.
    package func health(of agent: RegisteredAgent) -> AgentHealth? {
        guard let health = withState({ $0.health[agent.id] }) else { return nil }
        return now() < health.heardAt + AgentHealth.silence ? health : nil
    }

    // MARK: who may

    private func waiting(_ name: String, in snapshot: AgentRegistrySnapshot) throws(AgentRegistryError) -> Listing {
        guard let listing = snapshot.listing(named: name) else { throw .notFound }
        if case .revoked = listing.agent.life { throw .revoked }
        guard listing.agent.candidate?.stage == .pending else { throw .notPending }
        return listing
    }

    private func approver(of agent: RegisteredAgent, _ caller: RegistryCaller) throws(AgentRegistryError) -> Person {
        guard case .administrator(let person) = caller.right else { throw .notFound }
        guard let person else { throw .unknownApprover }
        if let identity = agent.identity, person.name.hasSameBytes(as: identity.string) { throw .ownAgent }
        return person
    }

    /// The agent, for itself and for administrators. Others learn no more than they see anyway.
    private func own(
        _ name: String, in snapshot: AgentRegistrySnapshot, _ caller: RegistryCaller
    ) throws(AgentRegistryError) -> RegisteredAgent {
        guard let agent = snapshot.listing(named: name)?.agent else { throw .notFound }
        guard case .agent(let id) = caller.right else { return agent }
        guard agent.isVisible(to: .agent(id), isBarred: isBarred(agent)) else { throw .notFound }
        guard agent.identity == id else { throw .notYours }
        return agent
    }
}
