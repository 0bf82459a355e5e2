import AgentShield
import ArgumentParser
import Foundation

/// The planner agent finds an agent that it has never met, and gives it a task: registry, token as the card says, task, status.
struct Assign: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Find an agent on the registry and give it a task.",
        discussion: "Ends with code 0 if the task was completed, otherwise with 1.")

    @Option(help: "The registry, https://HOST:PORT, which is the control plane.") var registry: String
    @Option(help: "The name to look up.") var name = "weather"
    @Option(help: "What to do: a skill of the agent.") var action = "forecast"
    @Option(help: "Seconds to wait for an identity.") var wait = 30

    /// What the registry says of an agent.
    private struct Listing: Decodable {
        struct Authentication: Decodable {
            let type: String
            let tokenEndpoint: String
            let scopes: [String]
        }

        struct Endpoints: Decodable {
            let task: String
            let status: String
        }

        let agentId: String
        let authentication: Authentication
        let endpoints: Endpoints
    }

    private struct Status: Decodable {
        let status: String
        let progress: Double?
    }

    func run() async throws {
        try await withIdentity(seconds: wait) { identity, own in
            let controlPlane = try SPIFFEID("spiffe://\(own.id.trustDomain)/spire/server")
            let found = try await get(
                "\(registry)/agents/\(name)", AgentHTTPClient(identity: identity, allow: .ids([controlPlane])))
            let listing = try JSONDecoder().decode(Listing.self, from: found)
            Output.line(
                "found \(listing.agentId), wants \(listing.authentication.type) \(listing.authentication.scopes.joined(separator: " "))"
            )

            // The one identity that may answer, whatever the address: that of the listing.
            let agent = AgentHTTPClient(identity: identity, allow: .ids([try SPIFFEID(listing.agentId)]))
            guard let end = listing.authentication.tokenEndpoint.range(of: "/token", options: .backwards) else {
                throw Failure("the token endpoint is none of this trust domain")
            }
            let tokens = try AgentTokenSource(
                identity: identity, issuer: String(listing.authentication.tokenEndpoint[..<end.lowerBound]),
                binding: .dpop,
                scopes: listing.authentication.scopes)
            let task = "task-\(UInt32.random(in: 0 ... .max))"
            let body =
                #"{"taskId":"\#(task)","sessionId":"session-1","action":"\#(action)","parameters":{"place":"Zurich"}}"#
            let accepted = try await agent.execute(.post(listing.endpoints.task, json: body), with: tokens)
            Output.line(
                "task \(accepted.status.code)  \(String(buffer: try await accepted.body.collect(upTo: 65_536)))")
            guard accepted.status == .accepted || accepted.status == .ok else {
                throw Failure("the task was not accepted")
            }

            var last = ""
            for _ in 0..<200 {
                let answer = try await agent.execute(
                    AgentHTTPRequest(url: "\(listing.endpoints.status)/\(task)"), with: tokens)
                let text = String(buffer: try await answer.body.collect(upTo: 65_536))
                let status = try JSONDecoder().decode(Status.self, from: Data(text.utf8))
                if text != last { Output.line("status \(answer.status.code)  \(text)") }
                last = text
                guard status.status == "accepted" || status.status == "in_progress" else {
                    guard status.status == "completed" else { throw Failure("the task ended as \(status.status)") }
                    return
                }
                try await Task.sleep(for: .milliseconds(200))
            }
            throw Failure("the task did not end")
        }
    }

    private func get(_ url: String, _ client: AgentHTTPClient) async throws -> Data {
        let response = try await client.get(url)
        let body = try await response.body.collect(upTo: 1 << 20)
        guard response.status == .ok else { throw Failure("the registry answered \(response.status.code)") }
        return Data(buffer: body)
    }
}
