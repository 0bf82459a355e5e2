import GRPCCore
package import SPIFFE
import Synchronization

/// A bucket per host that refills every second: who comes too fast waits for its turn, who would wait too long is refused.
///
/// The same as SPIRE's server does: a call above the rate is held back, one that can never pass fails with
/// ResourceExhausted.
package final class RateLimiter: Sendable {
    /// Hosts that are counted apart; what does not fit shares one bucket.
    static let places = 4096
    /// The longest that a call is held back. It bounds what waits: this many seconds' worth of calls for a host.
    static let longestWait: Int64 = 10_000

    /// Runs the wait for a turn, and may cut it short by an error.
    package typealias Hold = (_ wait: @escaping @Sendable () async throws -> Void) async throws -> Void

    private struct Bucket {
        // Below zero where calls wait for what is not there yet.
        var calls: Double
        var filledAt: UnixTime
    }

    private let rate: Int?
    private let now: @Sendable () -> UnixTime
    private let sleep: @Sendable (Duration) async throws -> Void
    private let buckets = Mutex<[String: Bucket]>([:])

    /// - Parameter perSecond: calls per second, and at once; nil for no limit.
    package init(
        perSecond: Int?, now: @escaping @Sendable () -> UnixTime,
        sleep: @escaping @Sendable (Duration) async throws -> Void
    ) {
        rate = perSecond.map { max($0, 1) }
        self.now = now
        self.sleep = sleep
    }

    /// Returns when `source` may make `count` calls. Throws `resourceExhausted` when that is never, or not soon.
    package func spend(
        _ count: Int, from source: String, holding hold: Hold = { wait in try await wait() }
    ) async throws {
        guard let rate else { return }
        guard count <= rate else {
            throw RPCError(code: .resourceExhausted, message: "rate (\(count)) exceeds burst size (\(rate))")
        }
        guard let wait = reserve(count, source, rate, now()) else {
            throw RPCError(code: .resourceExhausted, message: "rate: Wait(n=\(count)) would exceed context deadline")
        }
        guard wait > 0 else { return }
        try await hold { [sleep] in try await sleep(.milliseconds(wait)) }
    }

    /// Takes `count` calls for `source` at once, or says after how many seconds to come again (RFC 6585 §4): for callers that
    /// are not held back.
    package func refusal(of count: Int, from source: String) -> Int64? {
        guard let rate else { return nil }
        guard let wait = reserve(count, source, rate, now(), longestWait: 0) else { return 1 }
        return wait > 0 ? (wait + 999) / 1000 : nil
    }

    /// Milliseconds until the calls may be made; nil when that is too long, and then nothing is taken.
    private func reserve(
        _ count: Int, _ source: String, _ rate: Int, _ time: UnixTime, longestWait: Int64 = longestWait
    ) -> Int64? {
        let rate = Double(rate)
        return buckets.withLock { buckets in
            if buckets[source] == nil, buckets.count >= Self.places {
                // Full buckets belong to hosts that have been quiet: they lose nothing.
                buckets = buckets.filter { Self.level($0.value, rate, time) < rate }
            }
            let key = buckets[source] != nil || buckets.count < Self.places ? source : ""
            let level = buckets[key].map { Self.level($0, rate, time) } ?? rate
            let rest = level - Double(count)
            let wait = rest >= 0 ? 0 : Int64((-rest / rate * 1000).rounded(.up))
            // Also for who is refused: else a clock that was set back would keep the bucket from filling until it is
            // where it was.
            buckets[key] = Bucket(calls: level, filledAt: time)
            guard wait <= longestWait else { return nil }
            buckets[key] = Bucket(calls: rest, filledAt: time)
            return wait
        }
    }

    private static func level(_ bucket: Bucket, _ rate: Double, _ time: UnixTime) -> Double {
        // A clock that was set back gives nothing and takes nothing.
        let passed = max(0, time.milliseconds(since: bucket.filledAt))
        return min(bucket.calls + rate * Double(passed) / 1000, rate)
    }
}
