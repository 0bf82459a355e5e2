import A2A
import JOSE
import Synchronization

@testable import A2ATransport

/// A transport that plays what it was told and remembers what it was asked.
final class ScriptedAgent: A2AHTTPTransport {
    enum Turn: Sendable {
        case answer(Int, String, contentType: String = "application/json", headers: [String: String] = [:])
        /// A stream of events, each JSON text, after which it breaks off if it says so.
        case events([String], breaks: Bool = false)
        /// A body that breaks off.
        case half(String)
        case failure(A2AClientError)
    }

    struct Broken: Error {}

    private let state: Mutex<(turns: [Turn], requests: [A2AHTTPRequest])>

    init(_ turns: [Turn]) {
        state = Mutex((turns, []))
    }

    var requests: [A2AHTTPRequest] { state.withLock { $0.requests } }

    func send(_ request: A2AHTTPRequest) async throws -> A2AHTTPResponse {
        let turn = state.withLock { state -> Turn? in
            state.requests.append(request)
            return state.turns.isEmpty ? nil : state.turns.removeFirst()
        }
        switch turn {
        case .answer(let status, let body, let contentType, let headers):
            return A2AHTTPResponse(
                status: status, headers: [("Content-Type", contentType)] + headers.map { ($0.key, $0.value) },
                body: Self.body([Array(body.utf8)], breaks: false))
        case .events(let events, let breaks):
            // One byte after another: borders of chunks mean nothing.
            let text = events.map { "data: \($0)\n\n" }.joined()
            return A2AHTTPResponse(
                status: 200, headers: [("content-type", "text/event-stream; charset=utf-8")],
                body: Self.body(text.utf8.map { [$0] }, breaks: breaks))
        case .half(let body):
            return A2AHTTPResponse(status: 200, headers: [], body: Self.body([Array(body.utf8)], breaks: true))
        case .failure(let error): throw error
        case nil: throw A2AClientError.invalidAnswer("the script is over")
        }
    }

    private static func body(
        _ chunks: [[UInt8]], breaks: Bool
    ) -> any AsyncSequence<[UInt8], any Error> & Sendable {
        AsyncThrowingStream { continuation in
            for chunk in chunks { continuation.yield(chunk) }
            continuation.finish(throwing: breaks ? Broken() : nil)
        }
    }
}

extension ScriptedAgent {
    /// A client of the agent that does not wait between attempts.
    func client(
        _ binding: AgentInterface.ProtocolBinding = .httpJSON, tenant: String? = nil,
        _ change: (inout A2AClient.Settings) -> Void = { _ in }
    ) -> A2AClient {
        var settings = A2AClient.Settings()
        change(&settings)
        let url = "https://agent.example/a2a/"
        let wire = BindingSettings(extensions: settings.extensions, maximumAnswerBytes: settings.maximumAnswerBytes)
        let spoken: any ClientBinding =
            binding == .jsonRPC
            ? JSONRPCBinding(url: url, transport: self, settings: wire)
            : HTTPJSONBinding(url: url, transport: self, settings: wire)
        return A2AClient(
            interface: AgentInterface(url: url, protocolBinding: binding, tenant: tenant), binding: spoken,
            settings: settings, clock: RetryClock(sleep: { _ in }, chance: { 0 }))
    }
}

extension A2AHTTPRequest {
    var line: String { "\(method) \(url)" }

    func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }

    var json: JSONValue? { try? JSONValue(parsing: body) }
}

extension A2AEvents {
    func all() async throws -> [StreamEvent] {
        var events: [StreamEvent] = []
        for try await event in self { events.append(event) }
        return events
    }
}
