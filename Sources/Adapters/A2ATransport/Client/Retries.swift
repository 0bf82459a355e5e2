import A2A

/// When a request is sent again.
public struct A2ARetries: Sendable, Equatable {
    /// How often one request is sent at most; 1 for never again.
    public var attempts: Int
    /// The pause before the second attempt; each further one is twice as long.
    public var firstPause: Duration
    /// The longest pause.
    public var longestPause: Duration
    /// Whether a message whose answer never came is sent again under its identifier. Only for agents that know a repetition by
    /// it, as those of this SDK do: others would take it for another message.
    public var repeatsUnansweredMessages: Bool

    /// Three attempts, with pauses from a fifth of a second to five seconds.
    public init(
        attempts: Int = 3, firstPause: Duration = .milliseconds(200), longestPause: Duration = .seconds(5),
        repeatsUnansweredMessages: Bool = false
    ) {
        self.attempts = attempts
        self.firstPause = firstPause
        self.longestPause = longestPause
        self.repeatsUnansweredMessages = repeatsUnansweredMessages
    }

    /// Whether a request that failed so may be sent again, whatever the number of attempts.
    func allows(_ request: OperationRequest, after error: A2AClientError) -> Bool {
        if error.hadNoEffect { return true }
        switch request {
        case .sendMessage where repeatsUnansweredMessages, .sendStreamingMessage where repeatsUnansweredMessages:
            return error.mayHaveHadNoEffect
        default:
            return request.isIdempotent && error.mayHaveHadNoEffect
        }
    }

    /// The pause after the n-th failure in a row, from 0; up to a half is left out by `chance` in 0 to 1, so that many clients
    /// do not come at once.
    func pause(afterFailure n: Int, chance: Double) -> Duration {
        var pause = firstPause
        for _ in 0..<min(max(n, 0), 32) where pause < longestPause { pause *= 2 }
        return min(pause, longestPause) * (1 - chance / 2)
    }
}
