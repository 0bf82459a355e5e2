/// How long keys of issuers are kept and how often issuers are asked, in seconds.
package struct IssuerKeyTimes: Sendable, Equatable {
    /// How long keys are fresh where their server says nothing.
    package var defaultLifetime: Int64 = 3600
    /// How long they are fresh at least, whatever the server says.
    package var shortestLifetime: Int64 = 300
    /// How long they are fresh at most.
    package var longestLifetime: Int64 = 86_400
    /// How long keys serve at most when no newer ones can be had.
    package var maximumAge: Int64 = 86_400
    /// The shortest time between two fetches for one issuer, whatever callers send.
    package var floor: Int64 = 30

    package init() {}

    /// How long keys with this `Cache-Control` are fresh.
    func lifetime(cacheControl: String?) -> Int64 {
        let said = cacheControl.flatMap { CacheLifetime.seconds(cacheControl: $0) } ?? defaultLifetime
        return min(max(said, shortestLifetime), longestLifetime)
    }
}
