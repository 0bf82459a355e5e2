import ArgumentParser
import Foundation

struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Shows it all in under a minute: two agents, mutual TLS, impostors, rotation, access tokens, the verified log.",
        discussion: "Everything happens in a temporary directory and on loopback, and is gone afterwards.")

    @Option(name: .flag("agent"), help: "The example agent (default: demo-agent beside this executable).")
    var agent: String?
    @Flag(name: .flag("keep"), help: "Leave the temporary directory.")
    var keep = false

    func run() async throws {
        guard let own = ThisProcess.executablePath else { throw CommandFailure("cannot find this executable") }
        let agent = agent ?? (own as NSString).deletingLastPathComponent + "/demo-agent"
        guard FileManager.default.isExecutableFile(atPath: agent) else {
            throw CommandFailure("no example agent at `\(agent)`: build it with `swift build --product demo-agent`")
        }
        // Short: a Unix socket's path has at most 107 bytes.
        let directory = "/tmp/agentshield-demo-\(getpid())"
        try? FileManager.default.removeItem(atPath: directory)
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        let story = DemoStory(agentshield: own, agent: agent, directory: directory)
        let outcome: Result<DemoSignals.End, any Error>
        do {
            outcome = .success(try await DemoSignals.run(story.tell))
        } catch {
            outcome = .failure(error)
        }
        await story.end()
        if keep {
            Terminal.print("\nLeft in \(directory)")
        } else {
            try? FileManager.default.removeItem(atPath: directory)
        }
        if case .signal(let number) = try outcome.get() { Foundation.exit(128 + number) }
    }
}
