/// How many CSRs go into one call: halved when a call fails, doubled again when one succeeds.
struct BatchSize: Sendable {
    private(set) var current: Int
    private let maximum: Int

    init(maximum: Int = ServerCalls.maximumBatch) {
        self.maximum = maximum
        current = maximum
    }

    mutating func failed() { current = max(1, current / 2) }
    mutating func succeeded() { current = min(maximum, current * 2) }
}
