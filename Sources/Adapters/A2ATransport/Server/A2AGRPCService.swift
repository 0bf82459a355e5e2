import A2A
package import AgentTasks
package import GRPCCore
import GRPCProtobuf
package import PeerRPC
import SPIFFE
package import SwiftProtobuf

/// The gRPC binding (A2A 1.0.1 §10) of an agent's operations.
package struct A2AGRPCService: Lf_A2a_V1_A2AService.ServiceProtocol {
    /// Who calls, by the connection and by what came with the call. An ``A2AError`` that it throws is the answer; what any other
    /// error says is nobody's business.
    package typealias Authenticate = @Sendable (ConnectionPeer?, Metadata) async throws -> A2ACaller

    private let service: any A2AServing
    private let authenticate: Authenticate

    package init(service: any A2AServing, authenticate: @escaping Authenticate) {
        self.service = service
        self.authenticate = authenticate
    }

    /// The caller by the X.509-SVID of the connection alone, which the server's own verification has accepted; anonymous
    /// without one.
    package static let callersBySVID: Authenticate = { peer, _ in
        guard let leaf = peer?.certificateChain?.first else { return .anonymous }
        guard let certificate = try? ParsedCertificate(der: leaf), let id = try? X509SVIDProfile.leafID(certificate)
        else { throw A2AError(.unauthenticated) }
        return A2ACaller(method: .mutualTLS, name: id.string)
    }

    package func sendMessage(
        request: ServerRequest<Lf_A2a_V1_SendMessageRequest>, context: ServerContext
    ) async throws -> ServerResponse<Lf_A2a_V1_SendMessageResponse> {
        try await answer(request, context, service.sendMessage)
    }

    package func sendStreamingMessage(
        request: ServerRequest<Lf_A2a_V1_SendMessageRequest>, context: ServerContext
    ) async throws -> StreamingServerResponse<Lf_A2a_V1_StreamResponse> {
        try await stream(request, context, service.sendStreamingMessage)
    }

    package func getTask(
        request: ServerRequest<Lf_A2a_V1_GetTaskRequest>, context: ServerContext
    ) async throws -> ServerResponse<Lf_A2a_V1_Task> {
        try await answer(request, context, service.getTask)
    }

    package func listTasks(
        request: ServerRequest<Lf_A2a_V1_ListTasksRequest>, context: ServerContext
    ) async throws -> ServerResponse<Lf_A2a_V1_ListTasksResponse> {
        try await answer(request, context, service.listTasks)
    }

    package func cancelTask(
        request: ServerRequest<Lf_A2a_V1_CancelTaskRequest>, context: ServerContext
    ) async throws -> ServerResponse<Lf_A2a_V1_Task> {
        try await answer(request, context, service.cancelTask)
    }

    package func subscribeToTask(
        request: ServerRequest<Lf_A2a_V1_SubscribeToTaskRequest>, context: ServerContext
    ) async throws -> StreamingServerResponse<Lf_A2a_V1_StreamResponse> {
        try await stream(request, context, service.subscribeToTask)
    }

    package func createTaskPushNotificationConfig(
        request: ServerRequest<Lf_A2a_V1_TaskPushNotificationConfig>, context: ServerContext
    ) async throws -> ServerResponse<Lf_A2a_V1_TaskPushNotificationConfig> {
        try await answer(request, context, service.createPushNotificationConfig)
    }

    package func getTaskPushNotificationConfig(
        request: ServerRequest<Lf_A2a_V1_GetTaskPushNotificationConfigRequest>, context: ServerContext
    ) async throws -> ServerResponse<Lf_A2a_V1_TaskPushNotificationConfig> {
        try await answer(request, context, service.getPushNotificationConfig)
    }

    package func listTaskPushNotificationConfigs(
        request: ServerRequest<Lf_A2a_V1_ListTaskPushNotificationConfigsRequest>, context: ServerContext
    ) async throws -> ServerResponse<Lf_A2a_V1_ListTaskPushNotificationConfigsResponse> {
        try await answer(request, context, service.listPushNotificationConfigs)
    }

    package func deleteTaskPushNotificationConfig(
        request: ServerRequest<Lf_A2a_V1_DeleteTaskPushNotificationConfigRequest>, context: ServerContext
    ) async throws -> ServerResponse<Google_Protobuf_Empty> {
        let call = try await call(request.metadata, context)
        try await Self.refusing { () throws(A2AError) in
            try await service.deletePushNotificationConfig(PushNotificationConfigRequest(request.message), call)
        }
        return ServerResponse(message: Google_Protobuf_Empty(), metadata: metadata(call))
    }

    package func getExtendedAgentCard(
        request: ServerRequest<Lf_A2a_V1_GetExtendedAgentCardRequest>, context: ServerContext
    ) async throws -> ServerResponse<Lf_A2a_V1_AgentCard> {
        try await answer(request, context) {
            (request: GetExtendedAgentCardRequest, call: A2ACall) async throws(A2AError) -> AgentCard in
            let text = try await service.getExtendedAgentCard(request, call)
            guard let json = try? JSONValue(parsing: text), let card = try? AgentCard(json: json) else {
                throw A2AError(.internalError)
            }
            return card
        }
    }

    // What all operations have in common

    private func answer<Request: WireMessage, Answer: WireMessage>(
        _ request: ServerRequest<Request.Wire>, _ context: ServerContext,
        _ operation: (Request, A2ACall) async throws(A2AError) -> Answer
    ) async throws -> ServerResponse<Answer.Wire> {
        let call = try await call(request.metadata, context)
        let wire = try await Self.refusing { () async throws(A2AError) in
            try Self.wire(of: try await operation(try Self.read(request.message), call))
        }
        return ServerResponse(message: wire, metadata: metadata(call))
    }

    private func stream<Request: WireMessage>(
        _ request: ServerRequest<Request.Wire>, _ context: ServerContext,
        _ operation: (Request, A2ACall) async throws(A2AError) -> EventStream
    ) async throws -> StreamingServerResponse<Lf_A2a_V1_StreamResponse> {
        let call = try await call(request.metadata, context)
        let stream = try await Self.refusing { () async throws(A2AError) in
            try await operation(try Self.read(request.message), call)
        }
        return StreamingServerResponse(metadata: metadata(call)) { writer in
            try await context.untilCancelled {
                let events = stream.makeAsyncIterator()
                while let event = try await Self.refusing({ () async throws(A2AError) in try await events.next() }) {
                    let wire = try await Self.refusing { () throws(A2AError) in try Self.wire(of: event.event) }
                    try await writer.write(wire)
                }
            }
            return [:]
        }
    }

    /// Identity first: whoever may not call learns nothing of what is wrong with the request.
    private func call(_ metadata: Metadata, _ context: ServerContext) async throws -> A2ACall {
        try await Self.refusing { () async throws(A2AError) in
            let caller: A2ACaller
            do {
                caller = try await authenticate(context.connectionPeer, metadata)
            } catch {
                throw error as? A2AError ?? A2AError(.internalError)
            }
            // The package's own name says version 1.
            let version =
                metadata[stringValues: ServiceParameters.versionName].first { _ in true } ?? ProtocolVersion.v1.rawValue
            let parameters = try ServiceParameters(
                version: version, extensions: Array(metadata[stringValues: ServiceParameters.extensionsName]))
            return A2ACall(caller: caller, parameters: parameters)
        }
    }

    private func metadata(_ call: A2ACall) -> Metadata {
        let activated = service.activatedExtensions(call.parameters)
        return activated.isEmpty ? [:] : [ServiceParameters.extensionsName: "\(activated.joined(separator: ", "))"]
    }

    private static func read<Request: WireMessage>(_ wire: Request.Wire) throws(A2AError) -> Request {
        do throws(FieldViolation) {
            return try Request(wire)
        } catch {
            throw .invalid(error)
        }
    }

    /// An answer that cannot be written is the agent's fault, not the caller's.
    private static func wire<Answer: WireMessage>(of answer: Answer) throws(A2AError) -> Answer.Wire {
        do throws(FieldViolation) {
            return try answer.wire()
        } catch {
            throw A2AError(.invalidAgentResponse, "the agent's answer has no form in gRPC: \(error)")
        }
    }

    private static func refusing<Value>(
        _ body: () async throws(A2AError) -> Value
    ) async throws -> Value {
        do throws(A2AError) {
            return try await body()
        } catch {
            throw GoogleRPCStatus(error)
        }
    }
}

