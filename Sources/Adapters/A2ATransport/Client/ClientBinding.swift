import A2A

/// How a client's operations go over the wire.
protocol ClientBinding: Sendable {
    /// Does an operation with one answer, once.
    func call<Answer: AnyBindingMessage>(_ request: OperationRequest, _ type: Answer.Type) async throws -> Answer

    /// Does an operation that is answered with events, once, and hands each out before it reads the next; returns when the
    /// agent ends the stream.
    func stream(
        _ request: OperationRequest, _ receive: @escaping @Sendable (StreamEvent) async throws -> Void
    ) async throws
}

/// What all bindings send and expect.
struct BindingSettings: Sendable {
    /// URIs of the extensions that the client wants to use.
    var extensions: [String]
    /// The most bytes of one answer, and of one event.
    var maximumAnswerBytes: Int

    /// The service parameters, with the names that gRPC has.
    var parameters: [(name: String, value: String)] {
        var parameters = [(ServiceParameters.versionName, ProtocolVersion.v1.rawValue)]
        if !extensions.isEmpty {
            parameters.append((ServiceParameters.extensionsName, extensions.joined(separator: ",")))
        }
        return parameters
    }
}
