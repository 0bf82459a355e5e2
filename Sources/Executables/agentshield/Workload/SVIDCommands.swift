import ArgumentParser
import SPIFFE
import WorkloadAPI

struct SVID: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "svid", abstract: "Identities as files, for programs that read files.",
        subcommands: [SVIDWatch.self])
}

struct SVIDWatch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Keeps certificate, key, bundles and tokens in a directory, always fresh.",
        discussion: """
            Writes svid.pem, svid.key (0600), bundle.pem, federated_bundle.NAME.pem and jwt_svid.token (0600). All \
            files of one state are swapped in at once, so key and certificate belong together.
            """)

    @Option(name: .flag("dir"), help: "The directory; made when it is not there.")
    var directory: String
    @Option(name: .flag("spiffeID"), help: "Which identity, when the workload has several (default: the first).")
    var spiffeID: String?
    @Option(
        name: .flag("jwtAudience"),
        help: "Also keep a token for this audience; further ones become jwt_svid.1.token and so on.")
    var audiences: [String] = []
    @Option(name: .flag("exec"), help: "A command for `sh -c`, run after every change.")
    var command: String?
    @Option(name: .flag("signal"), help: "A signal, such as HUP, sent after every change to the process of -pidFile.")
    var signal: String?
    @Option(name: .flag("pidFile"), help: "File with the process ID for -signal; read anew each time.")
    var pidFile: String?
    @Flag(name: .flag("once"), help: "Write once and end.")
    var once = false
    @OptionGroup var workload: WorkloadOptions

    func run() async throws {
        let id = try spiffeID.map { try parseID($0, flag: "-spiffeID") }
        let notice = try ChangeNotice(command: command, signal: signal, pidFile: pidFile)
        let delivery = FileDelivery(
            directory: try DeliveryDirectory(path: absolute(directory)), id: id, audiences: audiences, notice: notice)
        guard !once else {
            try await workload.withWorkloadAPI { try await delivery.deliverOnce($0) }
            return try await notice.give()
        }
        var backOff = Self.firstWait
        while true {
            let changes = await delivery.changes
            do {
                try await workload.withWorkloadAPI(limited: false) { try await delivery.follow($0) }
            } catch is CancellationError {
                return
            } catch {
                // What is there stays: it is good until it expires, and the node agent may come back.
                let reason = (error as? CommandFailure)?.message ?? "\(error)"
                Terminal.printError("agentshield: \(reason); trying again in \(backOff) s")
            }
            if await delivery.changes > changes { backOff = Self.firstWait }
            try await Task.sleep(for: .seconds(backOff))
            backOff = min(backOff * 2, Self.longestWait)
        }
    }

    /// Seconds before the Workload API is asked again, at first and at most.
    private static let firstWait = 1
    private static let longestWait = 30
}
