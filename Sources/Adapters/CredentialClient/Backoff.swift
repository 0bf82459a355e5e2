/// How long to wait before the next try: longer each time, up to a limit, never in step with others.
package struct Backoff: Sendable {
    /// The first wait.
    package var initial: Duration = .milliseconds(100)
    /// The longest wait.
    package var maximum: Duration = .seconds(5)
    /// How much longer each wait is than the one before.
    package var factor = 1.6
    /// The part of a wait that is drawn by lot, so that the workloads of a machine do not all come back at once.
    package var jitter = 0.2

    private var next: Duration?

    package init() {}

    /// The wait before the next try.
    /// - Parameter fraction: a random number from 0 to 1.
    package mutating func wait(_ fraction: Double) -> Duration {
        let base = next ?? initial
        next = min(base * factor, maximum)
        return base * (1 - jitter * min(max(fraction, 0), 1))
    }

    /// Begins again with the first wait, after something went well.
    package mutating func reset() {
        next = nil
    }
}
