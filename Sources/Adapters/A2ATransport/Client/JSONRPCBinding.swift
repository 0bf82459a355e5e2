import A2A
import JOSE

/// The JSON-RPC binding (A2A 1.0.1 §9): every operation is a POST to one URL.
struct JSONRPCBinding: ClientBinding {
    let url: String
    let transport: any A2AHTTPTransport
    let settings: BindingSettings

    func call<Answer: AnyBindingMessage>(_ request: OperationRequest, _ type: Answer.Type) async throws -> Answer {
        let response = try await transport.send(httpRequest(request, accept: MediaType.json))
        let body = try await response.collect(upTo: settings.maximumAnswerBytes)
        guard let value = try? JSONValue(answer: body, upTo: settings.maximumAnswerBytes) else {
            guard (200..<300).contains(response.status) else { throw response.refusal() }
            throw A2AClientError.invalidAnswer("the body is not valid JSON")
        }
        let result = try result(of: value, response)
        // What has nothing to say is null.
        return try Answer(answer: type == EmptyAnswer.self ? .object(JSONObject()) : result)
    }

    func stream(
        _ request: OperationRequest, _ receive: @escaping @Sendable (StreamEvent) async throws -> Void
    ) async throws {
        let response = try await transport.send(httpRequest(request, accept: MediaType.events))
        guard response.isEventStream else {
            // A refusal comes as one answer.
            let body = try await response.collect(upTo: settings.maximumAnswerBytes)
            if let value = try? JSONValue(answer: body, upTo: settings.maximumAnswerBytes) {
                _ = try result(of: value, response)
            }
            guard (200..<300).contains(response.status) else { throw response.refusal() }
            throw A2AClientError.invalidAnswer("the answer is no stream of events")
        }
        try await response.forEachEvent(upTo: settings.maximumAnswerBytes) { value in
            try await receive(try StreamEvent(answer: try result(of: value, response)))
        }
    }

    /// There is one request on each connection's turn, so one identifier does for all.
    private static let id: Int64 = 1

    private func httpRequest(_ request: OperationRequest, accept: String) -> A2AHTTPRequest {
        var body = Array(#"{"jsonrpc":"2.0","id":\#(Self.id),"method":"\#(request.operation.rawValue)","params":"#.utf8)
        request.message.appendJSON(to: &body)
        body.append(UInt8(ascii: "}"))
        return A2AHTTPRequest(
            method: "POST", url: url,
            headers: [("content-type", MediaType.json), ("accept", accept)] + settings.parameters, body: body)
    }

    private func result(of value: JSONValue, _ response: A2AHTTPResponse) throws(A2AClientError) -> JSONValue {
        guard case .object(let answer) = value else { throw .invalidAnswer("the body is not an answer of JSON-RPC") }
        if case .object(let error)? = answer["error"] {
            let kind = error["code"]?.int64Value.flatMap(A2AError.Kind.init(jsonRPCCode:))
            throw .refused(
                A2AError(
                    received: error["message"]?.stringValue, details: error["data"]?.arrayValue ?? [],
                    otherwise: kind ?? (response.status >= 400 ? .init(httpStatus: response.status) : .internalError),
                    metadata: response.refusalMetadata))
        }
        guard (200..<300).contains(response.status) else { throw response.refusal() }
        guard let result = answer["result"] else { throw .invalidAnswer("the answer has neither result nor error") }
        guard answer["id"]?.int64Value == Self.id else { throw .invalidAnswer("the answer is to another request") }
        return result
    }
}

extension A2AHTTPResponse {
    /// A refusal of which nothing but the status is known.
    func refusal() -> A2AClientError {
        guard status >= 400 else { return .invalidAnswer("status \(status)") }
        let kind = A2AError.Kind(httpStatus: status)
        return .refused(A2AError(kind, "status \(status)", metadata: refusalMetadata))
    }
}
