import JOSE

/// The request of a method of version 0.3 (A2A 0.3.0 §7), as what version 1.0 makes of it.
package enum LegacyRequest: Sendable, Equatable {
    case operation(OperationRequest)
    /// `tasks/pushNotificationConfig/get` may leave open which one; it is then the first of a list.
    case firstPushConfig(ListPushNotificationConfigsRequest)

    /// Reads the parameters of a method.
    package init(_ operation: Operation, reading fields: FieldReader) throws(FieldViolation) {
        switch operation {
        case .sendMessage: self = .operation(.sendMessage(try Self.send(fields)))
        case .sendStreamingMessage: self = .operation(.sendStreamingMessage(try Self.send(fields)))
        case .getTask:
            self = .operation(
                .getTask(
                    GetTaskRequest(id: try Self.id(fields), historyLength: try fields.optionalInt32("historyLength"))))
        case .cancelTask:
            self = .operation(
                .cancelTask(CancelTaskRequest(id: try Self.id(fields), metadata: try fields.object("metadata"))))
        case .subscribeToTask: self = .operation(.subscribeToTask(SubscribeToTaskRequest(id: try Self.id(fields))))
        case .createPushNotificationConfig:
            self = .operation(
                .createPushNotificationConfig(try LegacyTaskPushConfig(reading: fields).config))
        case .getPushNotificationConfig:
            let taskID = try Self.id(fields)
            if let id = try fields.text("pushNotificationConfigId") {
                self = .operation(
                    .getPushNotificationConfig(PushNotificationConfigRequest(taskID: taskID, id: id)))
            } else {
                self = .firstPushConfig(ListPushNotificationConfigsRequest(taskID: taskID, pageSize: 1))
            }
        case .listPushNotificationConfigs:
            self = .operation(
                .listPushNotificationConfigs(ListPushNotificationConfigsRequest(taskID: try Self.id(fields))))
        case .deletePushNotificationConfig:
            guard let id = try fields.text("pushNotificationConfigId") else {
                throw fields.violation("pushNotificationConfigId", "is required")
            }
            self = .operation(
                .deletePushNotificationConfig(
                    PushNotificationConfigRequest(taskID: try Self.id(fields), id: id)))
        case .getExtendedAgentCard: self = .operation(.getExtendedAgentCard(GetExtendedAgentCardRequest()))
        // Version 0.3 has no such method, so that nobody gets here.
        case .listTasks: throw FieldViolation("", "is nothing that version 0.3 of the protocol knows")
        }
    }

    private static func id(_ fields: FieldReader) throws(FieldViolation) -> String {
        guard let id = try fields.text("id") else { throw fields.violation("id", "is required") }
        return id
    }

    /// `MessageSendParams` (§7.1.1).
    private static func send(_ fields: FieldReader) throws(FieldViolation) -> SendMessageRequest {
        guard let message = try fields.message("message", LegacyMessage.self) else {
            throw fields.violation("message", "is required")
        }
        var configuration = SendMessageRequest.Configuration()
        if fields.value("configuration") != nil {
            let members = FieldReader(try fields.object("configuration"), at: fields.path(of: "configuration"))
            configuration.acceptedOutputModes = try members.strings("acceptedOutputModes")
            configuration.historyLength = try members.optionalInt32("historyLength")
            // Who says nothing waits, as in version 1.0.
            configuration.returnImmediately = try members.optionalBool("blocking") == false
            configuration.pushNotificationConfig =
                try members.message("pushNotificationConfig", LegacyPushConfig.self)?.config
        }
        return SendMessageRequest(
            message: message.message, configuration: configuration, metadata: try fields.object("metadata"))
    }
}

/// `PushNotificationConfig` (§6.8).
struct LegacyPushConfig: ProtoJSONMessage {
    var config: PushNotificationConfig

    init(_ config: PushNotificationConfig) {
        self.config = config
    }

    init(reading fields: FieldReader) throws(FieldViolation) {
        config = PushNotificationConfig(
            id: try fields.text("id"), url: try fields.string("url"), token: try fields.text("token"))
        guard fields.value("authentication") != nil else { return }
        let members = FieldReader(try fields.object("authentication"), at: fields.path(of: "authentication"))
        // Of several schemes the first is used: there is one text of credentials.
        guard let scheme = try members.strings("schemes").first else {
            throw members.violation("schemes", "must name a scheme")
        }
        config.authentication = PushNotificationConfig.Authentication(
            scheme: scheme, credentials: try members.text("credentials"))
    }

    func write(to fields: inout FieldWriter) {
        fields.writeIfPresent("id", config.id)
        fields.write("url", config.url)
        fields.writeIfPresent("token", config.token)
        guard let authentication = config.authentication else { return }
        fields.writeObject("authentication") { members in
            members.write("schemes", [authentication.scheme])
            members.writeIfPresent("credentials", authentication.credentials)
        }
    }
}

/// `TaskPushNotificationConfig` (§6.10).
struct LegacyTaskPushConfig: ProtoJSONMessage {
    var config: PushNotificationConfig

    init(_ config: PushNotificationConfig) {
        self.config = config
    }

    init(reading fields: FieldReader) throws(FieldViolation) {
        guard let taskID = try fields.text("taskId") else { throw fields.violation("taskId", "is required") }
        guard let inner = try fields.message("pushNotificationConfig", LegacyPushConfig.self) else {
            throw fields.violation("pushNotificationConfig", "is required")
        }
        config = inner.config
        config.taskID = taskID
    }

    func write(to fields: inout FieldWriter) {
        fields.write("taskId", config.taskID ?? "")
        fields.write("pushNotificationConfig", LegacyPushConfig(config))
    }
}

/// Results in the form of version 0.3, as JSON text.
package enum LegacyResult {
    package static func json(_ response: SendMessageResponse) -> [UInt8] {
        switch response {
        case .task(let task): json(task)
        case .message(let message): LegacyMessage(message).jsonBytes
        }
    }

    package static func json(_ task: AgentTask) -> [UInt8] { LegacyTask(task).jsonBytes }

    package static func json(_ config: PushNotificationConfig) -> [UInt8] { LegacyTaskPushConfig(config).jsonBytes }

    /// All of them: version 0.3 has no pages.
    package static func json(_ configs: [PushNotificationConfig]) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "[")]
        for (place, config) in configs.enumerated() {
            if place > 0 { bytes.append(UInt8(ascii: ",")) }
            LegacyTaskPushConfig(config).appendJSON(to: &bytes)
        }
        bytes.append(UInt8(ascii: "]"))
        return bytes
    }
}
