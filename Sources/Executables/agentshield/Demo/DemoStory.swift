import Foundation
import JOSE
import Synchronization

/// The demonstration, step by step, with real processes.
final class DemoStory: Sendable {
    private let agentshield: String
    let agent: String
    let directory: String
    private let started = ContinuousClock.now
    // Guards what has to be stopped, newest last.
    private let children = Mutex<[ChildProcess]>([])

    let domain = "demo.example"
    private var adminSocket: String { "\(directory)/data/admin.sock" }
    private var workloadSocket: String { "\(directory)/data/agent/api.sock" }
    var weatherID: String { "spiffe://\(domain)/weather" }
    var plannerID: String { "spiffe://\(domain)/planner" }
    var strangerID: String { "spiffe://\(domain)/stranger" }

    init(agentshield: String, agent: String, directory: String) {
        self.agentshield = agentshield
        self.agent = agent
        self.directory = directory
    }

    func tell() async throws {
        let issuer = try await startTrustDomain()
        try await giveIdentities()
        let weather = try await startWeather(issuer)
        try await callAndRotate("\(weather)/task")
        try await refuseImpostors("\(weather)/task")
        try await showTokens("\(weather)/forecast", issuer)
        try await showTasks(issuer)
        try await showKillSwitch(issuer, "\(weather)/forecast")
        try await verifyLog()
        say("\nDone in \(elapsed()). Every step above is in the log, and the log proves itself.")
    }

    /// Stops every process that is still there, newest first.
    func end() async {
        for child in children.withLock({ $0 }).reversed() { await child.stop() }
    }

    // MARK: steps

    /// Returns the issuer of its access tokens.
    private func startTrustDomain() async throws -> String {
        head("1  A trust domain: control plane and node agent, one command")
        show("agentshield up -trustDomain \(domain) -dataDir DIR")
        let up = start(
            agentshield,
            [
                "up", "-trustDomain", domain, "-dataDir", "\(directory)/data", "-serverPort", "0", "-httpsPort", "0",
                "-readyFile", "\(directory)/ready.json", "-logLevel", "warning", "-socketApprover",
                "\(geteuid()) operator@\(domain)",
            ])
        let ready = try JSONValue(parsing: Array(try await waitForFile("\(directory)/ready.json", of: up).utf8))
        guard let port = ready.objectValue?["https"]?.stringValue?.split(separator: ":").last else {
            throw CommandFailure("the trust domain has no HTTPS port")
        }
        say("   serves after \(elapsed())")
        return "https://localhost:\(port)/oauth2"
    }

    private func giveIdentities() async throws {
        head("2  Identities: all agents are the same program, the name they are launched under decides")
        let uid = geteuid()
        for (name, id) in [("weather", weatherID), ("planner", plannerID), ("stranger", strangerID)] {
            show(
                "agentshield entry create -spiffeID \(id) -x509SVIDTTL 10 \\\n"
                    + "       -selector launch:name:\(name) -selector launch:uid:\(uid) -selector launch:role:main")
            _ = try await admin([
                "entry", "create", "-spiffeID", id, "-x509SVIDTTL", "10", "-selector", "launch:name:\(name)",
                "-selector", "launch:uid:\(uid)", "-selector", "launch:role:main", "-output", "json",
            ])
        }
        say("   (10-second certificates, so that rotation can be watched; an hour is the default)")
    }

    private func startWeather(_ issuer: String) async throws -> String {
        head("3  The weather agent serves over mutual TLS and answers the planner only")
        show("agentshield run --as weather -- demo-agent serve …")
        let child = launch(
            "weather",
            [
                agent, "serve", "--listen", "127.0.0.1:0", "--allow", plannerID, "--issuer", issuer, "--port-file",
                "\(directory)/weather.port",
            ])
        let port = try await waitForFile("\(directory)/weather.port", of: child)
        let url = "https://127.0.0.1:\(port.filter { $0.isNumber })"
        say("   \(weatherID) at \(url)")
        return url
    }

    private func callAndRotate(_ url: String) async throws {
        head("4  The planner calls it every second; both identities rotate under the running call")
        show("agentshield run --as planner -- demo-agent call …")
        let planner = launch(
            "planner", [agent, "call", "--url", url, "--server", weatherID, "--every", "1000ms", "--for", "12s"])
        await tell(planner)
        guard try await planner.ended() == 0 else { throw CommandFailure("the planner's calls failed") }
    }

    private func refuseImpostors(_ url: String) async throws {
        head("5  Impostors: the same program outside, under another name, and as somebody's tool")
        let call = ["call", "--url", url, "--server", weatherID, "--every", "500ms", "--for", "1s", "--wait", "2"]
        try await refuse("demo-agent without a launch has no identity") {
            start(agent, call, environment: workloadEnvironment)
        }
        try await refuse("agentshield run --as stranger: \(strangerID) is not allowed") {
            launch("stranger", [agent] + call)
        }
        // The shell stays, so that the agent is its child.
        try await refuse("a tool that the planner starts is launch:role:child and not the planner") {
            launch("planner", ["/bin/sh", "-c", "\"$@\"; exit $?", "tool", agent] + call)
        }
    }

