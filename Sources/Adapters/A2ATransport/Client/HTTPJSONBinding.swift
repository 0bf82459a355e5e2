import A2A
import JOSE

/// The HTTP+JSON binding (A2A 1.0.1 §11): operations are methods and paths.
struct HTTPJSONBinding: ClientBinding {
    let url: String
    let transport: any A2AHTTPTransport
    let settings: BindingSettings

    func call<Answer: AnyBindingMessage>(_ request: OperationRequest, _ type: Answer.Type) async throws -> Answer {
        let response = try await transport.send(
            httpRequest(request, accept: "\(MediaType.a2a), \(MediaType.json)"))
        let body = try await response.collect(upTo: settings.maximumAnswerBytes)
        guard (200..<300).contains(response.status) else { throw refusal(response, body) }
        guard type != EmptyAnswer.self else { return try Answer(answer: .object(JSONObject())) }
        return try Answer(answer: try JSONValue(answer: body, upTo: settings.maximumAnswerBytes))
    }

    func stream(
        _ request: OperationRequest, _ receive: @escaping @Sendable (StreamEvent) async throws -> Void
    ) async throws {
        let response = try await transport.send(httpRequest(request, accept: MediaType.events))
        guard (200..<300).contains(response.status) else {
            throw refusal(response, try await response.collect(upTo: settings.maximumAnswerBytes))
        }
        guard response.isEventStream else {
            throw A2AClientError.invalidAnswer("the answer is no stream of events")
        }
        try await response.forEachEvent(upTo: settings.maximumAnswerBytes) { value in
            // What goes wrong in the middle of a stream is told by an event.
            if let error = Self.error(value) { throw refusal(response, error) }
            try await receive(try StreamEvent(answer: value))
        }
    }

    private static func error(_ value: JSONValue) -> JSONObject? { value.objectValue?["error"]?.objectValue }

    private func refusal(_ response: A2AHTTPResponse, _ body: [UInt8]) -> A2AClientError {
        guard response.status >= 400,
            let error = (try? JSONValue(answer: body, upTo: settings.maximumAnswerBytes)).flatMap(Self.error)
        else { return response.refusal() }
        return refusal(response, error)
    }

    private func refusal(_ response: A2AHTTPResponse, _ error: JSONObject) -> A2AClientError {
        let status = response.status >= 400 ? response.status : Int(error["code"]?.int64Value ?? 500)
        return .refused(
            A2AError(
                received: error["message"]?.stringValue, details: error["details"]?.arrayValue ?? [],
                otherwise: A2AError.Kind(httpStatus: status), metadata: response.refusalMetadata))
    }

    func httpRequest(_ request: OperationRequest, accept: String) -> A2AHTTPRequest {
        var path = url
        while path.hasSuffix("/") { path.removeLast() }
        if let tenant = request.tenant { path += "/" + tenant.percentEncoded }
        var http = A2AHTTPRequest(
            method: "GET", url: "", headers: [("accept", accept)] + settings.parameters)
        // The tenant stands in the path, and what the path says is not said again.
        let request = request.with(tenant: nil)
        func post(_ message: some ProtoJSONMessage) {
            http.method = "POST"
            http.headers.append(("content-type", MediaType.a2a))
            http.body = message.jsonBytes
        }
        switch request {
        case .sendMessage(let send):
            path += "/message:send"
            post(send)
        case .sendStreamingMessage(let send):
            path += "/message:stream"
            post(send)
        case .getTask(let get):
            path += "/tasks/" + get.id.percentEncoded + Self.query(get, without: ["id"])
        case .listTasks(let list):
            path += "/tasks" + Self.query(list, without: [])
        case .cancelTask(let cancel):
            path += "/tasks/" + cancel.id.percentEncoded + ":cancel"
            post(cancel)
        case .subscribeToTask(let subscribe):
            path += "/tasks/" + subscribe.id.percentEncoded + ":subscribe"
        case .createPushNotificationConfig(let config):
            path += "/tasks/" + (config.taskID ?? "").percentEncoded + "/pushNotificationConfigs"
            post(config)
        case .getPushNotificationConfig(let get):
            path += "/tasks/" + get.taskID.percentEncoded + "/pushNotificationConfigs/" + get.id.percentEncoded
        case .listPushNotificationConfigs(let list):
            path += "/tasks/" + list.taskID.percentEncoded + "/pushNotificationConfigs"
            path += Self.query(list, without: ["taskId"])
        case .deletePushNotificationConfig(let delete):
            http.method = "DELETE"
            path += "/tasks/" + delete.taskID.percentEncoded + "/pushNotificationConfigs/" + delete.id.percentEncoded
        case .getExtendedAgentCard:
            path += "/extendedAgentCard"
        }
        http.url = path
        return http
    }

    /// The members of a message as a query.
    private static func query(_ message: some ProtoJSONMessage, without names: [String]) -> String {
        guard let object = try? JSONObject(parsing: message.jsonBytes) else { return "" }
        let parameters = object.members.filter { !names.contains($0.name) }.map { name, value in
            let text = value.stringValue ?? String(decoding: value.serializedBytes, as: UTF8.self)
            return "\(name)=\(text.percentEncoded)"
        }
        return parameters.isEmpty ? "" : "?" + parameters.joined(separator: "&")
    }
}
