package import Attestation
package import SPIFFE

/// A set to compare with an item's, and how.
package struct SetFilter<Element: Hashable & Sendable>: Hashable, Sendable {
    package let members: Set<Element>
    package let match: SelectorMatch

    package init(_ members: Set<Element>, match: SelectorMatch) {
        self.members = members
        self.match = match
    }

    func matches(_ elements: [Element]) -> Bool {
        match.matches(entry: Set(elements), query: members)
    }
}

/// Which registration entries a list or count call wants; all conditions must hold, an absent one always does.
package struct EntryFilter: Hashable, Sendable {
    package var spiffeID: SPIFFEID?
    package var parentID: SPIFFEID?
    package var selectors: SetFilter<Selector>?
    package var federatesWith: SetFilter<TrustDomain>?
    package var hint: String?
    package var isDownstream: Bool?

    package init(
        spiffeID: SPIFFEID? = nil, parentID: SPIFFEID? = nil, selectors: SetFilter<Selector>? = nil,
        federatesWith: SetFilter<TrustDomain>? = nil, hint: String? = nil, isDownstream: Bool? = nil
    ) {
        self.spiffeID = spiffeID
        self.parentID = parentID
        self.selectors = selectors
        self.federatesWith = federatesWith
        self.hint = hint
        self.isDownstream = isDownstream
    }

    func matches(_ entry: RegistrationEntry) -> Bool {
        if let spiffeID, entry.spiffeID != spiffeID { return false }
        if let parentID, entry.parentID != parentID { return false }
        if let hint, entry.hint != hint { return false }
        if let isDownstream, entry.isDownstream != isDownstream { return false }
        if let selectors, !selectors.matches(entry.selectors) { return false }
        if let federatesWith, !federatesWith.matches(entry.federatesWith) { return false }
        return true
    }
}

/// Which node agents a list, count or purge call wants; all conditions must hold, an absent one always does.
package struct NodeFilter: Hashable, Sendable {
    package var attestationType: String?
    package var isBanned: Bool?
    package var selectors: SetFilter<Selector>?
    package var canReattest: Bool?
    /// The certificate in use ends before this time.
    package var expiresBefore: UnixTime?

    package init(
        attestationType: String? = nil, isBanned: Bool? = nil, selectors: SetFilter<Selector>? = nil,
        canReattest: Bool? = nil, expiresBefore: UnixTime? = nil
    ) {
        self.attestationType = attestationType
        self.isBanned = isBanned
        self.selectors = selectors
        self.canReattest = canReattest
        self.expiresBefore = expiresBefore
    }

    func matches(_ node: NodeRecord) -> Bool {
        if let attestationType, node.attestationType != attestationType { return false }
        if let isBanned, node.isBanned != isBanned { return false }
        if let canReattest, node.canReattest != canReattest { return false }
        if let expiresBefore, node.currentExpiresAt >= expiresBefore { return false }
        if let selectors, !selectors.matches(node.selectors) { return false }
        return true
    }
}
