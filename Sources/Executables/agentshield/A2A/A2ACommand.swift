import ArgumentParser

/// `agentshield a2a`: the Agent2Agent protocol from the command line.
struct A2ACommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "a2a", abstract: "Agents that speak the Agent2Agent protocol.",
        subcommands: [ScriptedAgentCommand.self])
}
