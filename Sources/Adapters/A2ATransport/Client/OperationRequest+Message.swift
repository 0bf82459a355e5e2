import A2A
import SwiftProtobuf

/// A message that has both forms: JSON, and that of gRPC's wire.
typealias AnyBindingMessage = ProtoJSONMessage & WireMessage

extension OperationRequest {
    /// The message of the request, for bindings that treat all alike.
    var message: any AnyBindingMessage {
        switch self {
        case .sendMessage(let request), .sendStreamingMessage(let request): request
        case .getTask(let request): request
        case .listTasks(let request): request
        case .cancelTask(let request): request
        case .subscribeToTask(let request): request
        case .createPushNotificationConfig(let config): config
        // To delete has a message of its own on gRPC's wire, with the same fields.
        case .getPushNotificationConfig(let request), .deletePushNotificationConfig(let request): request
        case .listPushNotificationConfigs(let request): request
        case .getExtendedAgentCard(let request): request
        }
    }

    /// The request for another tenant.
    func with(tenant: String?) -> OperationRequest {
        func changed<Request>(_ request: Request, _ path: WritableKeyPath<Request, String?>) -> Request {
            var request = request
            request[keyPath: path] = tenant
            return request
        }
        return switch self {
        case .sendMessage(let request): .sendMessage(changed(request, \.tenant))
        case .sendStreamingMessage(let request): .sendStreamingMessage(changed(request, \.tenant))
        case .getTask(let request): .getTask(changed(request, \.tenant))
        case .listTasks(let request): .listTasks(changed(request, \.tenant))
        case .cancelTask(let request): .cancelTask(changed(request, \.tenant))
        case .subscribeToTask(let request): .subscribeToTask(changed(request, \.tenant))
        case .createPushNotificationConfig(let config): .createPushNotificationConfig(changed(config, \.tenant))
        case .getPushNotificationConfig(let request): .getPushNotificationConfig(changed(request, \.tenant))
        case .listPushNotificationConfigs(let request): .listPushNotificationConfigs(changed(request, \.tenant))
        case .deletePushNotificationConfig(let request): .deletePushNotificationConfig(changed(request, \.tenant))
        case .getExtendedAgentCard(let request): .getExtendedAgentCard(changed(request, \.tenant))
        }
    }

    /// Whether doing it twice is doing it once. A message sent twice under one identifier is not: agents may take it for two.
    var isIdempotent: Bool {
        switch self {
        case .sendMessage, .sendStreamingMessage, .createPushNotificationConfig: false
        case .getTask, .listTasks, .cancelTask, .subscribeToTask, .getPushNotificationConfig,
            .listPushNotificationConfigs, .deletePushNotificationConfig, .getExtendedAgentCard:
            true
        }
    }
}

/// An answer that says nothing.
struct EmptyAnswer: AnyBindingMessage {
    init() {}

    init(reading fields: FieldReader) {}

    func write(to fields: inout FieldWriter) {}

    init(_ wire: Google_Protobuf_Empty) {}

    func wire() -> Google_Protobuf_Empty { Google_Protobuf_Empty() }
}