    func refuse(_ who: String, _ begin: () -> ChildProcess) async throws {
        say("   \(who):")
        let impostor = begin()
        await tell(impostor)
        guard try await impostor.ended() != 0 else { throw CommandFailure("an impostor was not refused: \(who)") }
    }

    private func verifyLog() async throws {
        head("9  The audit log recorded all of it")
        show("agentshield log list -count 12          # here without the columns TIME and AGENT")
        try await tellLog(count: 12)
        for type in ["access_token", "registry", "identity.disable"] {
            show("agentshield log list -type \(type)")
            try await tellLog(count: 12, "-type", type)
        }
        show("agentshield log verify")
        say(indented(try await admin(["log", "verify"])))
        show("agentshield log prove 0, then verified offline, with nothing but the log's key")
        _ = try await admin(["log", "prove", "0", "-write", directory])
        let checkpoint = try JSONValue(parsing: Array(try await admin(["log", "checkpoint", "-output", "json"]).utf8))
        guard let key = checkpoint.objectValue?["vkey"]?.stringValue else { throw CommandFailure("the log has no key") }
        say(
            indented(
                try await run([
                    "log", "verify", "-proof", "\(directory)/0.tlog-proof", "-entry", "\(directory)/0.json", "-vkey",
                    key,
                ])))
    }

    /// Says what an agent prints, without what repeats.
    func tell(_ agent: ChildProcess) async {
        var transcript = CallTranscript()
        for await line in agent.lines {
            if let told = transcript.told(line) { say("   \(told)") }
        }
        if let summary = transcript.summary { say("   \(summary)") }
    }

    /// The newest entries of the log in columns that fit a terminal.
    private func tellLog(count: Int, _ filter: String...) async throws {
        let listed = try await admin(["log", "list", "-count", "\(count)", "-output", "json"] + filter)
        let entries = try JSONValue(parsing: Array(listed.utf8)).objectValue?["entries"]?.arrayValue ?? []
        for entry in entries {
            guard let event = entry.objectValue?["event"]?.objectValue,
                let index = entry.objectValue?["index"]?.int64Value
            else { continue }
            let words = [
                "\(index)".padded(to: 4), (event["type"]?.stringValue ?? "").padded(to: 20),
                (event["phase"]?.stringValue ?? "").padded(to: 8),
                (event["decision"]?.objectValue?["result"]?.stringValue ?? "").padded(to: 7),
                event["resource"]?.objectValue?["kind"]?.stringValue ?? "",
                event["resource"]?.objectValue?["id"]?.stringValue ?? "",
            ]
            say("   " + words.joined(separator: " "))
        }
    }

    // MARK: tools

    private var workloadEnvironment: [String: String] { ["SPIFFE_ENDPOINT_SOCKET": "unix://\(workloadSocket)"] }

    /// Starts a command under a name: `agentshield run --as NAME -- COMMAND …`.
    func launch(_ name: String, _ command: [String]) -> ChildProcess {
        start(agentshield, ["run", "--as", name, "--"] + command, environment: workloadEnvironment)
    }

    private func start(
        _ path: String, _ arguments: [String], environment: [String: String] = [:]
    ) -> ChildProcess {
        let child = ChildProcess(path, arguments, environment: environment)
        children.withLock { $0.append(child) }
        return child
    }

    func admin(_ arguments: [String]) async throws -> String {
        try await run(arguments + ["-socketPath", adminSocket])
    }

    /// Runs this executable with other arguments; its output, or a failure with its last line.
    private func run(_ arguments: [String]) async throws -> String {
        let child = start(agentshield, arguments)
        var lines: [String] = []
        for await line in child.lines { lines.append(line) }
        guard try await child.ended() == 0 else { throw CommandFailure(lines.last ?? "`\(arguments[0])` failed") }
        return lines.joined(separator: "\n")
    }

    private func waitForFile(_ path: String, of child: ChildProcess) async throws -> String {
        for _ in 0..<1500 {
            if let text = try? String(contentsOfFile: path, encoding: .utf8), !text.isEmpty { return text }
            guard child.isRunning else {
                for await line in child.lines { throw CommandFailure(line) }
                _ = try await child.ended()
                throw CommandFailure("a process ended before it was ready")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw CommandFailure("nothing was ready after 30 seconds")
    }

    func head(_ text: String) { say("\n\(text)") }
    func show(_ command: String) { say("   $ \(command)") }
    func say(_ text: String) { Terminal.print(text) }

    func indented(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { "   \($0)" }.joined(separator: "\n")
    }

    private func elapsed() -> String {
        let time = ContinuousClock.now - started
        let tenths = time.components.seconds * 10 + time.components.attoseconds / 100_000_000_000_000_000
        return "\(tenths / 10).\(tenths % 10) s"
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
