import SPIFFE

/// Ends entries when their own time is over, by the node's clock, whether or not the server can be asked.
struct ExpiryLoop: Sendable {
    let cache: AgentCache
    let now: @Sendable () -> UnixTime
    let sleep: @Sendable (Duration) async throws -> Void

    /// The longest wait between looks, for clocks that are set.
    static let longestWait = Duration.seconds(60)

    /// Runs until the task is cancelled.
    func run() async throws {
        while true {
            let time = now()
            let next = cache.endExpired(at: time)
            let wait = next.map { Duration.milliseconds(max(1, $0.milliseconds(since: time))) } ?? Self.longestWait
            _ = try await cache.expiries.wait(upTo: min(wait, Self.longestWait), sleep: sleep)
        }
    }
}
