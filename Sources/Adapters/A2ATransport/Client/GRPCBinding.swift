import A2A
import GRPCCore
import GRPCProtobuf
import PeerRPC
import SwiftProtobuf

/// The gRPC binding (A2A 1.0.1 §10), over one connection that is kept while the client lives.
final class GRPCBinding: ClientBinding {
    private let client: GRPCClient<PeerClientTransport>
    private let connection: Task<Void, Never>
    private let settings: BindingSettings
    private let metadata: @Sendable () async throws -> [(name: String, value: String)]

    init(
        _ target: PeerClientSettings.Target, security: PeerClientSettings.Security, settings: BindingSettings,
        metadata: @escaping @Sendable () async throws -> [(name: String, value: String)] = { [] }
    ) {
        let client = GRPCClient(
            transport: PeerClientTransport(
                PeerClientSettings(
                    target: target, security: security,
                    pauses: .init(first: .milliseconds(100), longest: .seconds(5)),
                    keepAlive: .init(interval: .seconds(60), patience: .seconds(20)))))
        self.client = client
        self.settings = settings
        self.metadata = metadata
        connection = Task { try? await client.runConnections() }
    }

    // Calls hold the binding: none is under way.
    deinit { connection.cancel() }

    func call<Answer: AnyBindingMessage>(_ request: OperationRequest, _ type: Answer.Type) async throws -> Answer {
        try await call(request.operation, request.message, type)
    }

    private func call<Request: AnyBindingMessage, Answer: AnyBindingMessage>(
        _ operation: Operation, _ message: Request, _ type: Answer.Type
    ) async throws -> Answer {
        let request = try await self.request(message)
        let wire = try await Self.translating {
            try await self.client.unary(
                request: request, descriptor: Self.method(operation), serializer: ProtobufSerializer<Request.Wire>(),
                deserializer: ProtobufDeserializer<Answer.Wire>(), options: self.options
            ) { try $0.message }
        }
        return try Self.reading { () throws(FieldViolation) in try Answer(wire) }
    }

    func stream(
        _ request: OperationRequest, _ receive: @escaping @Sendable (StreamEvent) async throws -> Void
    ) async throws {
        try await stream(request.operation, request.message, receive)
    }

    private func stream<Request: AnyBindingMessage>(
        _ operation: Operation, _ message: Request, _ receive: @escaping @Sendable (StreamEvent) async throws -> Void
    ) async throws {
        let request = try await self.request(message)
        try await Self.translating {
            try await self.client.serverStreaming(
                request: request, descriptor: Self.method(operation), serializer: ProtobufSerializer<Request.Wire>(),
                deserializer: ProtobufDeserializer<Lf_A2a_V1_StreamResponse>(), options: self.options
            ) { response in
                for try await wire in response.messages {
                    try await receive(try Self.reading { () throws(FieldViolation) in try StreamEvent(wire) })
                }
            }
        }
    }

    private func request<Request: AnyBindingMessage>(
        _ message: Request
    ) async throws -> ClientRequest<Request.Wire> {
        let wire: Request.Wire
        do throws(FieldViolation) {
            wire = try message.wire()
        } catch {
            throw A2AClientError.refused(.invalid(error))
        }
        var metadata = Metadata()
        for (name, value) in settings.parameters { metadata.addString(value, forKey: name) }
        for (name, value) in try await self.metadata() { metadata.addString(value, forKey: name.lowercased()) }
        return ClientRequest(message: wire, metadata: metadata)
    }

    private var options: CallOptions {
        var options = CallOptions.defaults
        options.waitForReady = false
        options.maxResponseMessageBytes = settings.maximumAnswerBytes
        return options
    }

    private static func method(_ operation: Operation) -> MethodDescriptor {
        MethodDescriptor(
            service: Lf_A2a_V1_A2AService.descriptor, method: operation.rawValue)
    }

    private static func reading<Value>(_ read: () throws(FieldViolation) -> Value) throws -> Value {
        do throws(FieldViolation) {
            return try read()
        } catch {
            throw A2AClientError.invalidAnswer("\(error)")
        }
    }

    private static func translating<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as RPCError {
            if error.code == .cancelled, Task.isCancelled { throw CancellationError() }
            throw A2AClientError(error)
        }
    }
}

extension A2AClientError {
    /// A refusal of gRPC: by the reason of its ErrorInfo, else by its status.
    init(_ error: RPCError) {
        let details = (try? error.unpackGoogleRPCStatus())?.details ?? []
        let hasReason = details.contains { $0.errorInfo?.domain == A2AError.domain }
        if !hasReason {
            switch error.code {
            case .deadlineExceeded:
                self = .timedOut
                return
            case .unavailable where error.isConnectFailure:
                self = .unreachable(error.message.shown(upTo: 512))
                return
            case .unavailable, .cancelled:
                // Whether the server said so or went away in the middle looks the same.
                self = .noAnswer(error.message.shown(upTo: 512))
                return
            default: break
            }
        }
        let json = details.prefix(A2AError.maximumDetails).compactMap(\.asJSON)
        self = .refused(A2AError(received: error.message, details: json, otherwise: A2AError.Kind(error.code)))
    }
}

extension ErrorDetails {
    /// The detail as the other bindings have it, if it is one that the protocol uses.
    fileprivate var asJSON: JSONValue? {
        if let errorInfo {
            return [
                "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": .string(errorInfo.reason),
                "domain": .string(errorInfo.domain),
                "metadata": .object(JSONObject(errorInfo.metadata.map { ($0.key, .string($0.value)) })),
            ]
        }
        if let badRequest {
            return [
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": .array(
                    badRequest.violations.map {
                        ["field": .string($0.field), "description": .string($0.violationDescription)]
                    }),
            ]
        }
        return nil
    }
}

extension A2AError.Kind {
    fileprivate init(_ code: RPCError.Code) {
        self =
            switch code {
            case .notFound: .taskNotFound
            case .failedPrecondition: .unsupportedOperation
            case .invalidArgument, .outOfRange: .invalidParams
            case .unimplemented: .methodNotFound
            case .unauthenticated: .unauthenticated
            case .permissionDenied: .permissionDenied
            case .resourceExhausted: .resourceExhausted
            case .unavailable: .unavailable
            default: .internalError
            }
    }
}