extension GoogleRPCStatus {
    /// A refusal with the details that the other bindings give too (A2A 1.0.1 §10.6).
    init(_ error: A2AError) {
        var details: [ErrorDetails] = []
        if error.kind.isOfProtocol {
            details.append(.errorInfo(reason: error.kind.rawValue, domain: A2AError.domain, metadata: error.metadata))
        }
        if !error.violations.isEmpty {
            // Trailers have little room.
            let violations = error.violations.prefix(16).map { violation in
                ErrorDetails.BadRequest.FieldViolation(
                    field: violation.field.shown(upTo: 128), description: violation.problem.shown(upTo: 128))
            }
            details.append(.badRequest(violations: violations))
        }
        self.init(code: RPCError.Code(error.kind.rpcStatus), message: error.message, details: details)
    }
}

extension RPCError.Code {
    fileprivate init(_ status: RPCStatus) {
        self =
            switch status {
            case .invalidArgument: .invalidArgument
            case .notFound: .notFound
            case .permissionDenied: .permissionDenied
            case .resourceExhausted: .resourceExhausted
            case .failedPrecondition: .failedPrecondition
            case .unimplemented: .unimplemented
            case .internal: .internalError
            case .unavailable: .unavailable
            case .unauthenticated: .unauthenticated
            }
    }
}
