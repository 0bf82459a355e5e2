/// Bounds how long an attempt may take.
enum Deadline {
    static func run<Result: Sendable>(
        _ timeout: Duration, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                try await Task.sleep(for: timeout)
                return nil
            }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                guard let result else { throw A2AClientError.timedOut }
                return result
            }
            throw A2AClientError.timedOut
        }
    }
}

/// Waiting and chance, which tests hand in.
struct RetryClock: Sendable {
    let sleep: @Sendable (Duration) async throws -> Void
    let chance: @Sendable () -> Double

    static let system = RetryClock(
        sleep: { try await Task.sleep(for: $0) }, chance: { Double.random(in: 0...1) })

    func pause(_ retries: A2ARetries, afterFailure n: Int) async throws {
        try await sleep(retries.pause(afterFailure: n, chance: chance()))
    }
}
