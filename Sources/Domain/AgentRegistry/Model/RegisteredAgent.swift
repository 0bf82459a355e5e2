package import AgentDirectory
package import SPIFFE

/// One agent as the registry lists it: a name, whom it is bound to, the cards that were registered under the name, and who
/// may see it.
package struct RegisteredAgent: Sendable, Equatable, Identifiable {
    /// Never used again, also when the name is.
    package let id: String
    package let name: AgentName
    /// The SPIFFE ID that the agent has to prove, by its card; nil for a card that names none.
    package let identity: SPIFFEID?
    package var visibility: Visibility
    package var life: Life
    /// Oldest first. Once approved a version never changes; at most the last one is not decided on.
    package var versions: [CardVersion]
    /// Number of the version that is served.
    package var current: Int64?
    /// The agent shows another card than the one that is served.
    package var drift: Drift?
    package let createdAt: UnixTime

    /// What becomes of an agent whose card was approved.
    package enum Life: Sendable, Equatable {
        case open
        /// Still served; others should stop using it.
        case deprecated(reason: String)
        /// Over for good.
        case revoked(reason: String)
    }

    /// Where the agent is in its life.
    package enum State: String, Sendable, Hashable, CaseIterable {
        /// Registered and not handed in, or turned down.
        case draft
        /// Waits for an approver.
        case pending
        case active
        case deprecated
        case revoked
    }

    /// A card that is not the registered one.
    package struct Drift: Sendable, Equatable {
        package let digest: String
        package let seenAt: UnixTime

        package init(digest: String, seenAt: UnixTime) {
            self.digest = digest
            self.seenAt = seenAt
        }
    }

    package init(
        id: String, name: AgentName, identity: SPIFFEID?, visibility: Visibility, life: Life = .open,
        versions: [CardVersion], current: Int64? = nil, drift: Drift? = nil, createdAt: UnixTime
    ) {
        self.id = id
        self.name = name
        self.identity = identity
        self.visibility = visibility
        self.life = life
        self.versions = versions
        self.current = current
        self.drift = drift
        self.createdAt = createdAt
    }

    package var state: State {
        switch life {
        case .revoked: .revoked
        case .deprecated: .deprecated
        case .open: current != nil ? .active : candidate?.stage == .pending ? .pending : .draft
        }
    }

    /// The version that is served.
    package var served: CardVersion? { current.flatMap { number in versions.first { $0.number == number } } }

    /// The newest version, if nobody has approved it.
    package var candidate: CardVersion? {
        guard let last = versions.last else { return nil }
        if case .approved = last.stage { return nil }
        return last
    }

    /// The cards that have to be at hand.
    package var heldDigests: [String] { [served, candidate].compactMap { $0?.digest } }
}

/// Who may see an agent. For everybody else there is no such agent.
package enum Visibility: Sendable, Equatable {
    case everyone
    /// These SPIFFE IDs, and the agent itself.
    case entitled([SPIFFEID])
    /// The agent itself and administrators.
    case nobody

    /// The words of the standards' discussion: public, entitled, private.
    package var word: String {
        switch self {
        case .everyone: "public"
        case .entitled: "entitled"
        case .nobody: "private"
        }
    }

    package static let maximumEntitled = 200
}

/// One registered card.
package struct CardVersion: Sendable, Equatable {
    /// 1 for the first of its agent.
    package let number: Int64
    /// The card's own `version`.
    package let version: String
    /// Hex SHA-256 of the registered bytes.
    package let digest: String
    /// What the signature said when it was registered.
    package let signature: CardSignature
    package let source: Source
    package let registeredAt: UnixTime
    package var stage: Stage

    /// How the registry came by it.
    package enum Source: Sendable, Equatable {
        /// From the agent, which proved its SPIFFE ID.
        case agent
        /// From an administrator.
        case administrator
        /// From this URL, whose server proved its name.
        case url(String)
    }

    package enum Stage: Sendable, Equatable {
        case draft
        case pending
        case approved(by: Person, at: UnixTime)
        case rejected(by: Person, at: UnixTime, reason: String)
    }

    package init(
        number: Int64, version: String, digest: String, signature: CardSignature, source: Source,
        registeredAt: UnixTime, stage: Stage
    ) {
        self.number = number
        self.version = version
        self.digest = digest
        self.signature = signature
        self.source = source
        self.registeredAt = registeredAt
        self.stage = stage
    }
}

/// What a card's signatures say to the keys that this registry trusts.
package enum CardSignature: Sendable, Hashable {
    case unsigned
    /// By a trusted key, over exactly this card.
    case verified(keyID: String)
    /// By keys that nobody here knows.
    case unknownKey
    /// Claims a trusted key, and is not its signature.
    case invalid

    package var word: String {
        switch self {
        case .unsigned: "unsigned"
        case .verified: "verified"
        case .unknownKey: "unknown_key"
        case .invalid: "invalid"
        }
    }
}

/// How an agent says it is doing. Told from memory: after a restart nobody knows.
package struct AgentHealth: Sendable, Equatable {
    package enum Status: String, Sendable, Hashable, CaseIterable {
        case healthy, degraded, unhealthy
    }

    package let status: Status
    package let heardAt: UnixTime

    /// Seconds without a heartbeat after which nobody knows how an agent is doing.
    package static let silence: Int64 = 90

    package init(status: Status, heardAt: UnixTime) {
        self.status = status
        self.heardAt = heardAt
    }
}
