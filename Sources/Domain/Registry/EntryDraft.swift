package import Attestation
package import SPIFFE

/// What somebody wants a registration entry to be; ``RegistrationEntry`` is what passed the rules.
package struct EntryDraft: Hashable, Sendable {
    /// Nil lets the registry choose.
    package var id: String?
    /// Nil only in updates that do not write it.
    package var spiffeID: SPIFFEID?
    /// Nil means any node: the built-in alias ``BuiltInAlias/anyNode(in:)`` becomes the parent.
    package var parentID: SPIFFEID?
    package var selectors: [Selector]
    package var x509SVIDTTL: Int32
    package var jwtSVIDTTL: Int32
    package var federatesWith: [TrustDomain]
    package var isAdmin: Bool
    package var isDownstream: Bool
    package var expiresAt: UnixTime?
    package var dnsNames: [String]
    package var hint: String
    package var storeSVID: Bool
    package var attributes: EntryAttributes
    /// Whether the entry may name a launch and leave open whose; not a part of the entry, only of the wish.
    package var allowsAnyLauncher = false

    package init(
        id: String? = nil, spiffeID: SPIFFEID?, parentID: SPIFFEID? = nil, selectors: [Selector] = [],
        x509SVIDTTL: Int32 = 0, jwtSVIDTTL: Int32 = 0, federatesWith: [TrustDomain] = [], isAdmin: Bool = false,
        isDownstream: Bool = false, expiresAt: UnixTime? = nil, dnsNames: [String] = [], hint: String = "",
        storeSVID: Bool = false, attributes: EntryAttributes = EntryAttributes()
    ) {
        self.id = id
        self.spiffeID = spiffeID
        self.parentID = parentID
        self.selectors = selectors
        self.x509SVIDTTL = x509SVIDTTL
        self.jwtSVIDTTL = jwtSVIDTTL
        self.federatesWith = federatesWith
        self.isAdmin = isAdmin
        self.isDownstream = isDownstream
        self.expiresAt = expiresAt
        self.dnsNames = dnsNames
        self.hint = hint
        self.storeSVID = storeSVID
        self.attributes = attributes
    }
}

/// Parent IDs with a meaning of their own.
package enum BuiltInAlias {
    /// The parent of entries that every node may serve.
    package static func anyNode(in trustDomain: TrustDomain) -> SPIFFEID {
        known(trustDomain, "/agentshield/any-node")
    }

    /// The parent of node aliases: such an entry names all nodes that have its selectors.
    package static func server(in trustDomain: TrustDomain) -> SPIFFEID {
        known(trustDomain, "/spire/server")
    }

    private static func known(_ trustDomain: TrustDomain, _ path: String) -> SPIFFEID {
        // A trust domain has at most 255 bytes, so these paths always fit; the fallback has no children.
        (try? SPIFFEID(trustDomain: trustDomain, path: path)) ?? trustDomain.id
    }
}

/// The rules that turn drafts into entries.
struct EntryRules: Sendable {
    let trustDomain: TrustDomain
    let requireParent: Bool
    let anyNode: SPIFFEID

    init(trustDomain: TrustDomain, requireParent: Bool) {
        self.trustDomain = trustDomain
        self.requireParent = requireParent
        anyNode = BuiltInAlias.anyNode(in: trustDomain)
    }

    /// A new entry from a draft.
    func entry(from draft: EntryDraft, id: String, createdAt: UnixTime) throws(EntryError) -> RegistrationEntry {
        guard let spiffeID = draft.spiffeID else { throw .missingSPIFFEID }
        let entry = RegistrationEntry(
            id: id, spiffeID: spiffeID, parentID: try parent(of: draft), selectors: normalized(draft.selectors),
            x509SVIDTTL: draft.x509SVIDTTL, jwtSVIDTTL: draft.jwtSVIDTTL,
            federatesWith: normalized(draft.federatesWith), isAdmin: draft.isAdmin, isDownstream: draft.isDownstream,
            expiresAt: draft.expiresAt, dnsNames: draft.dnsNames, hint: draft.hint, storeSVID: draft.storeSVID,
            createdAt: createdAt, attributes: draft.attributes)
        try check(entry)
        try checkLauncher(entry, draft)
        return entry
    }

