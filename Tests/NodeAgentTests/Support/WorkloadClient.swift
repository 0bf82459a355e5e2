import WorkloadAPI

extension WorkloadAPIClient {
    /// The first context that there is; an entry may still be on its way.
    func firstContext() async throws -> WorkloadX509Context {
        try await untilContext { _ in true }
    }

    /// The first context that satisfies the condition, over as many streams as it takes.
    func untilContext(_ isWanted: (WorkloadX509Context) -> Bool) async throws -> WorkloadX509Context {
        while true {
            do {
                for try await context in streamX509Contexts() where isWanted(context) { return context }
            } catch let error as WorkloadAPIError where error.isWorthRetrying {
                try await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    /// A stream that is known to have an identity.
    func heldContexts() async throws -> AsyncThrowingStream<WorkloadX509Context, any Error>.Iterator {
        _ = try await firstContext()
        return streamX509Contexts().makeAsyncIterator()
    }
}

extension AsyncThrowingStream<WorkloadX509Context, any Error>.Iterator {
    /// Reads on to the first context that satisfies the condition.
    mutating func until(_ isWanted: (WorkloadX509Context) -> Bool) async throws -> WorkloadX509Context {
        while let context = try await next() {
            if isWanted(context) { return context }
        }
        throw CancellationError()
    }
}
