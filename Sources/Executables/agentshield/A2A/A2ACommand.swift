import ArgumentParser

/// `agentshield a2a`: the Agent2Agent protocol from the command line.
struct A2ACommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "a2a", abstract: "Agents that speak the Agent2Agent protocol.",
        discussion: """
            An agent's card says how it is called; it is not verified here. Without TLS only agents on this machine are \
            called.
            """,
        subcommands: [
            Card.self, Send.self, Get.self, List.self, Cancel.self, Subscribe.self, ScriptedAgentCommand.self,
        ])
}
