import JOSE

/// What an operation of the protocol is refused with, in whatever binding (A2A 1.0.1 §3.3.2, §5.4).
public struct A2AError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Which refusal.
    public let kind: Kind
    /// A sentence for people; never more than the caller may know.
    public let message: String
    /// Members of a request that are wrong; for ``Kind/invalidParams``.
    public let violations: [FieldViolation]
    /// More about the refusal, for machines (`metadata` of google.rpc.ErrorInfo).
    public let metadata: [String: String]

    /// A refusal; without a message it says what its kind means.
    public init(
        _ kind: Kind, _ message: String? = nil, violations: [FieldViolation] = [], metadata: [String: String] = [:]
    ) {
        self.kind = kind
        self.message = message ?? kind.meaning
        self.violations = violations
        self.metadata = metadata
    }

    /// A request with members that are wrong.
    public static func invalid(_ violations: [FieldViolation]) -> A2AError {
        A2AError(
            .invalidParams, violations.first.map { "invalid request: \($0.description)" }, violations: violations)
    }

    /// A request with a member that is wrong.
    public static func invalid(_ violation: FieldViolation) -> A2AError { invalid([violation]) }

    /// Kind and message.
    public var description: String { "\(kind): \(message)" }

    /// The refusals that the protocol names, and those that every binding has besides.
    public enum Kind: String, Sendable, CaseIterable {
        // A2A 1.0.1 §3.3.2
        /// There is no such task, or none of this caller.
        case taskNotFound = "TASK_NOT_FOUND"
        /// The task has ended.
        case taskNotCancelable = "TASK_NOT_CANCELABLE"
        /// The agent sends no push notifications.
        case pushNotificationNotSupported = "PUSH_NOTIFICATION_NOT_SUPPORTED"
        /// The agent does not do that, or not any more.
        case unsupportedOperation = "UNSUPPORTED_OPERATION"
        /// The agent does not take or make that media type.
        case contentTypeNotSupported = "CONTENT_TYPE_NOT_SUPPORTED"
        /// The agent has answered what the protocol does not allow.
        case invalidAgentResponse = "INVALID_AGENT_RESPONSE"
        /// The agent has no extended card.
        case extendedAgentCardNotConfigured = "EXTENDED_AGENT_CARD_NOT_CONFIGURED"
        /// The agent requires an extension that the client did not ask for.
        case extensionSupportRequired = "EXTENSION_SUPPORT_REQUIRED"
        /// The agent does not speak that version.
        case versionNotSupported = "VERSION_NOT_SUPPORTED"
        // Of the bindings
        /// The body is no JSON.
        case parseError = "PARSE_ERROR"
        /// The body is no request.
        case invalidRequest = "INVALID_REQUEST"
        /// There is no such method.
        case methodNotFound = "METHOD_NOT_FOUND"
        /// A member of the request is wrong.
        case invalidParams = "INVALID_PARAMS"
        /// Something went wrong in the agent.
        case internalError = "INTERNAL_ERROR"
        /// The caller has not proved who it is.
        case unauthenticated = "UNAUTHENTICATED"
        /// The caller may not do that.
        case permissionDenied = "PERMISSION_DENIED"
        /// The request is larger than the agent takes.
        case requestTooLarge = "REQUEST_TOO_LARGE"
        /// Too much at once.
        case resourceExhausted = "RESOURCE_EXHAUSTED"
        /// Not now.
        case unavailable = "UNAVAILABLE"
    }

    /// The domain of the protocol's own reasons in google.rpc.ErrorInfo.
    public static let domain = "a2a-protocol.org"
}

extension A2AError.Kind {
    /// The code in JSON-RPC (A2A 1.0.1 §5.4, JSON-RPC 2.0 §5.1). Refusals of identity and load have the one code that the
    /// protocol leaves to servers, -32000.
    package var jsonRPCCode: Int32 {
        switch self {
        case .taskNotFound: -32001
        case .taskNotCancelable: -32002
        case .pushNotificationNotSupported: -32003
        case .unsupportedOperation: -32004
        case .contentTypeNotSupported: -32005
        case .invalidAgentResponse: -32006
        case .extendedAgentCardNotConfigured: -32007
        case .extensionSupportRequired: -32008
        case .versionNotSupported: -32009
        case .parseError: -32700
        case .invalidRequest, .requestTooLarge: -32600
        case .methodNotFound: -32601
        case .invalidParams: -32602
        case .internalError: -32603
        case .unauthenticated, .permissionDenied, .resourceExhausted, .unavailable: -32000
        }
    }

