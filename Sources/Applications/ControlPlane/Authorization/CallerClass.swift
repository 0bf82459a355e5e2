/// The classes of caller that the authorization table speaks of. One caller may be in several at once.
package struct CallerClasses: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// Anybody, with a certificate or without.
    package static let anyone = CallerClasses(rawValue: 1 << 0)
    /// A process on the administration socket, which only the daemon's own user can open.
    package static let localSocket = CallerClasses(rawValue: 1 << 1)
    /// A workload whose verified ID has a registration entry with the admin flag.
    package static let admin = CallerClasses(rawValue: 1 << 2)
    /// A node agent that is attested, not banned, not expired, and shows its current (or its next) certificate.
    package static let liveAgent = CallerClasses(rawValue: 1 << 3)
    /// A workload whose verified ID has a registration entry with the downstream flag.
    package static let downstream = CallerClasses(rawValue: 1 << 4)
}
