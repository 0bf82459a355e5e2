/// When a bundle is fetched again.
package enum FederationSchedule {
    /// Without a hint (SPIFFE Federation §4.2 recommends five minutes).
    package static let standard = Duration.seconds(300)
    /// A hint cannot make us ask more often, nor less often.
    package static let bounds = Duration.seconds(5)...Duration.seconds(3600)
    /// The longest pause after failures: with a bundle that still serves, and with none at all.
    package static let longestPause = (withBundle: Duration.seconds(300), without: Duration.seconds(60))

    /// After a success: the hint within its bounds, up to a tenth earlier so that many consumers do not ask at once.
    /// - Parameters:
    ///   - hint: seconds, as the bundle says.
    ///   - spread: at random between 0 and 1.
    package static func delay(hint: Int64?, spread: Double) -> Duration {
        let wanted = hint.map { $0 > 0 ? Duration.seconds($0) : standard } ?? standard
        let bounded = min(max(wanted, bounds.lowerBound), bounds.upperBound)
        return bounded * (1 - 0.1 * spread)
    }

    /// After the given number of failures in a row, the first being 1: doubling from the lower bound.
    package static func delay(failures: Int, hasBundle: Bool, spread: Double) -> Duration {
        let doublings = min(max(failures - 1, 0), 10)
        let longest = hasBundle ? longestPause.withBundle : longestPause.without
        return min(bounds.lowerBound * (1 << doublings), longest) * (1 - 0.1 * spread)
    }
}
