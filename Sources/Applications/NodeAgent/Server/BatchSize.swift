/// How many CSRs go into one call: halved when a call fails, doubled again when one succeeds.
struct BatchSize: Sendable {
    private(set) var current: Int
    private let maximum: Int

    init(maximum: Int = ServerCalls.maximumBatch) {
        self.maximum = maximum
        current = maximum
    }

    /// `count`: CSRs of the call that failed, which may have been fewer than allowed.
    mutating func failed(of count: Int? = nil) { current = max(1, min(current, count ?? current) / 2) }
    mutating func succeeded() { current = min(maximum, current * 2) }
}
