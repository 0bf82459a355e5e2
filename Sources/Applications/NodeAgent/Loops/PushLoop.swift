import ControlPlaneAPI
import GRPCCore
import Synchronization

/// Whether the server tells of changes by itself at the moment.
final class PushState: Sendable {
    private let alive = Atomic<Bool>(false)
    private let offered = Atomic<Bool>(true)

    var isAlive: Bool { alive.load(ordering: .relaxed) }
    /// Whether the server is one that can; true until it has said no.
    var isOffered: Bool { offered.load(ordering: .relaxed) }

    func set(_ isAlive: Bool) {
        alive.store(isAlive, ordering: .relaxed)
        if isAlive { offered.store(true, ordering: .relaxed) }
    }

    func notOffered() { offered.store(false, ordering: .relaxed) }
}

/// Holds the push stream open. It carries revision numbers only; any news makes the agent fetch entries and bundles.
struct PushLoop: Sendable {
    let parts: AgentParts

    /// How often a living server sends something.
    static let heartbeat = Duration.seconds(15)
    /// Heartbeats that may fail to come.
    static let missable = 2
    /// How long a server without this service is left alone.
    static let patience = Duration.seconds(300)

    /// Listens until the task is cancelled.
    func run() async throws {
        var backOff = parts.backOff
        while true {
            let heard = Heard()
            let isOffered = await listen(heard)
            let wasAlive = parts.push.isAlive
            parts.push.set(false)
            try Task.checkCancellation()
            // What happened while nobody listened.
            if wasAlive {
                parts.syncSignal.fire()
                parts.revocationSignal.fire()
            }
            if heard.count > 0 {
                backOff.succeeded()
                // A new identity or a closing server: back soon, at most some times a second.
                try await parts.sleep(BackOff.soon(random: parts.random()))
            } else {
                try await parts.sleep(isOffered ? parts.wait(&backOff) : Self.patience)
            }
        }
    }

    /// One stream, until it ends, falls silent, or the connection gets another identity. Whether the server has it.
    private func listen(_ heard: Heard) async -> Bool {
        await parts.connection.watch { calls, replaced in await listen(heard, calls, until: replaced) }
    }

    private func listen(_ heard: Heard, _ calls: ServerCalls, until replaced: Signal) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                do {
                    try await calls.watch { change in hear(change, heard) }
                } catch let error as RPCError where error.code == .unimplemented {
                    parts.push.notOffered()
                    parts.logger.info("the server does not push; it is asked every interval")
                    return false
                } catch let error as RPCError where error.refusal != nil || error.code == .permissionDenied {
                    // The next exchange tells what the server thinks of this node.
                    parts.syncSignal.fire()
                } catch {}
                return true
            }
            group.addTask {
                _ = try? await replaced.wait()
                return true
            }
            group.addTask {
                await watchOver(heard)
                return true
            }
            let isOffered = await group.next() ?? true
            group.cancelAll()
            return isOffered
        }
    }

    private func hear(_ change: Agentshield_Node_V1_Change, _ heard: Heard) {
        parts.push.set(true)
        // Zero: a server from before there were revocations.
        if change.revocationSequence != 0, !parts.revocations.confirm(sequence: change.revocationSequence) {
            parts.revocationSignal.fire()
        }
        if heard.note(entries: change.entriesRevision, bundle: change.bundleRevision) || !change.heartbeat {
            parts.syncSignal.fire()
        }
    }

    /// Returns when nothing came for as long as two heartbeats take.
    private func watchOver(_ heard: Heard) async {
        var before = heard.count
        var silent = 0
        while silent < Self.missable {
            guard (try? await parts.sleep(Self.heartbeat + .seconds(1))) != nil else { return }
            let count = heard.count
            silent = count == before ? silent + 1 : 0
            before = count
        }
        parts.logger.warning("the push stream is silent; asking every interval until it is back")
    }

    /// What one stream has said.
    private final class Heard: Sendable {
        private let state = Mutex<(count: Int, entries: Int64, bundle: Int64)>((0, 0, 0))

        var count: Int { state.withLock { $0.count } }

        /// Whether the numbers are news.
        func note(entries: Int64, bundle: Int64) -> Bool {
            state.withLock { state in
                let isNews = state.count == 0 || state.entries != entries || state.bundle != bundle
                state = (state.count &+ 1, entries, bundle)
                return isNews
            }
        }
    }
}
