import Attestation
import SPIFFE
import Synchronization

/// How often processes of one kind may call: a bucket per set of selectors that refills every second, so that one noisy
/// workload does not take the agent from all others.
///
/// The selectors are what the kernel says of a process. Starting more processes of the same kind, or connecting again,
/// gains nothing.
final class CallerLimit: Sendable {
    /// Callers that are counted apart; what does not fit shares one bucket.
    static let places = 4096

    private struct Bucket {
        var calls: Double
        var filledAt: UnixTime
    }

    /// Calls per second, and at once; `nil` for no limit.
    private let rate: Double?
    private let buckets = Mutex<[Set<Selector>: Bucket]>([:])

    init(callsPerSecond: Int?) {
        rate = callsPerSecond.map { Double(max($0, 1)) }
    }

    /// Whether a process with these selectors may call now; counts the call if so.
    func admit(_ selectors: Set<Selector>, at time: UnixTime) -> Bool {
        guard let rate else { return true }
        return buckets.withLock { buckets in
            if buckets[selectors] == nil, buckets.count >= Self.places {
                // Full buckets belong to callers that have been quiet: they lose nothing.
                buckets = buckets.filter { Self.level($0.value, rate, time) < rate }
            }
            let key = buckets[selectors] != nil || buckets.count < Self.places ? selectors : []
            let bucket = buckets[key] ?? Bucket(calls: rate, filledAt: time)
            let level = Self.level(bucket, rate, time)
            guard level >= 1 else {
                buckets[key] = Bucket(calls: level, filledAt: time)
                return false
            }
            buckets[key] = Bucket(calls: level - 1, filledAt: time)
            return true
        }
    }

    private static func level(_ bucket: Bucket, _ rate: Double, _ time: UnixTime) -> Double {
        let passed = time.milliseconds(since: bucket.filledAt)
        // A clock that was set back must not keep a bucket empty.
        guard passed >= 0 else { return rate }
        return min(bucket.calls + rate * Double(passed) / 1000, rate)
    }
}
