import ArgumentParser
import Glibc
import WorkloadAPI

struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Starts a command under a name, by which it gets an identity of its own.",
        discussion: """
            The node agent gives the command's processes the selectors launch:name:NAME, launch:uid:UID (yours, by the \
            kernel's word) and launch:role:main, or launch:role:child for what the command starts. It ends with the \
            command's exit code (128+n for signal n) once every process is gone; 127: not found, 126: not executable.
            """)

    @Option(name: .flag("as"), help: "The launch's name: letters, digits, dots, underscores and hyphens.")
    var name: String
    @Option(
        name: .flag("socketPath"),
        help: "Workload API socket (default: $SPIFFE_ENDPOINT_SOCKET); the command gets it as SPIFFE_ENDPOINT_SOCKET.")
    var socketPath: String?
    @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.")
    var command: [String] = []

    func run() async throws {
        guard !command.isEmpty else { throw CommandFailure("no command: agentshield run --as NAME -- COMMAND …") }
        let endpoint = try WorkloadOptions.endpoint(socketPath)
        guard case .unix(let path) = endpoint else {
            throw CommandFailure("`\(endpoint)` is no Unix socket: only there the kernel says who launches")
        }
        guard let signals = LaunchSignals.taken else { throw CommandFailure("signals cannot be taken") }
        setenv(WorkloadEndpoint.environmentVariable, endpoint.description, 1)
        let processes = try LaunchedProcesses.start(command, signals: signals)
        let holder = LaunchHolder(name: name, socketPath: path, processes: processes)
        let code = try await withThrowingTaskGroup(of: Int32?.self) { group in
            group.addTask {
                do {
                    try await holder.run()
                } catch {
                    processes.abandon()
                    throw error
                }
                return nil
            }
            group.addTask { await processes.ended() }
            defer { group.cancelAll() }
            while let end = try await group.next() {
                // The end of a command that was given up is not its own: the reason follows.
                if let end, !processes.isAbandoned { return end }
            }
            return EXIT_FAILURE
        }
        if let failure = processes.startFailure {
            let reason = failure == ENOENT ? "command not found" : String(cString: strerror(failure))
            Terminal.printError("agentshield: cannot run `\(command[0])`: \(reason)")
            Glibc.exit(failure == ENOENT ? 127 : 126)
        }
        Glibc.exit(code)
    }
}
