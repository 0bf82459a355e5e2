/// How long to wait between attempts while the server is away: half as long again each time, up to a cap, with jitter so
/// that the nodes of a restarted server do not all come at once.
struct BackOff: Sendable {
    /// The first wait.
    let initial: Duration
    /// The longest wait, before jitter.
    var cap: Duration

    private var next: Duration

    /// Growth from one wait to the next.
    static let factor = 1.5
    /// Part of the wait by which it may be shorter or longer.
    static let jitter = 0.1

    /// The longest wait between questions asked every `interval`: SPIRE's under a server that does not push, which has
    /// other agents of its kind to think of; shorter under one that does, for news would have been there at once.
    static func cap(interval: Duration, isPushed: Bool) -> Duration {
        isPushed ? max(.seconds(1), interval * 6) : max(.seconds(1), min(interval * 48, .seconds(480)))
    }

    /// Bounds of the pause before coming back to a server that has just spoken.
    static let soonest = Duration.milliseconds(50)
    static let latest = Duration.milliseconds(250)

    init(initial: Duration, cap: Duration) {
        self.initial = initial
        self.cap = cap
        next = initial
    }

    /// The wait after a failure. `random` is in 0..<1.
    mutating func failed(random: Double) -> Duration {
        let wait = min(next, cap)
        next = min(wait * Self.factor, cap)
        return wait * (1 - Self.jitter + 2 * Self.jitter * random)
    }

    /// The pause after a connection that worked: a server that ends sends all its nodes away at the same moment, so they
    /// are spread out from the first try on. `random` is in 0..<1.
    static func soon(random: Double) -> Duration {
        soonest + (latest - soonest) * random
    }

    /// The next failure starts from the beginning.
    mutating func succeeded() {
        next = initial
    }
}
