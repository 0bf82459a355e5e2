import Foundation
import LaunchSystem
import Synchronization

/// The command and everything that it started: this process is their parent and subreaper.
final class LaunchedProcesses: Sendable {
    /// Process ID of the command.
    let main: pid_t
    private let child: launch_child

    private struct State {
        var isReleased = false
        var isAbandoned = false
        var startFailure: Int32?
        var mainStatus: Int32?
        var haveAllEnded = false
        var waiter: CheckedContinuation<Int32, Never>?
    }

    private let state = Mutex(State())

    /// Starts the command, which waits until ``release()``, and passes signals on from now on.
    static func start(_ command: [String], signals: Int32) throws -> LaunchedProcesses {
        guard launch_become_subreaper() == 0 else { throw CommandFailure("cannot become a subreaper") }
        var child = launch_child()
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        let error = launch_fork(&arguments, &child)
        guard error == 0 else { throw CommandFailure("cannot start a process: \(String(cString: strerror(error)))") }
        let processes = LaunchedProcesses(child)
        let watch = Thread { processes.watch(signals) }
        watch.name = "launch"
        watch.start()
        return processes
    }

    private init(_ child: launch_child) {
        self.child = child
        main = child.pid
    }

    /// Whether the command itself still runs.
    var isMainRunning: Bool { state.withLock { $0.mainStatus == nil } }

    /// Why the command did not start, as an error number; `nil` when it did.
    var startFailure: Int32? { state.withLock { $0.startFailure } }

    /// Lets the command run, once.
    func release() {
        let isFirst = state.withLock { state in
            defer { state.isReleased = true }
            return !state.isReleased
        }
        guard isFirst else { return }
        var go: UInt8 = 1
        _ = write(child.gate, &go, 1)
        close(child.gate)
    }

    var isReleased: Bool { state.withLock { $0.isReleased } }

    /// Ends a command that was not let run: it waits at the gate and has done nothing.
    func abandon() {
        let isWaiting = state.withLock { state in
            guard !state.isReleased, state.mainStatus == nil else { return false }
            state.isAbandoned = true
            return true
        }
        if isWaiting { kill(main, SIGKILL) }
    }

    /// Whether ``abandon()`` ended the command.
    var isAbandoned: Bool { state.withLock { $0.isAbandoned } }

    /// The command's exit code, or 128 and its signal, once every process has ended.
    func ended() async -> Int32 {
        await withCheckedContinuation { continuation in
            let code = state.withLock { state -> Int32? in
                guard !state.haveAllEnded else { return Self.code(state.mainStatus) }
                state.waiter = continuation
                return nil
            }
            if let code { continuation.resume(returning: code) }
        }
    }

    // MARK: the watching thread

    private func watch(_ signals: Int32) {
        while true {
            // A child that ended before its signal was looked at is found as well.
            guard !reap() else { return finish() }
            var fromKernel: Int32 = 0
            let signal = launch_next_signal(signals, &fromKernel)
            guard signal > 0 else { return finish() }
            // A terminal's signal went to the whole process group, and the command is in ours.
            if signal != SIGCHLD, fromKernel == 0 { forward(signal) }
        }
    }

    /// Collects who has ended; `true` when nobody is left.
    private func reap() -> Bool {
        while true {
            var status: Int32 = 0
            let pid = waitpid(-1, &status, WNOHANG)
            switch pid {
            case 0: return false
            case -1 where errno == EINTR: continue
            case -1: return true
            case main: mainEnded(status)
            default: continue
            }
        }
    }

    private func mainEnded(_ status: Int32) {
        var failure: Int32 = 0
        // Everything is written before the process ends, and its end was the last writer's unless it became the program.
        let count = read(child.outcome, &failure, MemoryLayout<Int32>.size)
        state.withLock { state in
            state.mainStatus = status
            if count == MemoryLayout<Int32>.size { state.startFailure = failure }
        }
    }

    private func finish() {
        let (waiter, code) = state.withLock { state in
            defer { state.waiter = nil }
            state.haveAllEnded = true
            return (state.waiter, Self.code(state.mainStatus))
        }
        waiter?.resume(returning: code)
    }

    /// To the command; when it has ended, to the processes that it left.
    private func forward(_ signal: Int32) {
        guard !isMainRunning else {
            kill(main, signal)
            return
        }
        for pid in Self.children() { kill(pid, signal) }
    }

    /// Processes whose parent is this one.
    private static func children() -> [pid_t] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { pid_t($0) }.filter { pid in
            guard let stat = FileManager.default.contents(atPath: "/proc/\(pid)/stat"),
                let end = stat.lastIndex(of: UInt8(ascii: ")"))
            else { return false }
            // The state and the parent are the first two fields after the name.
            let fields = stat[stat.index(after: end)...].split(separator: UInt8(ascii: " "), maxSplits: 2)
            return fields.count == 3 && pid_t(String(decoding: fields[1], as: UTF8.self)) == getpid()
        }
    }

    private static func code(_ status: Int32?) -> Int32 {
        guard let status else { return EXIT_FAILURE }
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }
}
