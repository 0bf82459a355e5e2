package import AgentDirectory
import AuditTrail
import Registry
import SPIFFE

/// A card that somebody wants listed.
package struct CardRegistration: Sendable {
    package var name: AgentName
    /// The card as it will be given out.
    package var card: [UInt8]
    package var source: CardVersion.Source
    /// Hands it in for approval; else it is kept as a draft.
    package var submits: Bool
    /// Of a name that is not there yet; nil for nobody.
    package var visibility: Visibility?

    package init(
        name: AgentName, card: [UInt8], source: CardVersion.Source, submits: Bool = true, visibility: Visibility? = nil
    ) {
        self.name = name
        self.card = card
        self.source = source
        self.submits = submits
        self.visibility = visibility
    }
}

extension AgentRegistry {
    /// Registers a card under a name: the first of an agent, or its next version. What is registered already stays as it is.
    package func register(
        _ registration: CardRegistration, by caller: RegistryCaller
    ) async throws(AgentRegistryError) -> Listing {
        let id = RandomIdentifier.make(randomBytes)
        let time = now()
        let act = RegistryAct(.registryRegister, "register", registration.name.text, caller)
        return try await write(act) { snapshot throws(AgentRegistryError) in
            let card = try AgentRegistryRules.card(registration.card)
            let identity = card.summary.identity
            // Servers and node agents are no AI agents, and what they say is believed for other reasons.
            if let identity, identity.isReserved { throw .reservedIdentity }
            if case .agent(let proved) = caller.right {
                guard let identity else { throw .unboundCard }
                guard identity == proved else { throw .otherIdentity }
            }
            if let holder = nameHolder(registration.name), holder != identity { throw .nameTaken }
            if let identity, barred()(identity) { throw .revoked }
            let signature = judge(card.bytes)
            guard signature != .invalid else { throw .badSignature }
            if let visibility = registration.visibility { try AgentRegistryRules.check(visibility) }
            func version(_ number: Int64) -> CardVersion {
                CardVersion(
                    number: number, version: card.summary.version, digest: card.digest, signature: signature,
                    source: registration.source, registeredAt: time, stage: registration.submits ? .pending : .draft)
            }
            let existing = snapshot.listing(named: registration.name.text)?.agent
            if let existing, existing.state != .revoked {
                try check(existing, identity: identity, caller)
                return try next(existing, card, version)
            }
            var changes: [AgentRegistryChange] = []
            if let existing {
                // Only an administrator gives away a name whose agent was revoked.
                guard case .administrator = caller.right else {
                    throw existing.identity == identity ? .revoked : .nameTaken
                }
                changes.append(.delete(id: existing.id))
            }
            guard snapshot.count < bounds.agents || existing != nil else { throw .full(.agents) }
            if let identity, snapshot.listings(of: identity).count >= bounds.agentsOfIdentity {
                throw .full(.agentsOfIdentity)
            }
            let agent = RegisteredAgent(
                id: id, name: registration.name, identity: identity, visibility: registration.visibility ?? .nobody,
                versions: [version(1)], createdAt: time)
            return plan(changes, agent, card)
        }
    }

    private func check(
        _ existing: RegisteredAgent, identity: SPIFFEID?, _ caller: RegistryCaller
    ) throws(AgentRegistryError) {
        guard existing.identity != identity else { return }
        // To somebody else the name is taken, and nothing is said of whose it is.
        if case .agent = caller.right { throw .nameTaken }
        throw .otherIdentity
    }

    /// The next version of an agent that is listed.
    private func next(
        _ existing: RegisteredAgent, _ card: HeldCard, _ version: (Int64) -> CardVersion
    ) throws(AgentRegistryError) -> Plan {
        var agent = existing
        if let candidate = existing.candidate {
            if candidate.digest == card.digest, candidate.stage == .pending { return Plan(agent: existing) }
        } else if existing.served?.digest == card.digest {
            return Plan(agent: existing)
        }
        for approved in existing.versions where approved.number != existing.candidate?.number {
            // Whoever has seen a version has to find the same card under it for good.
            guard !approved.version.hasSameBytes(as: card.summary.version), approved.digest != card.digest else {
                throw .versionExists
            }
        }
        var changes: [AgentRegistryChange] = []
        var number = (existing.versions.last?.number ?? 0) + 1
        if let candidate = existing.candidate {
            agent.versions.removeLast()
            number = candidate.number
            if candidate.digest != card.digest {
                changes.append(.deleteCard(agentID: agent.id, digest: candidate.digest))
            }
        }
        guard agent.versions.count < bounds.versions else { throw .full(.versions) }
        agent.versions.append(version(number))
        return plan(changes, agent, card)
    }

    private func plan(_ changes: [AgentRegistryChange], _ agent: RegisteredAgent, _ card: HeldCard) -> Plan {
        var facts = ["digest": card.digest, "version": card.summary.version, "state": agent.state.rawValue]
        facts["spiffe_id"] = agent.identity?.string
        facts["signature"] = agent.versions.last?.signature.word
        return Plan(
            changes: changes + [
                .put(agent), .putCard(agentID: agent.id, digest: card.digest, bytes: card.bytes),
            ], agent: agent, cards: [card], facts: facts)
    }
}
