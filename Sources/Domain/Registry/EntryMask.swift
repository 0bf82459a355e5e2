/// Which fields an update writes. Every bit stands for exactly one field of the entry.
package struct EntryMask: OptionSet, Hashable, Sendable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    package static let spiffeID = EntryMask(rawValue: 1 << 0)
    package static let parentID = EntryMask(rawValue: 1 << 1)
    package static let selectors = EntryMask(rawValue: 1 << 2)
    package static let x509SVIDTTL = EntryMask(rawValue: 1 << 3)
    package static let jwtSVIDTTL = EntryMask(rawValue: 1 << 4)
    package static let federatesWith = EntryMask(rawValue: 1 << 5)
    package static let isAdmin = EntryMask(rawValue: 1 << 6)
    package static let isDownstream = EntryMask(rawValue: 1 << 7)
    package static let expiresAt = EntryMask(rawValue: 1 << 8)
    package static let dnsNames = EntryMask(rawValue: 1 << 9)
    package static let hint = EntryMask(rawValue: 1 << 10)
    package static let storeSVID = EntryMask(rawValue: 1 << 11)
    package static let attributes = EntryMask(rawValue: 1 << 12)

    /// Every field: what an update without a mask means.
    package static let all = EntryMask(rawValue: (1 << 13) - 1)
}
