import JOSE
import SPIFFE
import Testing

@testable import A2A

@Suite struct BindingTests {
    /// The table of A2A 1.0.1 §5.4.
    @Test(arguments: [
        (A2AError.Kind.taskNotFound, -32001, "NOT_FOUND", 404),
        (.taskNotCancelable, -32002, "FAILED_PRECONDITION", 400),
        (.pushNotificationNotSupported, -32003, "FAILED_PRECONDITION", 400),
        (.unsupportedOperation, -32004, "FAILED_PRECONDITION", 400),
        (.contentTypeNotSupported, -32005, "INVALID_ARGUMENT", 400),
        (.invalidAgentResponse, -32006, "INTERNAL", 500),
        (.extendedAgentCardNotConfigured, -32007, "FAILED_PRECONDITION", 400),
        (.extensionSupportRequired, -32008, "FAILED_PRECONDITION", 400),
        (.versionNotSupported, -32009, "FAILED_PRECONDITION", 400),
        (.parseError, -32700, "INVALID_ARGUMENT", 400),
        (.invalidRequest, -32600, "INVALID_ARGUMENT", 400),
        (.methodNotFound, -32601, "UNIMPLEMENTED", 404),
        (.invalidParams, -32602, "INVALID_ARGUMENT", 400),
        (.internalError, -32603, "INTERNAL", 500),
        (.unauthenticated, -32000, "UNAUTHENTICATED", 401),
        (.permissionDenied, -32000, "PERMISSION_DENIED", 403),
        (.requestTooLarge, -32600, "RESOURCE_EXHAUSTED", 413),
        (.resourceExhausted, -32000, "RESOURCE_EXHAUSTED", 429),
        (.unavailable, -32000, "UNAVAILABLE", 503),
    ])
    func errorsHaveTheCodesOfTheTable(_ kind: A2AError.Kind, _ code: Int32, _ status: String, _ http: Int) throws {
        #expect(kind.jsonRPCCode == code)
        #expect(kind.rpcStatus.name == status)
        #expect(kind.httpStatus == http)
        let body = try JSONValue(parsing: A2AError(kind).httpBody)
        let error = try #require(body.objectValue?["error"]?.objectValue)
        #expect(error["code"]?.int64Value == Int64(http))
        #expect(error["status"]?.stringValue == status)
        let info = error["details"]?.arrayValue?.first?.objectValue
        #expect((info != nil) == kind.isOfProtocol)
        #expect(info == nil || info?["reason"]?.stringValue == kind.rawValue)
    }