    /// The old entry with the masked fields of the draft and the next revision.
    func entry(
        updating old: RegistrationEntry, with draft: EntryDraft, mask: EntryMask
    ) throws(EntryError) -> RegistrationEntry {
        var entry = old
        if mask.contains(.spiffeID) {
            guard let spiffeID = draft.spiffeID else { throw .missingSPIFFEID }
            entry.spiffeID = spiffeID
        }
        if mask.contains(.parentID) { entry.parentID = try parent(of: draft) }
        if mask.contains(.selectors) { entry.selectors = normalized(draft.selectors) }
        if mask.contains(.x509SVIDTTL) { entry.x509SVIDTTL = draft.x509SVIDTTL }
        if mask.contains(.jwtSVIDTTL) { entry.jwtSVIDTTL = draft.jwtSVIDTTL }
        if mask.contains(.federatesWith) { entry.federatesWith = normalized(draft.federatesWith) }
        if mask.contains(.isAdmin) { entry.isAdmin = draft.isAdmin }
        if mask.contains(.isDownstream) { entry.isDownstream = draft.isDownstream }
        if mask.contains(.expiresAt) { entry.expiresAt = draft.expiresAt }
        if mask.contains(.dnsNames) { entry.dnsNames = draft.dnsNames }
        if mask.contains(.hint) { entry.hint = draft.hint }
        if mask.contains(.storeSVID) { entry.storeSVID = draft.storeSVID }
        if mask.contains(.attributes) { entry.attributes = draft.attributes }
        entry.revision = old.revision.addingReportingOverflow(1).partialValue
        try check(entry)
        // An update that leaves the selectors alone leaves alone what was allowed for them.
        if mask.contains(.selectors) { try checkLauncher(entry, draft) }
        return entry
    }

    /// Any user can call a launch by any name: only together with the user a name says who it is.
    private func checkLauncher(_ entry: RegistrationEntry, _ draft: EntryDraft) throws(EntryError) {
        guard draft.allowsAnyLauncher || !LaunchSelectors.nameAnyLauncher(entry.selectors) else {
            throw .launchOfAnyUser
        }
    }

    private func parent(of draft: EntryDraft) throws(EntryError) -> SPIFFEID {
        if let parentID = draft.parentID { return parentID }
        guard !requireParent else { throw .missingParentID }
        return anyNode
    }

    private func check(_ entry: RegistrationEntry) throws(EntryError) {
        guard Self.isEntryID(entry.id) else { throw .badID }
        guard entry.spiffeID.isMember(of: trustDomain) else { throw .foreignSPIFFEID }
        guard !entry.spiffeID.path.isEmpty else { throw .pathlessSPIFFEID }
        guard !entry.spiffeID.isReserved, entry.spiffeID != anyNode else { throw .reservedSPIFFEID }
        guard entry.parentID.isMember(of: trustDomain) else { throw .foreignParentID }
        guard !entry.parentID.path.isEmpty else { throw .pathlessParentID }
        guard !entry.selectors.isEmpty else { throw .noSelectors }
        guard entry.selectors.count <= EntryLimits.selectors else { throw .tooManySelectors }
        guard entry.x509SVIDTTL >= 0 else { throw .negativeX509SVIDTTL }
        guard entry.jwtSVIDTTL >= 0 else { throw .negativeJWTSVIDTTL }
        if let expiresAt = entry.expiresAt, expiresAt.milliseconds < 0 { throw .negativeExpiry }
        guard entry.hint.utf8.count <= EntryLimits.hintLength else { throw .hintTooLong }
        guard !entry.federatesWith.contains(trustDomain) else { throw .federatesWithItself }
        guard entry.federatesWith.count <= EntryLimits.federatesWith else { throw .tooManyFederatedTrustDomains }
        try DNSNameRules.check(entry.dnsNames)
    }

    static func isEntryID(_ id: String) -> Bool {
        (1...EntryLimits.idLength).contains(id.utf8.count)
            && id.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    private func normalized<Element: Comparable & Hashable>(_ elements: [Element]) -> [Element] {
        Set(elements).sorted()
    }
}
