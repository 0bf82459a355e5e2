import Logging
import UnixSignals

/// SIGTERM and SIGINT ask for a drain; a second one ends the process at once.
enum SignalWatch {
    /// Runs `body`, calling `stop` at the first signal.
    static func run(
        logger: Logger, stop: @escaping @Sendable () -> Void, _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                var draining = false
                for await signal in await UnixSignalsSequence(trapping: .sigterm, .sigint) {
                    if draining { ThisProcess.endAtOnce() }
                    draining = true
                    logger.info("draining", metadata: ["signal": "\(signal)"])
                    stop()
                }
                return false
            }
            group.addTask {
                try await body()
                return true
            }
            while let isBody = try await group.next() {
                if isBody { break }
            }
            group.cancelAll()
        }
    }
}
