import ArgumentParser
import Glibc

/// The entry point: parses, runs, and ends with 0, or with 1 and one line on standard error.
@main
enum Main {
    static func main() async {
        // First of all: the command gets its signals as they are now.
        if CommandLine.arguments.dropFirst().first == "run" { LaunchSignals.take() }
        // A peer that hangs up must not end the process.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try AgentShieldCommand.parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            end(error)
        }
    }

    private static func end(_ error: any Error) -> Never {
        if let failure = error as? CommandFailure {
            Terminal.printError("agentshield: \(failure.message)")
            exit(1)
        }
        let code = AgentShieldCommand.exitCode(for: error)
        guard code != .success else {
            // Help and version are answers, not errors.
            Terminal.print(AgentShieldCommand.fullMessage(for: error))
            exit(0)
        }
        Terminal.printError("agentshield: \(AgentShieldCommand.message(for: error))")
        exit(1)
    }
}

/// The whole command line.
struct AgentShieldCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agentshield",
        abstract: "Cryptographic identities for AI agents, with a log that proves itself.",
        discussion: """
            `up` runs everything on one machine. Flags take one dash or two. Administration goes through the admin \
            socket (-socketPath), workload commands through SPIFFE_ENDPOINT_SOCKET.
            """,
        version: "agentshield \(AgentShieldVersion.current)",
        groupedSubcommands: [
            CommandGroup(name: "Daemons", subcommands: [Up.self, Server.self, Agent.self]),
            CommandGroup(
                name: "Administration",
                subcommands: [
                    Entry.self, Token.self, Bundle.self, Federation.self, X509.self, JWT.self,
                    WIT.self, LocalAuthority.self, UpstreamAuthorityGroup.self, Revoke.self, Unrevoke.self,
                    LoggerCommand.self,
                    Debug.self, HealthCheck.self,
                ]),
            CommandGroup(
                name: "Agents and tokens",
                subcommands: [
                    Blueprint.self, Identity.self, FederatedCredentialCommand.self, ClientCredentialCommand.self,
                    ResourceCommand.self, GrantCommand.self, ApprovalsCommand.self, RegistryCommand.self,
                    CardCommand.self,
                ]),
            CommandGroup(name: "Workloads", subcommands: [Run.self, API.self, SVID.self, Env.self]),
            CommandGroup(name: "Agent2Agent", subcommands: [A2ACommand.self]),
            CommandGroup(name: "Audit log", subcommands: [Log.self]),
            CommandGroup(name: "More", subcommands: [Validate.self, Demo.self]),
        ])
}
