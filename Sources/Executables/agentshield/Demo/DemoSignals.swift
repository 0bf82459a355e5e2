import UnixSignals

/// SIGINT, SIGTERM and SIGHUP end the demonstration early, so that its processes do not outlive it.
enum DemoSignals {
    /// How the demonstration ended.
    enum End {
        case done
        /// The signal with this number came first.
        case signal(Int32)
    }

    /// Runs `body` until its end, or cancels it at the first signal and waits for it. Further signals change nothing: the
    /// end of the processes takes a few seconds at most.
    static func run(_ body: @escaping @Sendable () async throws -> Void) async throws -> End {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup)
        return try await withThrowingTaskGroup(of: End.self) { group in
            group.addTask {
                for await signal in signals { return .signal(signal.rawValue) }
                return .done
            }
            group.addTask {
                try await body()
                return .done
            }
            // The group waits for the body, so that what it starts last is known before the processes are ended.
            defer { group.cancelAll() }
            return try await group.next() ?? .done
        }
    }
}