    /// The status in gRPC, by name and number (A2A 1.0.1 §5.4).
    package var rpcStatus: RPCStatus {
        switch self {
        case .taskNotFound: .notFound
        case .taskNotCancelable, .pushNotificationNotSupported, .unsupportedOperation,
            .extendedAgentCardNotConfigured, .extensionSupportRequired, .versionNotSupported:
            .failedPrecondition
        case .contentTypeNotSupported, .parseError, .invalidRequest, .invalidParams: .invalidArgument
        case .methodNotFound: .unimplemented
        case .invalidAgentResponse, .internalError: .internal
        case .unauthenticated: .unauthenticated
        case .permissionDenied: .permissionDenied
        case .resourceExhausted, .requestTooLarge: .resourceExhausted
        case .unavailable: .unavailable
        }
    }

    /// The HTTP status of the HTTP+JSON binding (A2A 1.0.1 §5.4, §11.6).
    package var httpStatus: Int {
        switch self {
        case .methodNotFound: 404
        case .requestTooLarge: 413
        default: rpcStatus.httpStatus
        }
    }

    /// Whether the reason is one of the protocol's.
    package var isOfProtocol: Bool { (-32099 ... -32001).contains(jsonRPCCode) }

    var meaning: String {
        switch self {
        case .taskNotFound: "there is no such task"
        case .taskNotCancelable: "the task has ended and cannot be canceled"
        case .pushNotificationNotSupported: "this agent sends no push notifications"
        case .unsupportedOperation: "this agent does not support that operation"
        case .contentTypeNotSupported: "this agent does not support that media type"
        case .invalidAgentResponse: "the agent's answer is not valid"
        case .extendedAgentCardNotConfigured: "this agent has no extended card"
        case .extensionSupportRequired: "this agent requires an extension that the request does not declare"
        case .versionNotSupported: "this agent does not speak that version of the protocol"
        case .parseError: "the body is not valid JSON"
        case .invalidRequest: "the body is not a valid request"
        case .methodNotFound: "there is no such method"
        case .invalidParams: "the request is not valid"
        case .internalError: "internal error"
        case .unauthenticated: "authentication is required"
        case .permissionDenied: "not allowed"
        case .requestTooLarge: "the request is too large"
        case .resourceExhausted: "too much at once"
        case .unavailable: "not available at the moment"
        }
    }
}

/// The codes of google.rpc.Status that the protocol uses.
package enum RPCStatus: Int32, Sendable {
    case invalidArgument = 3
    case notFound = 5
    case permissionDenied = 7
    case resourceExhausted = 8
    case failedPrecondition = 9
    case unimplemented = 12
    case `internal` = 13
    case unavailable = 14
    case unauthenticated = 16

    /// As HTTP+JSON writes it.
    package var name: String {
        switch self {
        case .invalidArgument: "INVALID_ARGUMENT"
        case .notFound: "NOT_FOUND"
        case .permissionDenied: "PERMISSION_DENIED"
        case .resourceExhausted: "RESOURCE_EXHAUSTED"
        case .failedPrecondition: "FAILED_PRECONDITION"
        case .unimplemented: "UNIMPLEMENTED"
        case .internal: "INTERNAL"
        case .unavailable: "UNAVAILABLE"
        case .unauthenticated: "UNAUTHENTICATED"
        }
    }

    /// The HTTP status that belongs to it (google.rpc.Code).
    var httpStatus: Int {
        switch self {
        case .invalidArgument, .failedPrecondition: 400
        case .notFound: 404
        case .permissionDenied: 403
        case .resourceExhausted: 429
        case .unimplemented: 501
        case .internal: 500
        case .unavailable: 503
        case .unauthenticated: 401
        }
    }
}

extension A2AError {
    /// google.rpc.ErrorInfo, and google.rpc.BadRequest where members are wrong, as JSON-RPC's `data` and HTTP+JSON's
    /// `details` have them.
    package var details: [JSONValue] {
        var details: [JSONValue] = []
        if kind.isOfProtocol {
            var info: JSONObject = [
                "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": .string(kind.rawValue),
                "domain": .string(Self.domain),
            ]
            if !metadata.isEmpty {
                info["metadata"] = .object(
                    JSONObject(metadata.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
            }
            details.append(.object(info))
        }
        if !violations.isEmpty {
            details.append([
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": .array(
                    violations.map { ["field": .string($0.field), "description": .string($0.problem)] }),
            ])
        }
        return details
    }

    /// The body of HTTP+JSON (A2A 1.0.1 §11.6).
    package var httpBody: [UInt8] {
        var error: JSONObject = [
            "code": .number(JSONNumber(Int64(kind.httpStatus))), "status": .string(kind.rpcStatus.name),
            "message": .string(message),
        ]
        let details = details
        if !details.isEmpty { error["details"] = .array(details) }
        return JSONObject([("error", .object(error))]).serializedBytes
    }
}
