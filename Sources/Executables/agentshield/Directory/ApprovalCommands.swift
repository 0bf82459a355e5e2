import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import Glibc
import JOSE
import SPIFFE

struct ApprovalsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approvals", abstract: "What agents may do only when a person says yes.",
        discussion: """
            Who answers is the person that the control plane knows behind the caller: the user of this machine \
            (-socketApprover of the server), or an administrator by its SPIFFE ID.
            """,
        subcommands: [List.self, Show.self, Approve.self, Deny.self])
}

/// Which approval is meant.
struct ApprovalReferenceOptions: ParsableArguments {
    @Option(name: .flag("id"), help: "Identifier of the approval.")
    var id: String
}

extension ApprovalsCommand {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists what waits for an answer, and with -all what was answered, newest first.")

        @Flag(name: .flag("all"), help: "Those in whatever state.")
        var all = false
        @Option(name: .flag("agent"), help: "Only those of this agent: client ID, SPIFFE ID or name.")
        var agent = ""
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let items = try await admin.withControlPlane { client in
                try await allPages { token in
                    let page = try await client.approvals.listApprovals(
                        .with {
                            $0.state = all ? "" : "pending"
                            $0.identity = agent
                            $0.pageToken = token
                        }, options: .failingFast)
                    return (page.items, page.nextPageToken)
                }
            }
            format.write(json: ["approvals": .array(items.map(\.json))]) {
                "Found \(counted(items.count, "approval", "approvals"))\n" + items.map { "\n" + $0.pretty }.joined()
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows what is to be approved.")

        @OptionGroup var reference: ApprovalReferenceOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let approval = try await admin.withControlPlane { client in
                try await client.approvals.getApproval(.with { $0.id = reference.id }, options: .failingFast)
            }
            format.write(json: approval.json) { approval.pretty }
        }
    }

    struct Approve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says yes.",
            discussion: """
                Shows what is to be approved and asks, on a terminal. Elsewhere -hash has to say what was seen: the \
                hash that `approvals show` prints. An answer counts for that and nothing else.
                """)

        @OptionGroup var reference: ApprovalReferenceOptions
        @Option(name: .flag("hash"), help: "Hash of what is approved, as `approvals show` prints it.")
        var hash: String?
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let seen: String
            if let hash {
                seen = hash
            } else {
                guard isatty(STDIN_FILENO) == 1 else {
                    throw CommandFailure("-hash is needed where nobody can be asked; `approvals show` prints it")
                }
                let approval = try await admin.withControlPlane { client in
                    try await client.approvals.getApproval(.with { $0.id = reference.id }, options: .failingFast)
                }
                Terminal.printError(approval.pretty + "\nApprove exactly this? Type yes: ")
                guard readLine() == "yes" else { throw CommandFailure("nothing was approved") }
                seen = approval.actHash
            }
            let approval = try await admin.withControlPlane { client in
                try await client.approvals.approve(
                    .with {
                        $0.id = reference.id
                        $0.actHash = seen
                    }, options: .failingFast)
            }
            format.write(json: approval.json) { "Approved by \(approval.answeredBy).\n" }
        }
    }

    struct Deny: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Says no.")

        @OptionGroup var reference: ApprovalReferenceOptions
        @Flag(name: .flag("disableAgent"), help: "Disables the agent that asked, too: it gets no tokens any more.")
        var disableAgent = false
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let approval = try await admin.withControlPlane { client in
                let approval = try await client.approvals.deny(.with { $0.id = reference.id }, options: .failingFast)
                if disableAgent {
                    _ = try await client.directory.disableIdentity(
                        .with {
                            $0.identity = approval.clientID
                            $0.reason = "denied approval \(approval.id)"
                        }, options: .failingFast)
                }
                return approval
            }
            format.write(json: approval.json) {
                "Denied by \(approval.answeredBy).\n" + (disableAgent ? "The agent is disabled.\n" : "")
            }
        }
    }
}

extension Agentshield_Admin_V1_Approval {
    private var members: JSONObject {
        (try? JSONValue(parsing: act, limits: JSONLimits(maximumBytes: 1 << 20, maximumDepth: 32)))?.objectValue
            ?? JSONObject()
    }

    fileprivate var clientID: String { members["client_id"]?.stringValue ?? "" }

    var json: JSONValue {
        [
            "id": .string(id), "state": .string(state), "act": .object(members), "act_hash": .string(actHash),
            "agent_name": .string(agentName), "demanded_by": .string(demandedBy), "reason": .string(reason),
            "grant_seconds": .string("\(grantSeconds)"), "binding_code": .string(bindingCode), "hint": .string(hint),
            "created_at": .string("\(createdAt)"), "deadline": .string("\(deadline)"),
            "answered_by": .string(answeredBy), "answered_at": .string("\(answeredAt)"),
            "approvers": .array(approvers.map { .string($0) }),
        ]
    }

    var pretty: String {
        var lines = PrettyLines()
        lines.line("Approval ID", id)
        lines.line("State", state)
        lines.line("Agent", "\(members["agent"]?.stringValue ?? "") (\(agentName))")
        for (name, label) in [("subject", "On behalf of"), ("resource", "Resource"), ("scope", "Scopes")] {
            guard let text = members[name]?.stringValue, !text.isEmpty else { continue }
            if name == "subject", text == members["agent"]?.stringValue { continue }
            lines.line(label, text)
        }
        for actor in actors { lines.line("Through", actor) }
        for detail in members["authorization_details"]?.arrayValue ?? [] {
            lines.line(
                demandedBy == "resource" ? "Details" : "Details (of the agent)",
                String(decoding: detail.canonicalBytes, as: UTF8.self))
        }
        if let transaction = members["txn"]?.stringValue { lines.line("Transaction", transaction) }
        switch demandedBy {
        case "resource":
            lines.line("Because", reason.isEmpty ? "the resource asks for it" : "the resource says: \(reason)")
        case "grant": lines.line("Because", "the grant holds only when approved, for \(grantSeconds) s")
        default: lines.line("Because", "settings of the resource ask for it")
        }
        if !bindingCode.isEmpty { lines.line("Code of the agent", bindingCode) }
        if !hint.isEmpty { lines.line("Asked for", hint) }
        lines.line("Approvers", approvers.joined(separator: ", "))
        lines.line(state == "pending" ? "Answer until" : "Deadline", UnixTime(seconds: deadline).rfc3339)
        if !answeredBy.isEmpty {
            lines.line("Answered by", "\(answeredBy) at \(UnixTime(seconds: answeredAt).rfc3339)")
        }
        lines.line("Hash", actHash)
        return lines.text
    }

    /// Who acts for the subject, nearest first.
    private var actors: [String] {
        var names: [String] = []
        var next = members["act"]?.objectValue
        while let actor = next, names.count < 32 {
            names.append(actor["sub"]?.stringValue ?? "")
            next = actor["act"]?.objectValue
        }
        return names
    }
}
