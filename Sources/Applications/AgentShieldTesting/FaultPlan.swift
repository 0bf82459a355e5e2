import Synchronization

/// How a store's call goes wrong.
package enum Fault: Sendable, Hashable, CaseIterable {
    /// Nothing was written.
    case before
    /// Everything was written, but the caller is told otherwise.
    case afterPersisting
}

/// Which calls of a store go wrong; shared by the test and the store's wrapper.
package final class FaultPlan: Sendable {
    private struct State {
        var writes = 0
        var reads = 0
        var armedWrites: [Int: Fault] = [:]
        var armedReads: Set<Int> = []
    }

    private let state = Mutex(State())

    package init() {}

    /// A plan whose `number`th write, counted from 1, goes wrong.
    package static func failing(_ fault: Fault, atCall number: Int = 1) -> FaultPlan {
        let plan = FaultPlan()
        plan.arm(fault, atCall: number)
        return plan
    }

    /// Lets the `number`th write from now on go wrong.
    package func arm(_ fault: Fault, atCall number: Int = 1) {
        state.withLock { $0.armedWrites[$0.writes + number] = fault }
    }

    /// Lets the `number`th read from now on fail.
    package func armRead(atCall number: Int = 1) {
        state.withLock { _ = $0.armedReads.insert($0.reads + number) }
    }

    /// Writes so far, those that went wrong included.
    package var writeCount: Int { state.withLock { $0.writes } }

    /// Runs a write, or lets it go wrong.
    package func write<Value: Sendable, Failure: Error>(
        failingWith failure: Failure, _ body: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let fault = state.withLock { state in
            state.writes += 1
            return state.armedWrites.removeValue(forKey: state.writes)
        }
        switch fault {
        case nil: return try await body()
        case .before: throw failure
        case .afterPersisting:
            _ = try await body()
            throw failure
        }
    }

    /// Runs a read, or lets it fail.
    package func read<Value: Sendable, Failure: Error>(
        failingWith failure: Failure, _ body: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let fails = state.withLock { state in
            state.reads += 1
            return state.armedReads.remove(state.reads) != nil
        }
        if fails { throw failure }
        return try await body()
    }
}
