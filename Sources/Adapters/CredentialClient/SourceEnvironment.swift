package import SPIFFE

/// What a credential source needs from outside, so that its rules can be tested without waiting.
package struct SourceEnvironment: Sendable {
    /// The clock.
    package var now: @Sendable () -> UnixTime
    /// Waits; throws when its task is cancelled.
    package var sleep: @Sendable (Duration) async throws -> Void
    /// A random number from 0 to 1.
    package var randomFraction: @Sendable () -> Double

    package init(
        now: @escaping @Sendable () -> UnixTime,
        sleep: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) },
        randomFraction: @escaping @Sendable () -> Double = { Double.random(in: 0...1) }
    ) {
        self.now = now
        self.sleep = sleep
        self.randomFraction = randomFraction
    }
}
