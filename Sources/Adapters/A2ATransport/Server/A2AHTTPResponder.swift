package import A2A
package import AgentTasks
import HTTPTypes
package import Hummingbird
import JOSE
import NIOCore
import OAuth

/// The bindings JSON-RPC and HTTP+JSON over HTTP, with the public card: one responder for an agent's listener.
///
/// All stand below one path. `POST` there, with and without a slash at its end, is JSON-RPC of versions 1.0 and 0.3; what lies below it is HTTP+JSON.
package struct A2AHTTPResponder<Context: RequestContext>: HTTPResponder {
    /// What an agent's listener admits.
    package struct Settings: Sendable {
        /// Where the agent stands, without a slash at its end; empty for the root.
        package var path: String
        /// The most bytes of a request's body.
        package var maximumBodySize = 8 << 20
        /// How deep JSON may be nested.
        package var maximumDepth = 64
        /// Seconds for which caches may keep the card.
        package var cardLifetime = 300
        /// Whether peers of version 0.3 are answered, in JSON-RPC.
        package var acceptsLegacy = true
        /// How often a silent stream shows that it lives.
        package var keepAlive: Duration = .seconds(15)

        package init(path: String = "") {
            self.path = path
        }
    }

    /// Why a request is refused before it reaches an operation, with the challenges for its answer.
    package struct Refusal: Error, Sendable {
        package let error: A2AError
        package let headers: HTTPFields

        package init(_ error: A2AError, headers: HTTPFields = [:]) {
            self.error = error
            self.headers = headers
        }
    }

    private let service: any A2AServing
    private let card: @Sendable () -> PublishedCard?
    private let settings: Settings
    private let authenticate: @Sendable (Request, Context) async throws(Refusal) -> A2ACaller

    /// - Parameters:
    ///   - card: the public card at this moment; nothing is found while there is none.
    ///   - authenticate: who sends a request.
    package init(
        service: any A2AServing, card: @escaping @Sendable () -> PublishedCard?, settings: Settings = Settings(),
        authenticate: @escaping @Sendable (Request, Context) async throws(Refusal) -> A2ACaller
    ) {
        self.service = service
        self.card = card
        self.settings = settings
        self.authenticate = authenticate
    }

    package func respond(to request: Request, context: Context) async throws -> Response {
        let path = request.uri.path
        if let response = cardResponse(request, path) { return response }
        guard path.hasPrefix(settings.path) else { return notFound() }
        let rest = path.dropFirst(settings.path.count)
        if rest.isEmpty || rest == "/" {
            guard request.method == .post else { return notAllowed(["POST"]) }
            return await jsonRPC(request, context)
        }
        guard rest.hasPrefix("/") else { return notFound() }
        if let call = TaskFacade.Call(method: request.method.rawValue, path: rest) {
            return await facade(call, request, context)
        }
        return await httpJSON(request, context, String(rest))
    }

    // The card

    private static var cardPaths: [String] { ["/.well-known/agent-card.json", "/.well-known/agent.json"] }

    private func cardResponse(_ request: Request, _ path: String) -> Response? {
        guard Self.cardPaths.contains(where: { path == $0 || path == settings.path + $0 }) else { return nil }
        guard request.method == .get || request.method == .head else { return notAllowed(["GET", "HEAD"]) }
        guard let card = card() else { return notFound() }
        var headers: HTTPFields = [
            .contentType: MediaType.json, .eTag: card.entityTag,
            .cacheControl: "public, max-age=\(settings.cardLifetime)",
        ]
        if card.matches(request.headers[.ifNoneMatch]) { return Response(status: .notModified, headers: headers) }
        headers[.contentLength] = String(card.json.count)
        return Response(
            status: .ok, headers: headers,
            body: request.method == .head ? .init() : .init(byteBuffer: ByteBuffer(bytes: card.json)))
    }

    // JSON-RPC (A2A 1.0.1 §9)

    private func jsonRPC(_ request: Request, _ context: Context) async -> Response {
        var id = JSONRPCRequest.ID.null
        do {
            let caller = try await authenticate(request, context)
            let body = try await self.body(of: request)
            let call = try JSONRPCRequest.read(body.readableBytesView, limits: limits)
            id = call.id
            if let operation = Operation(legacyMethod: call.method) {
                return try await legacy(operation, call, request, caller)
            }
            // Names of methods tell the versions apart, so that whoever calls one of 1.0 may leave the version out.
            let parameters = try parameters(of: request, defaultVersion: ProtocolVersion.v1.rawValue)
            guard parameters.version == .v1, let operation = Operation(rawValue: call.method) else {
                throw A2AError(.methodNotFound)
            }
            let typed: OperationRequest
            do throws(FieldViolation) {
                typed = try OperationRequest(operation, reading: FieldReader(call.params))
            } catch {
                throw A2AError.invalid(error)
            }
            switch try await service.answer(typed, A2ACall(caller: caller, parameters: parameters)) {
            case .json(let result):
                return json(.ok, JSONRPCResponse.success(id, result: result), MediaType.json, parameters)
            case .nothing:
                return json(.ok, JSONRPCResponse.success(id, result: Array("null".utf8)), MediaType.json, parameters)
            case .stream(let stream):
                let prefix = JSONRPCResponse.prefix(call.id)
                return events(stream, parameters, failure: { JSONRPCResponse.failure(call.id, $0) }) { event, bytes in
                    bytes.append(contentsOf: prefix)
                    bytes.append(contentsOf: event.json)
                    bytes.append(UInt8(ascii: "}"))
                }
            }
        } catch let failure as JSONRPCFailure {
            return self.failure(failure.error, JSONRPCResponse.failure(failure.id, failure.error), [:])
        } catch let refusal as Refusal {
            return failure(refusal.error, JSONRPCResponse.failure(id, refusal.error), refusal.headers)
        } catch {
            let error = error as? A2AError ?? A2AError(.internalError)
            return failure(error, JSONRPCResponse.failure(id, error), [:])
        }
    }

    /// A method of version 0.3 (A2A 1.0.1 §3.6.2): what the version says must not contradict the name.
    private func legacy(
        _ operation: Operation, _ call: JSONRPCRequest, _ request: Request, _ caller: A2ACaller
    ) async throws -> Response {
        guard settings.acceptsLegacy else {
            throw A2AError(.versionNotSupported, "this agent speaks version 1.0", metadata: ["supported": "1.0"])
        }
        var parameters = try parameters(of: request)
        guard parameters.version == .v0_3 else { throw A2AError(.methodNotFound) }
        if parameters.extensions.isEmpty {
            parameters = try ServiceParameters(
                version: parameters.version.rawValue, extensions: request.headers[values: .xA2AExtensions])
        }
        let typed: LegacyRequest
        do throws(FieldViolation) {
            typed = try LegacyRequest(operation, reading: FieldReader(call.params))
        } catch {
            throw A2AError.invalid(error)
        }
        switch try await service.answer(typed, A2ACall(caller: caller, parameters: parameters)) {
        case .json(let result):
            return json(.ok, JSONRPCResponse.success(call.id, result: result), MediaType.json, parameters)
        case .nothing:
            return json(.ok, JSONRPCResponse.success(call.id, result: Array("null".utf8)), MediaType.json, parameters)
        case .stream(let stream):
            let prefix = JSONRPCResponse.prefix(call.id)
            let endsWithTurn = operation == .sendStreamingMessage
            return events(stream, parameters, failure: { JSONRPCResponse.failure(call.id, $0) }) { event, bytes in
                bytes.append(contentsOf: prefix)
                LegacyStreamEvent(event.event, endsWithTurn: endsWithTurn).appendJSON(to: &bytes)
                bytes.append(UInt8(ascii: "}"))
            }
        }
    }

    /// JSON-RPC answers with status 200 whatever the protocol's error; identity and load are matters of HTTP.
    private func failure(_ error: A2AError, _ body: [UInt8], _ headers: HTTPFields) -> Response {
        let status: HTTPResponse.Status =
            switch error.kind {
            case .unauthenticated: .unauthorized
            case .permissionDenied: .forbidden
            case .requestTooLarge: .contentTooLarge
            case .resourceExhausted: .tooManyRequests
            case .unavailable: .serviceUnavailable
            default: .ok
            }
        return json(status, body, MediaType.json, nil, headers)
    }

    // HTTP+JSON (A2A 1.0.1 §11)

    private func httpJSON(_ request: Request, _ context: Context, _ path: String) async -> Response {
        do {
            let route: HTTPRoute
            do throws(HTTPRoute.Miss) {
                route = try HTTPRoute(method: request.method.rawValue, path: path)
            } catch {
                // Who may not call learns nothing of what is there.
                _ = try await authenticate(request, context)
                switch error {
                case .notFound: return json(A2AError(.methodNotFound, "there is nothing here"), [:])
                case .method(let allowed): return notAllowed(allowed)
                }
            }
            let caller = try await authenticate(request, context)
            let parameters = try parameters(of: request, defaultVersion: ProtocolVersion.v1.rawValue)
            guard parameters.version == .v1 else {
                throw A2AError(.versionNotSupported, "this agent speaks version 0.3 over JSON-RPC alone")
            }
            let body = try await bodyObject(of: request)
            let typed: OperationRequest
            do throws(FieldViolation) {
                typed = try route.request(body: body, query: try query(of: request))
            } catch {
                throw A2AError.invalid(error)
            }
            switch try await service.answer(typed, A2ACall(caller: caller, parameters: parameters)) {
            case .json(let result):
                return json(.ok, result, MediaType.a2a, parameters)
            case .nothing:
                return json(.ok, Array("{}".utf8), MediaType.a2a, parameters)
            case .stream(let stream):
                return events(stream, parameters, failure: \.httpBody) { event, bytes in
                    bytes.append(contentsOf: event.json)
                }
            }
        } catch let refusal as Refusal {
            return json(refusal.error, refusal.headers)
        } catch {
            return json(error as? A2AError ?? A2AError(.internalError), [:])
        }
    }

    // The facade for callers that know tasks and nothing of the protocol

    private func facade(_ call: TaskFacade.Call, _ request: Request, _ context: Context) async -> Response {
        do {
            let caller = try await authenticate(request, context)
            let parameters = ServiceParameters()
            let facade = TaskFacade(service: service, call: A2ACall(caller: caller, parameters: parameters))
            switch call {
            case .start:
                let body = try await bodyObject(of: request)
                let answer = try await facade.start(body)
                var headers: HTTPFields = [
                    .location: "\(settings.path)/status/\(answer.taskID.percentEncoded)"
                ]
                if !answer.hasEnded { headers[.retryAfter] = "1" }
                return json(
                    answer.hasEnded ? .ok : .accepted, answer.body.serializedBytes, MediaType.json, parameters, headers)
            case .status(let id):
                return json(.ok, try await facade.status(id).serializedBytes, MediaType.json, parameters)
            }
        } catch let refusal as Refusal {
            return json(refusal.error, refusal.headers)
        } catch {
            return json(error as? A2AError ?? A2AError(.internalError), [:])
        }
    }

    private func bodyObject(of request: Request) async throws -> JSONObject {
        guard request.method == .post else { return JSONObject() }
        let body = try await self.body(of: request)
        // A cancellation or a subscription needs none.
        guard body.readableBytes > 0 else { return JSONObject() }
        let value: JSONValue
        do {
            value = try JSONValue(parsing: body.readableBytesView, limits: limits)
        } catch {
            throw A2AError(.parseError)
        }
        guard case .object(let object) = value else { throw A2AError(.invalidRequest, "the body must be an object") }
        return object
    }

    private func query(of request: Request) throws(FieldViolation) -> [(name: String, value: String)] {
        guard let query = request.uri.query else { return [] }
        do {
            // The version may come in the query too; it is no member of a request.
            return try FormParameters(parsing: query.utf8, limits: FormLimits(maximumCount: 32)).fields
                .filter { $0.name.lowercased() != ServiceParameters.versionName }.map { ($0.name, $0.value) }
        } catch {
            throw FieldViolation("", "the query cannot be read: \(error)")
        }
    }

    // What both have in common

    private var limits: JSONLimits {
        JSONLimits(maximumBytes: settings.maximumBodySize, maximumDepth: settings.maximumDepth)
    }

    private func body(of request: Request) async throws -> ByteBuffer {
        // A body without a type is taken for JSON; one of another type is not looked at.
        if let type = request.headers[.contentType], !MediaType.isJSON(type) {
            throw A2AError(.contentTypeNotSupported, "the body must be \(MediaType.json)")
        }
        do {
            return try await request.body.collect(upTo: settings.maximumBodySize)
        } catch is NIOTooManyBytesError {
            throw A2AError(.requestTooLarge, "the body is larger than \(settings.maximumBodySize) bytes")
        }
    }

    private func parameters(of request: Request, defaultVersion: String? = nil) throws(A2AError) -> ServiceParameters {
        let version =
            request.headers[.a2aVersion] ?? request.uri.queryParameters["A2A-Version"].map(String.init)
            ?? defaultVersion
        return try ServiceParameters(version: version, extensions: request.headers[values: .a2aExtensions])
    }

    private func headers(_ parameters: ServiceParameters?) -> HTTPFields {
        var headers: HTTPFields = [.cacheControl: "no-store"]
        let activated = parameters.map(service.activatedExtensions) ?? []
        if !activated.isEmpty {
            headers[.a2aExtensions] = activated.joined(separator: ", ")
            if parameters?.version == .v0_3 { headers[.xA2AExtensions] = headers[.a2aExtensions] }
        }
        return headers
    }

    private func json(
        _ status: HTTPResponse.Status, _ body: [UInt8], _ type: String, _ parameters: ServiceParameters?,
        _ more: HTTPFields = [:]
    ) -> Response {
        var headers = headers(parameters)
        headers[.contentType] = type
        headers[.contentLength] = String(body.count)
        headers.append(contentsOf: more)
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: body)))
    }

    private func json(_ error: A2AError, _ headers: HTTPFields) -> Response {
        json(.init(code: error.kind.httpStatus), error.httpBody, MediaType.json, nil, headers)
    }

    private func notFound() -> Response { Response(status: .notFound, headers: [.contentLength: "0"]) }

    private func notAllowed(_ methods: [String]) -> Response {
        Response(
            status: .methodNotAllowed,
            headers: [.allow: methods.joined(separator: ", "), .contentLength: "0"])
    }

    /// A stream of events. What waits goes out at once; a failure in the middle is the last event.
    private func events(
        _ stream: EventStream, _ parameters: ServiceParameters, failure: @escaping @Sendable (A2AError) -> [UInt8],
        write: @escaping @Sendable (PublishedEvent, inout [UInt8]) -> Void
    ) -> Response {
        var headers = headers(parameters)
        headers[.contentType] = MediaType.events
        headers[.xAccelBuffering] = "no"
        let keepAlive = settings.keepAlive
        return Response(
            status: .ok, headers: headers,
            body: ResponseBody { writer in
                let iterator = stream.makeAsyncIterator()
                let nudging = Task {
                    while true {
                        try await Task.sleep(for: keepAlive)
                        stream.nudge()
                    }
                }
                defer { nudging.cancel() }
                var bytes: [UInt8] = []
                do {
                    while let batch = try await iterator.nextBatch() {
                        bytes.removeAll(keepingCapacity: true)
                        for event in batch {
                            ServerSentEventWriter.append(to: &bytes) { write(event, &$0) }
                        }
                        if batch.isEmpty { bytes += ServerSentEventWriter.keepAlive }
                        try await writer.write(ByteBuffer(bytes: bytes))
                    }
                } catch let error as A2AError {
                    bytes.removeAll(keepingCapacity: true)
                    ServerSentEventWriter.append(data: failure(error), to: &bytes)
                    try await writer.write(ByteBuffer(bytes: bytes))
                }
                try await writer.finish(nil)
            })
    }
}

extension HTTPField.Name {
    // The literals are field names.
    static let a2aVersion = HTTPField.Name("A2A-Version") ?? .accept
    static let a2aExtensions = HTTPField.Name("A2A-Extensions") ?? .accept
    /// What version 0.3 has in place of `A2A-Extensions`.
    static let xA2AExtensions = HTTPField.Name("X-A2A-Extensions") ?? .accept
    static let xAccelBuffering = HTTPField.Name("X-Accel-Buffering") ?? .accept
}
