import Foundation

extension DemoStory {
    /// The third act: an agent that nobody knew is found by its card, and given a task.
    func showTasks(_ issuer: String) async throws {
        head("7  Tasks: the planner finds an agent on the registry, and calls it as its card says")
        let registry = String(issuer.dropLast("/oauth2".count))
        let port = try FreePort.find(on: "127.0.0.1")
        show("agentshield run --as weather -- demo-agent serve-tasks …")
        let weather = launch("weather", [agent, "serve-tasks", "--port", "\(port)", "--registry", registry])
        guard let line = await weather.firstLine() else { throw CommandFailure("the weather agent has not registered") }
        say("   \(line)")
        let assign = [agent, "assign", "--registry", registry]
        try await refuse("the planner looks it up: nobody has approved the card yet, so it is not there") {
            launch("planner", assign)
        }
        let digest = try await pendingDigest()
        show("agentshield registry approve -name weather -digest \(digest.prefix(12))…")
        _ = try await admin(["registry", "approve", "-name", "weather", "-digest", digest])
        say("   the planner looks it up again, gets the token that the card asks for, and starts a task:")
        let planner = launch("planner", assign)
        await tell(planner)
        guard try await planner.ended() == 0 else { throw CommandFailure("the planner's task failed") }
    }

    /// The digest of the card that waits for its approval, as an approver reads it.
    private func pendingDigest() async throws -> String {
        let text = try await admin(["registry", "show", "-name", "weather", "-output", "json"])
        let match = text.range(of: #"[0-9a-f]{64}"#, options: .regularExpression)
        guard let match else { throw CommandFailure("the card has no digest") }
        return String(text[match])
    }

    /// The end of it: one act ends an agent everywhere.
    func showKillSwitch(_ issuer: String, _ forecast: String) async throws {
        head("8  The kill switch: one act, and the agent is gone everywhere")
        show("agentshield identity disable -id planner -reason demonstration")
        _ = try await admin(["identity", "disable", "-id", "planner", "-reason", "demonstration"])
        try await refuse("the planner asks once more: its identity is revoked, and with it everything else") {
            launch(
                "planner",
                [
                    agent, "ask", "--url", forecast, "--server", weatherID, "--issuer", issuer, "--resource",
                    "api://weather", "--scope", "Forecast.Read", "--wait", "2",
                ])
        }
        show("agentshield identity disable -id weather -reason demonstration")
        _ = try await admin(["identity", "disable", "-id", "weather", "-reason", "demonstration"])
        show("agentshield registry show -name weather")
        say(indented(try await admin(["registry", "show", "-name", "weather"])))
    }
}
