import Foundation
import Glibc

/// How a program learns that its files have changed.
struct ChangeNotice: Sendable {
    private let command: String?
    private let signal: (number: Int32, pidFile: String)?

    /// How long a command may take.
    private static let patience = 60.0

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

    private func run(_ command: String) async throws {
        let process = Foundation.Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", command]
        process.standardInput = FileHandle.nullDevice
        do {
            try process.run()
        } catch {
            throw CommandFailure("cannot run `\(command)`: \(error.localizedDescription)")
        }
        let deadline = Date().addingTimeInterval(Self.patience)
        while process.isRunning {
            guard Date() < deadline else {
                kill(process.processIdentifier, SIGKILL)
                throw CommandFailure("`\(command)` took longer than \(Int(Self.patience)) s and was killed")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        guard process.terminationStatus == 0 else {
            throw CommandFailure("`\(command)` ended with \(process.terminationStatus)")
        }
    }
}
