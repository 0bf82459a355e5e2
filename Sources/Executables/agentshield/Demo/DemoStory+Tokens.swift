extension DemoStory {
    /// The second act: not only who calls, but what it may do.
    func showTokens(_ url: String, _ issuer: String) async throws {
        head("6  Access tokens: what an agent may do, for minutes, and with its own certificate only")
        try await grantForecasts()
        let token = "\(directory)/stolen.token"
        let ask = [
            agent, "ask", "--url", url, "--server", weatherID, "--issuer", issuer, "--resource", "api://weather",
        ]

        say("   the planner asks for a forecast, with a token beside its certificate:")
        let planner = launch("planner", ask + ["--scope", "Forecast.Read", "--save-token", token])
        await tell(planner)
        guard try await planner.ended() == 0 else { throw CommandFailure("the planner got no forecast") }

        try await refuse("the stranger has copied that token, and shows it over its own connection") {
            launch("stranger", [agent, "ask", "--url", url, "--server", weatherID, "--token-file", token])
        }
        try await refuse("the planner asks for a scope that nobody has granted") {
            launch("planner", ask + ["--scope", "Forecast.Write"])
        }
    }

    private func grantForecasts() async throws {
        for (name, id) in [("weather", weatherID), ("planner", plannerID)] {
            show(
                "agentshield identity create -name \(name) -spiffeID \(id) \\\n"
                    + "       -owner team@\(domain) -sponsor team@\(domain)")
            _ = try await admin([
                "identity", "create", "-name", name, "-spiffeID", id, "-sponsor", "team@\(domain)", "-owner",
                "team@\(domain)", "-output", "json",
            ])
        }
        show(
            "agentshield resource create -id api://weather -agent weather -binding required \\\n"
                + "       -scope Forecast.Read -scope Forecast.Write")
        _ = try await admin([
            "resource", "create", "-id", "api://weather", "-agent", "weather", "-binding", "required", "-scope",
            "Forecast.Read", "-scope", "Forecast.Write", "-output", "json",
        ])
        show("agentshield grant create -agent planner -resource api://weather -scope Forecast.Read")
        _ = try await admin([
            "grant", "create", "-agent", "planner", "-resource", "api://weather", "-scope", "Forecast.Read", "-output",
            "json",
        ])
    }
}
