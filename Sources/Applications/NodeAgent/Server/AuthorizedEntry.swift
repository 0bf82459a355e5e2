import Attestation
import ControlPlaneAPI
import SPIFFE

/// A registration entry as far as a node agent needs it.
struct AuthorizedEntry: Sendable, Hashable {
    let id: String
    var spiffeID: SPIFFEID
    var selectors: Set<Selector>
    var federatesWith: [TrustDomain] = []
    var hint = ""
    /// Given out through SVID stores and never through the Workload API.
    var storesSVID = false
    /// Signed when a workload asks, not ahead.
    var isOnDemand = false
    /// Each JWT-SVID has an ID of its own, so that none may be given out twice.
    var hasUniqueJWTs = false
    /// Grows with every change, also of fields that the agent does not see (DNS names, lifetimes).
    var revision: Int64 = 0
    /// Seconds since 1970.
    var createdAt: Int64 = 0
    /// When it ends, if it does.
    var expiresAt: UnixTime?

    /// The order of identities in a response: the default one is the oldest.
    static func precedes(_ left: AuthorizedEntry, _ right: AuthorizedEntry) -> Bool {
        (left.createdAt, left.id) < (right.createdAt, right.id)
    }

    /// Whether it has ended. The server says so too, but only when it gets to it, and not while it is away.
    func isExpired(at time: UnixTime) -> Bool {
        expiresAt.map { $0 <= time } ?? false
    }

    /// Whether a process with these selectors may have the identity.
    func applies(to attested: Set<Selector>) -> Bool {
        !selectors.isEmpty && selectors.isSubset(of: attested)
    }
}

extension AuthorizedEntry {
    /// The fields that SPIRE's agents ask for.
    static var mask: Spire_Api_Types_EntryMask {
        .with {
            $0.spiffeID = true
            $0.selectors = true
            $0.federatesWith = true
            $0.admin = true
            $0.downstream = true
            $0.revisionNumber = true
            $0.storeSvid = true
            $0.hint = true
            $0.createdAt = true
            $0.expiresAt = true
            $0.additionalAttributes = true
        }
    }

    /// `nil` for an entry that cannot be served: one without an ID or selectors, or with malformed ones.
    init?(_ message: Spire_Api_Types_Entry) {
        guard !message.id.isEmpty, message.id.utf8.count <= 255, message.hint.utf8.count <= 1024,
            let spiffeID = try? SPIFFEID(message.spiffeID)
        else { return nil }
        var selectors: Set<Selector> = []
        for selector in message.selectors {
            guard let selector = try? Selector(type: selector.type, value: selector.value) else { return nil }
            selectors.insert(selector)
        }
        guard !selectors.isEmpty else { return nil }
        id = message.id
        self.spiffeID = spiffeID
        self.selectors = selectors
        federatesWith = message.federatesWith.compactMap { try? TrustDomain(idOrName: $0) }
        hint = message.hint
        storesSVID = message.storeSvid
        isOnDemand = message.additionalAttributes.disableX509SvidPrefetch
        hasUniqueJWTs = message.additionalAttributes.jwtSvidIncludeJti
        revision = message.revisionNumber
        createdAt = message.createdAt
        expiresAt = message.expiresAt == 0 ? nil : UnixTime(seconds: message.expiresAt)
    }
}
