import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE

extension RegistryCommand {
    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Asks an agent for its card, and raises the alarm if it is not the one that was approved.",
            discussion: """
                The card is asked for where it came from, or at the well-known address of its first interface. An agent of \
                this trust domain has to prove its SPIFFE ID, another server its name. Ends with 1 when there is an alarm.
                """)

        @OptionGroup var reference: RegisteredNameOptions
        @Option(name: .flag("authorities"), help: "PEM of authorities that vouch for the server's name.")
        var authorities: String?
        @Flag(name: .flag("allowPrivate"), help: "It may be in private networks and on this machine.")
        var allowPrivate = false
        @OptionGroup var admin: AdminOptions

        func run() async throws {
            let roots = try authorities.map { try LocalFile.read($0, limit: 1 << 20) } ?? []
            let agent = try await admin.withControlPlane { client in
                try await client.agentRegistry.check(
                    .with {
                        $0.name = reference.name
                        $0.authorities = .init(roots)
                        $0.allowPrivate = allowPrivate
                    }, options: .failingFast)
            }
            guard agent.driftDigest.isEmpty else {
                throw CommandFailure("the agent shows another card: \(agent.driftDigest)")
            }
            Terminal.print("The agent shows the card that was approved.")
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Writes an AI Catalog (ai-catalog.json) of the agents that everybody may see.")

        @Flag(name: .flag("all"), help: "Also those that not everybody may see.")
        var all = false
        @OptionGroup var admin: AdminOptions

        func run() async throws {
            let (host, entries) = try await admin.withControlPlane { client in
                var host = ""
                let entries = try await allPages { token in
                    let page = try await client.agentRegistry.export(
                        .with {
                            $0.all = all
                            $0.pageToken = token
                        }, options: .failingFast)
                    host = page.host
                    return (page.entries, page.nextPageToken)
                }
                return (host, entries)
            }
            Terminal.print(
                "{\"specVersion\":\"1.0\",\"host\":\(host),\"entries\":[\n" + entries.joined(separator: ",\n") + "\n]}")
        }
    }

    struct Watch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Writes a line for each agent that changes: its name and the state that it is in.")

        @Option(name: .flag("count"), help: "Ends after so many lines.")
        var count: Int?
        @OptionGroup var admin: AdminOptions

        func run() async throws {
            try await admin.withControlPlane { client in
                var revision: Int64 = 0
                var lines = 0
                while !Task.isCancelled {
                    let found = try await client.agentRegistry.watch(
                        .with { [revision] in
                            $0.revision = revision
                            $0.wait = 20
                        }, options: .failingFast)
                    if revision == 0 { Terminal.printError("watching from revision \(found.revision)") }
                    revision = found.revision
                    if found.reset { Terminal.print("* reset") }
                    for change in found.changes {
                        Terminal.print("\(printable(change.name)) \(change.state)")
                        lines += 1
                        if let count, lines >= count { return }
                    }
                }
            }
        }
    }
}
