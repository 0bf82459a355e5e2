import Foundation
import Synchronization

/// A process that the demonstration starts, with its output line by line.
final class ChildProcess: @unchecked Sendable {
    // INVARIANT: `process` is configured before it runs and only asked for its state and terminated after.
    private let process = Foundation.Process()
    private let output = Pipe()
    /// Its output, standard output and standard error together, line by line.
    let lines: AsyncStream<String>

    /// Starts `path` with these arguments; `environment` is added to ours.
    init(_ path: String, _ arguments: [String], environment: [String: String] = [:]) throws {
        let (lines, continuation) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingNewest(1000))
        self.lines = lines
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        let rest = Mutex<[UInt8]>([])
        output.fileHandleForReading.readabilityHandler = { handle in
            let data = handle.availableData
            let whole = rest.withLock { rest -> [String] in
                rest += data
                var whole: [String] = []
                while let end = rest.firstIndex(of: 0x0a) {
                    whole.append(String(decoding: rest[..<end], as: UTF8.self))
                    rest.removeSubrange(...end)
                }
                return whole
            }
            for line in whole { continuation.yield(line) }
            if data.isEmpty {
                handle.readabilityHandler = nil
                continuation.finish()
            }
        }
        do {
            try process.run()
        } catch {
            throw CommandFailure("cannot start `\(path)`: \(error.localizedDescription)")
        }
        // Ours must go, or the end of its output would never come.
        try? output.fileHandleForWriting.close()
    }

    var isRunning: Bool { process.isRunning }

    /// Asks it to end and waits; after five seconds it is killed.
    func stop() async {
        guard process.isRunning else { return }
        process.terminate()
        for _ in 0..<100 where process.isRunning { try? await Task.sleep(for: .milliseconds(50)) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        for _ in 0..<100 where process.isRunning { try? await Task.sleep(for: .milliseconds(20)) }
    }

    /// Its exit code, once it has ended by itself.
    func ended() async throws -> Int32 {
        while process.isRunning { try await Task.sleep(for: .milliseconds(20)) }
        return process.terminationStatus
    }
}
