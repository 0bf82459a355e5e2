import AgentShield
import ArgumentParser
import Glibc

/// Two agents in one program: a weather agent that serves and a planner agent that calls it.
@main struct DemoAgent: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo-agent",
        abstract: "Two AI agents that know each other by SPIFFE ID.",
        discussion: "The Workload API is found by SPIFFE_ENDPOINT_SOCKET.",
        subcommands: [Serve.self, Call.self, Ask.self, Prove.self, ServeTasks.self, Assign.self])

    static func main() async {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as Failure {
            Output.error(failure.description)
            Glibc.exit(1)
        } catch let error as AgentShieldError {
            Output.error(error.description)
            Glibc.exit(1)
        } catch let error as AgentTokenError {
            Output.error(error.description)
            Glibc.exit(1)
        } catch let error as AgentProofError {
            Output.error(error.description)
            Glibc.exit(1)
        } catch {
            exit(withError: error)
        }
    }
}

/// Ends the program with one line and code 1.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Reads a SPIFFE ID from the command line.
@Sendable func parseID(_ text: String) throws -> SPIFFEID {
    do {
        return try SPIFFEID(text)
    } catch {
        throw ValidationError("`\(text.prefix(200))`: \(error)")
    }
}
