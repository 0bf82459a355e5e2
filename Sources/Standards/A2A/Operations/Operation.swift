/// The operations of the protocol (A2A 1.0.1 §3.1, §5.3). The raw values are the methods of JSON-RPC and of gRPC.
public enum Operation: String, Sendable, CaseIterable {
    /// Sends a message and waits.
    case sendMessage = "SendMessage"
    /// Sends a message and streams what follows.
    case sendStreamingMessage = "SendStreamingMessage"
    /// Reads a task.
    case getTask = "GetTask"
    /// Lists tasks.
    case listTasks = "ListTasks"
    /// Gives a task up.
    case cancelTask = "CancelTask"
    /// Streams what further happens to a task.
    case subscribeToTask = "SubscribeToTask"
    /// Has the agent tell a receiver of a task's updates.
    case createPushNotificationConfig = "CreateTaskPushNotificationConfig"
    /// Reads such a configuration.
    case getPushNotificationConfig = "GetTaskPushNotificationConfig"
    /// Lists such configurations.
    case listPushNotificationConfigs = "ListTaskPushNotificationConfigs"
    /// Deletes such a configuration.
    case deletePushNotificationConfig = "DeleteTaskPushNotificationConfig"
    /// Reads the card that the agent shows to this caller.
    case getExtendedAgentCard = "GetExtendedAgentCard"

    /// Whether the answer is a stream of events.
    public var isStreaming: Bool { self == .sendStreamingMessage || self == .subscribeToTask }

    /// The method of version 0.3 in JSON-RPC, if there was one.
    package var legacyMethod: String? {
        switch self {
        case .sendMessage: "message/send"
        case .sendStreamingMessage: "message/stream"
        case .getTask: "tasks/get"
        case .listTasks: nil
        case .cancelTask: "tasks/cancel"
        case .subscribeToTask: "tasks/resubscribe"
        case .createPushNotificationConfig: "tasks/pushNotificationConfig/set"
        case .getPushNotificationConfig: "tasks/pushNotificationConfig/get"
        case .listPushNotificationConfigs: "tasks/pushNotificationConfig/list"
        case .deletePushNotificationConfig: "tasks/pushNotificationConfig/delete"
        case .getExtendedAgentCard: "agent/getAuthenticatedExtendedCard"
        }
    }

    package init?(legacyMethod: String) {
        guard let operation = Self.allCases.first(where: { $0.legacyMethod == legacyMethod }) else { return nil }
        self = operation
    }
}

/// The request of an operation, read from whatever binding.
package enum OperationRequest: Sendable, Equatable {
    case sendMessage(SendMessageRequest)
    case sendStreamingMessage(SendMessageRequest)
    case getTask(GetTaskRequest)
    case listTasks(ListTasksRequest)
    case cancelTask(CancelTaskRequest)
    case subscribeToTask(SubscribeToTaskRequest)
    case createPushNotificationConfig(PushNotificationConfig)
    case getPushNotificationConfig(PushNotificationConfigRequest)
    case listPushNotificationConfigs(ListPushNotificationConfigsRequest)
    case deletePushNotificationConfig(PushNotificationConfigRequest)
    case getExtendedAgentCard(GetExtendedAgentCardRequest)

    /// Reads the request of an operation in the form of version 1.0.
    package init(_ operation: Operation, reading fields: FieldReader) throws(FieldViolation) {
        switch operation {
        case .sendMessage: self = .sendMessage(try SendMessageRequest(reading: fields))
        case .sendStreamingMessage: self = .sendStreamingMessage(try SendMessageRequest(reading: fields))
        case .getTask: self = .getTask(try GetTaskRequest(reading: fields))
        case .listTasks: self = .listTasks(try ListTasksRequest(reading: fields))
        case .cancelTask: self = .cancelTask(try CancelTaskRequest(reading: fields))
        case .subscribeToTask: self = .subscribeToTask(try SubscribeToTaskRequest(reading: fields))
        case .createPushNotificationConfig:
            self = .createPushNotificationConfig(try PushNotificationConfig(reading: fields))
        case .getPushNotificationConfig:
            self = .getPushNotificationConfig(try PushNotificationConfigRequest(reading: fields))
        case .listPushNotificationConfigs:
            self = .listPushNotificationConfigs(try ListPushNotificationConfigsRequest(reading: fields))
        case .deletePushNotificationConfig:
            self = .deletePushNotificationConfig(try PushNotificationConfigRequest(reading: fields))
        case .getExtendedAgentCard: self = .getExtendedAgentCard(try GetExtendedAgentCardRequest(reading: fields))
        }
    }

    /// Which operation it is of.
    package var operation: Operation {
        switch self {
        case .sendMessage: .sendMessage
        case .sendStreamingMessage: .sendStreamingMessage
        case .getTask: .getTask
        case .listTasks: .listTasks
        case .cancelTask: .cancelTask
        case .subscribeToTask: .subscribeToTask
        case .createPushNotificationConfig: .createPushNotificationConfig
        case .getPushNotificationConfig: .getPushNotificationConfig
        case .listPushNotificationConfigs: .listPushNotificationConfigs
        case .deletePushNotificationConfig: .deletePushNotificationConfig
        case .getExtendedAgentCard: .getExtendedAgentCard
        }
    }

    /// The opaque routing word that it carries.
    package var tenant: String? {
        switch self {
        case .sendMessage(let request), .sendStreamingMessage(let request): request.tenant
        case .getTask(let request): request.tenant
        case .listTasks(let request): request.tenant
        case .cancelTask(let request): request.tenant
        case .subscribeToTask(let request): request.tenant
        case .createPushNotificationConfig(let request): request.tenant
        case .getPushNotificationConfig(let request), .deletePushNotificationConfig(let request): request.tenant
        case .listPushNotificationConfigs(let request): request.tenant
        case .getExtendedAgentCard(let request): request.tenant
        }
    }
}
