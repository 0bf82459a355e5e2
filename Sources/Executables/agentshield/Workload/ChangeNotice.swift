import Glibc
import Subprocess

/// How a program learns that its files have changed.
struct ChangeNotice: Sendable {
    private let command: String?
    private let signal: (number: Int32, pidFile: String)?

    /// How long a command may take.
    private static let patience = Duration.seconds(60)

    init(command: String?, signal: String?, pidFile: String?) throws {
        self.command = command
        guard let signal else {
            guard pidFile == nil else { throw CommandFailure("-pidFile needs -signal") }
            self.signal = nil
            return
        }
        guard let pidFile else { throw CommandFailure("-signal needs -pidFile") }
        let known = [
            "HUP": SIGHUP, "INT": SIGINT, "TERM": SIGTERM, "USR1": SIGUSR1, "USR2": SIGUSR2, "WINCH": SIGWINCH,
        ]
        let name = signal.uppercased()
        guard let number = known[name.hasPrefix("SIG") ? String(name.dropFirst(3)) : name] else {
            throw CommandFailure("-signal: `\(signal)` is none of \(known.keys.sorted().joined(separator: ", "))")
        }
        self.signal = (number, absolute(pidFile))
    }

    /// Runs the command to its end and sends the signal.
    func give() async throws {
        if let command { try await run(command) }
        guard let signal else { return }
        let text = String(decoding: try LocalFile.read(signal.pidFile, limit: 64), as: UTF8.self)
        // 0, 1 and negative numbers mean others than one ordinary process.
        guard let pid = Int32(text.filter { !$0.isWhitespace }), pid > 1 else {
            throw CommandFailure("`\(signal.pidFile)` holds no process ID")
        }
        guard kill(pid, signal.number) == 0 else {
            throw CommandFailure("cannot signal process \(pid): \(String(cString: strerror(errno)))")
        }
    }

    /// The command's output is ours.
    private func run(_ command: String) async throws {
        var options = PlatformOptions()
        options.teardownSequence = [.send(signal: .kill, allowedDurationToNextStep: .zero)]
        let status = try await withThrowingTaskGroup(of: TerminationStatus?.self) { [options] group in
            group.addTask {
                do {
                    return try await Subprocess.run(
                        .path("/bin/sh"), arguments: ["-c", command], platformOptions: options, input: .none,
                        output: .currentStandardOutput, error: .currentStandardError
                    ).terminationStatus
                } catch let error as SubprocessError {
                    throw CommandFailure("cannot run `\(command)`: \(error)")
                }
            }
            group.addTask {
                try await Task.sleep(for: Self.patience)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        switch status {
        case .exited(0): return
        case .exited(let code): throw CommandFailure("`\(command)` ended with \(code)")
        case .signaled(let signal): throw CommandFailure("`\(command)` ended by signal \(signal)")
        case nil:
            throw CommandFailure("`\(command)` took longer than \(Self.patience.components.seconds) s and was killed")
        }
    }
}
