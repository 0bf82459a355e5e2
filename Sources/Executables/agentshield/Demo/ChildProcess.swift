import Subprocess
import Synchronization
import SystemPackage

/// A process that the demonstration starts, with its output line by line.
final class ChildProcess: Sendable {
    /// Its output, standard output and standard error together, line by line.
    let lines: AsyncStream<String>
    private let life: Task<Int32, any Error>
    private let isOver: Flag

    /// How long it has for an orderly end.
    private static let patience = Duration.seconds(5)

    /// Starts `path` with these arguments; `environment` is added to ours. That it cannot be started is told by ``ended()``.
    init(_ path: String, _ arguments: [String], environment: [String: String] = [:]) {
        let (lines, output) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingNewest(1000))
        let isOver = Flag()
        self.lines = lines
        self.isOver = isOver
        life = Task {
            defer {
                isOver.value.store(true, ordering: .releasing)
                output.finish()
            }
            return try await Self.run(path, arguments, environment) { output.yield($0) }
        }
    }

    /// Runs it to its end; a cancelled task ends it. Returns its exit code, or 128 and the signal that ended it.
    private static func run(
        _ path: String, _ arguments: [String], _ environment: [String: String],
        tell: @Sendable (String) -> Void
    ) async throws -> Int32 {
        var options = PlatformOptions()
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: patience)]
        let added = environment.map { (Subprocess.Environment.Key(stringLiteral: $0.key), Optional($0.value)) }
        do {
            let result = try await Subprocess.run(
                .path(FilePath(path)), arguments: Arguments(arguments),
                environment: .inherit.updating(Dictionary(uniqueKeysWithValues: added)), platformOptions: options,
                input: .none, output: .sequence, error: .combinedWithOutput
            ) { execution in
                for try await line in execution.standardOutput.strings() { tell(line) }
            }
            return switch result.terminationStatus {
            case .exited(let code): code
            case .signaled(let signal): 128 + signal
            }
        } catch let error as SubprocessError {
            throw CommandFailure("`\(path)` cannot be run: \(error)")
        }
    }

    var isRunning: Bool { !isOver.value.load(ordering: .acquiring) }

    /// The first line that it says; nil if it ends without one.
    func firstLine() async -> String? { await lines.first { _ in true } }

    /// Asks it to end and waits; after five seconds it is killed.
    func stop() async {
        life.cancel()
        _ = await life.result
    }

    /// Its exit code, once it has ended by itself; 128 and the signal that ended it.
    func ended() async throws -> Int32 {
        try await life.value
    }

    private final class Flag: Sendable {
        let value = Atomic(false)
    }
}
