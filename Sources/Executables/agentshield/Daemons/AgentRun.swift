import ArgumentParser
import JOSE
import NodeAgent

struct AgentRun: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Runs the node agent, which serves the Workload API on this machine.")

    @OptionGroup var agent: AgentRunOptions
    @OptionGroup var daemon: DaemonOptions

    func run() async throws {
        let settings = Settings(section: "agent", file: try daemon.file())
        let configuration = try agent.configuration(settings)
        let (logger, logLevel) = try daemon.logger(settings)
        let readyFile = ReadyFile(path: try daemon.readyFile(settings))
        readyFile.clear()
        let nodeAgent = NodeAgent(
            configuration: configuration, logger: logger, logLevel: logLevel, now: WallClock.now,
            randomBytes: WallClock.randomBytes, sleep: { try await Task.sleep(for: $0) })
        do {
            try await SignalWatch.run(logger: logger, stop: nodeAgent.shutDown) {
                try await nodeAgent.run {
                    do {
                        let admin = configuration.adminSocketPath.map { ("adminSocket", JSONValue.string($0)) }
                        try readyFile.write(
                            [("workloadAPISocket", .string(configuration.workloadSocketPath))]
                                + [admin].compactMap { $0 })
                    } catch {
                        logger.error("cannot write the ready file", metadata: ["error": "\(error)"])
                    }
                    logger.info(
                        "the node agent serves", metadata: ["workloadAPI": "unix://\(configuration.workloadSocketPath)"]
                    )
                }
            }
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure("\(error)")
        }
        readyFile.clear()
    }
}
