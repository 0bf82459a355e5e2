import A2A
import A2ATransport
import ArgumentParser
import Foundation

extension A2ACommand {
    struct Card: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows an agent's card as the agent publishes it.")

        @OptionGroup var agent: A2AAgentOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            try await agent.withCard { found in format.write(json: .object(found.document.object)) { found.card.pretty }
            }
        }
    }

    struct Send: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sends a message and shows what the agent makes of it.",
            discussion: "Waits until the task has ended or waits for somebody, unless -stream or -immediately is given."
        )

        @OptionGroup var agent: A2AAgentOptions
        @Argument(help: "The text of the message.")
        var text: String
        @Option(name: .flag("data"), help: "Structured data to send along, as JSON.")
        var data: [String] = []
        @Option(name: .flag("taskID"), help: "The task that the message goes on with.")
        var taskID: String?
        @Option(name: .flag("contextID"), help: "The conversation that it belongs to.")
        var contextID: String?
        @Option(name: .flag("messageID"), help: "The message's identifier, to send it again (default: a new one).")
        var messageID: String?
        @Flag(name: .flag("stream"), help: "Show every event as it comes.")
        var isStreaming = false
        @Flag(name: .flag("immediately"), help: "Answer as soon as there is a task.")
        var isImmediate = false
        @OptionGroup var format: OutputOptions

        func run() async throws {
            var parts: [Part] = [.text(text)]
            for text in data {
                guard let value = try? JSONValue(parsing: text) else {
                    throw CommandFailure("-data: `\(text)` is not JSON")
                }
                parts.append(.data(value))
            }
            let request = SendMessageRequest(
                message: Message(
                    messageID: messageID ?? UUID().uuidString.lowercased(), contextID: contextID, taskID: taskID,
                    role: .user, parts: parts),
                configuration: .init(returnImmediately: isImmediate))
            try await agent.withAgent { client in
                if isStreaming {
                    for try await event in try await client.sendStreamingMessage(request) { format.write(event) }
                } else {
                    let answer = try await client.sendMessage(request)
                    format.write(answer, pretty: answer.pretty)
                }
            }
        }
    }

    struct Get: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows a task.")

        @OptionGroup var agent: A2AAgentOptions
        @Argument(help: "The task.")
        var taskID: String
        @Option(
            name: .flag("historyLength"),
            help: "How many messages of its history at most (default: the agent's choice).")
        var historyLength: Int32?
        @OptionGroup var format: OutputOptions

        func run() async throws {
            try await agent.withAgent { client in
                let task = try await client.getTask(.init(id: taskID, historyLength: historyLength))
                format.write(task, pretty: task.pretty)
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists one's tasks at an agent, page by page.")

        @OptionGroup var agent: A2AAgentOptions
        @Option(name: .flag("contextID"), help: "Only tasks of this conversation.")
        var contextID: String?
        @Option(name: .flag("state"), help: "Only tasks in this state, such as working or input-required.")
        var state: String?
        @Option(name: .flag("pageSize"), help: "How many at most.")
        var pageSize: Int32?
        @Option(name: .flag("pageToken"), help: "Where the page before ended.")
        var pageToken: String?
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let state = try state.map(Self.state)
            try await agent.withAgent { client in
                let page = try await client.listTasks(
                    .init(
                        contextID: contextID, status: state, pageSize: pageSize, pageToken: pageToken,
                        historyLength: 0))
                format.write(page, pretty: page.pretty)
            }
        }

        private static func state(_ word: String) throws -> TaskState {
            guard let state = TaskState.allCases.first(where: { $0.word == word }), state != .unspecified else {
                let words = TaskState.allCases.dropFirst().map(\.word).joined(separator: ", ")
                throw CommandFailure("-state: `\(word)` is none of \(words)")
            }
            return state
        }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Asks an agent to give a task up.")

        @OptionGroup var agent: A2AAgentOptions
        @Argument(help: "The task.")
        var taskID: String
        @OptionGroup var format: OutputOptions

        func run() async throws {
            try await agent.withAgent { client in
                let task = try await client.cancelTask(.init(id: taskID))
                format.write(task, pretty: task.pretty)
            }
        }
    }

    struct Subscribe: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows what further happens to a task.")

        @OptionGroup var agent: A2AAgentOptions
        @Argument(help: "The task.")
        var taskID: String
        @OptionGroup var format: OutputOptions

        func run() async throws {
            try await agent.withAgent { client in
                for try await event in try await client.subscribeToTask(.init(id: taskID)) { format.write(event) }
            }
        }
    }
}
