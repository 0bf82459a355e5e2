/// Why an administrator's act on an authority is refused; nothing has changed.
package enum AuthorityRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// No authority was named.
    case noID
    /// No authority of this kind has this ID.
    case unknown
    /// Only a prepared authority can be activated.
    case notPrepared
    /// The active authority signs: another one has to take over before it can be tainted or revoked.
    case isActive
    /// A prepared authority has signed nothing: there is nothing to taint or to revoke.
    case isPrepared
    /// The authority is tainted already.
    case isTainted
    /// Only a tainted authority can be revoked: what it signed has to be replaced first.
    case notTainted
    /// With an upstream authority the roots belong to that one: it is tainted and revoked instead.
    case hasUpstream

    /// Whether the call itself is at fault, rather than the order of the acts.
    package var isBadID: Bool { self == .noID || self == .unknown }

    /// The reason in words.
    package var description: String {
        switch self {
        case .noID: "no authority ID provided"
        case .unknown: "no authority has this ID"
        case .notPrepared: "only prepared authorities can be activated"
        case .isActive: "the authority is active: prepare and activate another one first"
        case .isPrepared: "a prepared authority can be neither tainted nor revoked"
        case .isTainted: "the authority is already tainted"
        case .notTainted: "only tainted authorities can be revoked: taint it first"
        case .hasUpstream: "the authorities are signed by an upstream authority"
        }
    }
}