    @Test func wrongMembersAreListedForMachines() throws {
        let answer = try JSONValue(
            parsing: JSONRPCResponse.failure(
                .number(7), .invalid([FieldViolation("message.role", "is required")])))
        #expect(
            answer == [
                "jsonrpc": "2.0", "id": 7,
                "error": [
                    "code": -32602, "message": "invalid request: message.role: is required",
                    "data": [
                        [
                            "@type": "type.googleapis.com/google.rpc.BadRequest",
                            "fieldViolations": [["field": "message.role", "description": "is required"]],
                        ]
                    ],
                ],
            ])
    }

    @Test(arguments: [
        ("{", A2AError.Kind.parseError, "null"),
        ("[]", .invalidRequest, "null"),
        (#"[{"jsonrpc":"2.0","id":1,"method":"GetTask"}]"#, .invalidRequest, "null"),
        (#"{"jsonrpc":"2.0","method":"GetTask"}"#, .invalidRequest, "null"),
        (#"{"jsonrpc":"2.0","id":1.5,"method":"GetTask"}"#, .invalidRequest, "null"),
        (#"{"jsonrpc":"2.0","id":{},"method":"GetTask"}"#, .invalidRequest, "null"),
        (#"{"id":"a","method":"GetTask"}"#, .invalidRequest, #""a""#),
        (#"{"jsonrpc":"2.0","id":"a\"b"}"#, .invalidRequest, #""a\"b""#),
        (#"{"jsonrpc":"2.0","id":1,"method":"GetTask","params":[]}"#, .invalidParams, "1"),
    ])
    func whatIsNoRequestIsRefusedUnderItsIdentifier(_ body: String, _ kind: A2AError.Kind, _ id: String) {
        do {
            _ = try JSONRPCRequest.read(body.utf8, limits: .default)
            Issue.record("it was read")
        } catch {
            #expect(error.error.kind == kind)
            let answer = String(decoding: JSONRPCResponse.failure(error.id, error.error), as: UTF8.self)
            #expect(answer.hasPrefix(#"{"jsonrpc":"2.0","id":\#(id),"error":"#))
        }
    }

    @Test(
        arguments: [
            ("POST", "/message:send", Operation.sendMessage, nil, nil, nil),
            ("POST", "/acme/message:stream", .sendStreamingMessage, "acme", nil, nil),
            ("GET", "/tasks/t-1", .getTask, nil, "t-1", nil),
            ("GET", "/tasks", .listTasks, nil, nil, nil),
            ("GET", "/tasks/tasks", .getTask, nil, "tasks", nil),
            ("GET", "/acme/tasks", .listTasks, "acme", nil, nil),
            ("POST", "/tasks/t%2F1:cancel", .cancelTask, nil, "t/1", nil),
            ("GET", "/tasks/t:subscribe", .subscribeToTask, nil, "t", nil),
            ("POST", "/acme/tasks/t:subscribe", .subscribeToTask, "acme", "t", nil),
            ("POST", "/tasks/t/pushNotificationConfigs", .createPushNotificationConfig, nil, "t", nil),
            ("GET", "/tasks/t/pushNotificationConfigs", .listPushNotificationConfigs, nil, "t", nil),
            ("GET", "/tasks/t/pushNotificationConfigs/c", .getPushNotificationConfig, nil, "t", "c"),
            ("DELETE", "/a/tasks/t/pushNotificationConfigs/c", .deletePushNotificationConfig, "a", "t", "c"),
            ("GET", "/extendedAgentCard", .getExtendedAgentCard, nil, nil, nil),
        ] as [(String, String, A2A.Operation, String?, String?, String?)])
    func pathsLeadToOperations(
        _ method: String, _ path: String, _ operation: A2A.Operation, _ tenant: String?, _ task: String?,
        _ config: String?
    ) throws {
        let route = try HTTPRoute(method: method, path: path)
        #expect(route.operation == operation)
        #expect(route.tenant == tenant)
        #expect(route.taskID == task)
        #expect(route.configID == config)
    }

    @Test(arguments: [
        ("GET", "/message:send", HTTPRoute.Miss.method(allowed: ["POST"])),
        ("DELETE", "/tasks/t/pushNotificationConfigs", .method(allowed: ["GET", "POST"])),
        ("POST", "/", .notFound), ("GET", "/v1/a/tasks", .notFound), ("GET", "/tasks/%ff", .notFound),
        ("GET", "/tasks/%2", .notFound), ("GET", "/tasks//", .notFound),
    ])
    func otherPathsLeadNowhere(_ method: String, _ path: String, _ miss: HTTPRoute.Miss) {
        #expect(throws: miss) { try HTTPRoute(method: method, path: path) }
    }

    @Test func aQueryIsReadAsTheRequest() throws {
        let route = try HTTPRoute(method: "GET", path: "/acme/tasks")
        let request = try route.request(
            body: JSONObject(),
            query: [
                ("contextId", "c"), ("status", "TASK_STATE_WORKING"), ("pageSize", "10"), ("includeArtifacts", "true"),
                ("statusTimestampAfter", "2026-01-01T00:00:00Z"), ("historyLength", "0"),
            ])
        #expect(
            request
                == .listTasks(
                    ListTasksRequest(
                        tenant: "acme", contextID: "c", status: .working, pageSize: 10, historyLength: 0,
                        statusTimestampAfter: UnixTime(rfc3339: "2026-01-01T00:00:00Z"), includeArtifacts: true)))
    }

    @Test func thePathGoesBeforeTheBody() throws {
        let route = try HTTPRoute(method: "POST", path: "/tasks/mine/pushNotificationConfigs")
        let request = try route.request(
            body: ["task_id": "other", "taskId": "another", "url": "https://receiver.example/"], query: [])
        guard case .createPushNotificationConfig(let config) = request else { throw A2AError(.internalError) }
        #expect(config.taskID == "mine")
    }

    @Test(
        arguments: [
            (nil, ProtocolVersion.v0_3), ("", .v0_3), ("1.0", .v1), (" 1.0 ", .v1), ("1.0.1", .v1), ("0.3", .v0_3),
        ] as [(String?, ProtocolVersion)])
    func versionsAreNegotiatedByTwoNumbers(_ text: String?, _ version: ProtocolVersion) throws {
        #expect(try ServiceParameters(version: text, extensions: []).version == version)
    }

    @Test(arguments: ["1", "1.1", "2.0", "0.2.5", "1.0.x", "1..0", "one"])
    func otherVersionsAreRefused(_ text: String) {
        let error = #expect(throws: A2AError.self) { try ServiceParameters(version: text, extensions: []) }
        #expect(error?.kind == .versionNotSupported)
    }

    @Test func extensionsAreOneListWithoutRepetitions() throws {
        let read = try ServiceParameters(
            version: "1.0", extensions: ["https://a.example/1, https://b.example/1", "https://a.example/1,,"])
        #expect(read.extensions == ["https://a.example/1", "https://b.example/1"])
        #expect(throws: A2AError.self) {
            try ServiceParameters(version: "1.0", extensions: [(0...40).map { "urn:x:\($0)" }.joined(separator: ",")])
        }
    }
}
