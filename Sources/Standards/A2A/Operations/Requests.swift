public import JOSE

/// A message to an agent and how to treat it (A2A 1.0.1 §3.2.1).
public struct SendMessageRequest: Sendable, Equatable, ProtoJSONMessage {
    /// How the client wants to be answered (A2A 1.0.1 §3.2.2).
    public struct Configuration: Sendable, Equatable, ProtoJSONMessage {
        /// Media types that the client can read; empty for all.
        public var acceptedOutputModes: [String]
        /// Where to send updates of the task.
        public var pushNotificationConfig: PushNotificationConfig?
        /// How many messages of the task's history to answer with at most; `nil` leaves it to the agent.
        public var historyLength: Int32?
        /// Whether to answer as soon as there is a task.
        public var returnImmediately: Bool

        /// A configuration; by default the answer comes once the task ends or waits.
        public init(
            acceptedOutputModes: [String] = [], pushNotificationConfig: PushNotificationConfig? = nil,
            historyLength: Int32? = nil, returnImmediately: Bool = false
        ) {
            self.acceptedOutputModes = acceptedOutputModes
            self.pushNotificationConfig = pushNotificationConfig
            self.historyLength = historyLength
            self.returnImmediately = returnImmediately
        }

        package init(reading fields: FieldReader) throws(FieldViolation) {
            acceptedOutputModes = try fields.strings("acceptedOutputModes")
            pushNotificationConfig = try fields.message("taskPushNotificationConfig")
            historyLength = try fields.optionalInt32("historyLength")
            returnImmediately = try fields.bool("returnImmediately")
        }

        package func write(to fields: inout FieldWriter) {
            fields.writeUnlessEmpty("acceptedOutputModes", acceptedOutputModes)
            fields.writeIfPresent("taskPushNotificationConfig", pushNotificationConfig)
            fields.writeIfPresent("historyLength", historyLength)
            fields.writeIfTrue("returnImmediately", returnImmediately)
        }
    }

    /// The opaque routing word of the interface that is called.
    public var tenant: String?
    /// The message.
    public var message: Message
    /// How to answer.
    public var configuration: Configuration
    /// Further data, under names that are or start with the URI of an extension.
    public var metadata: JSONObject

    /// A request.
    public init(
        tenant: String? = nil, message: Message, configuration: Configuration = Configuration(),
        metadata: JSONObject = JSONObject()
    ) {
        self.tenant = tenant
        self.message = message
        self.configuration = configuration
        self.metadata = metadata
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        tenant = try fields.text("tenant")
        guard let message: Message = try fields.message("message") else {
            throw fields.violation("message", "is required")
        }
        self.message = message
        configuration = try fields.message("configuration") ?? Configuration()
        metadata = try fields.object("metadata")
    }

    package func write(to fields: inout FieldWriter) {
        fields.writeIfPresent("tenant", tenant)
        fields.write("message", message)
        if configuration != Configuration() { fields.write("configuration", configuration) }
        fields.writeUnlessEmpty("metadata", metadata)
    }

    /// What the standard requires of a message that a client sends.
    package var violations: [FieldViolation] {
        var violations: [FieldViolation] = []
        if message.messageID.isEmpty { violations.append(FieldViolation("message.messageId", "is required")) }
        switch message.role {
        case .user: break
        case .unspecified: violations.append(FieldViolation("message.role", "is required"))
        case .agent: violations.append(FieldViolation("message.role", "must be ROLE_USER"))
        }
        if message.parts.isEmpty { violations.append(FieldViolation("message.parts", "must have a part")) }
        // The first few say enough; a hostile request has millions.
        for (index, _) in message.parts.enumerated().lazy.filter({ $0.element.content == nil }).prefix(16) {
            violations.append(
                FieldViolation("message.parts[\(index)]", "must have one of text, raw, url and data"))
        }
        if let length = configuration.historyLength, length < 0 {
            violations.append(FieldViolation("configuration.historyLength", "must not be negative"))
        }
        return violations
    }
}

/// Asks for a task (A2A 1.0.1 §3.1.3).
public struct GetTaskRequest: Sendable, Equatable, ProtoJSONMessage {
    /// The opaque routing word of the interface that is called.
    public var tenant: String?
    /// The task.
    public var id: String
    /// How many messages of its history to answer with at most; `nil` leaves it to the agent.
    public var historyLength: Int32?

    /// A request.
    public init(tenant: String? = nil, id: String, historyLength: Int32? = nil) {
        self.tenant = tenant
        self.id = id
        self.historyLength = historyLength
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        tenant = try fields.text("tenant")
        id = try fields.string("id")
        historyLength = try fields.optionalInt32("historyLength")
    }

    package func write(to fields: inout FieldWriter) {
        fields.writeIfPresent("tenant", tenant)
        fields.write("id", id)
        fields.writeIfPresent("historyLength", historyLength)
    }
}

/// Asks for the tasks of a caller (A2A 1.0.1 §3.1.4).
public struct ListTasksRequest: Sendable, Equatable, ProtoJSONMessage {
    /// The opaque routing word of the interface that is called.
    public var tenant: String?
    /// Only tasks of this conversation.
    public var contextID: String?
    /// Only tasks in this state.
    public var status: TaskState?
    /// How many on a page, 1 to 100; 50 by default.
    public var pageSize: Int32?
    /// Where the page before ended.
    public var pageToken: String?
    /// How many messages of each task's history at most; `nil` leaves it to the agent.
    public var historyLength: Int32?
    /// Only tasks whose status is as new as this.
    public var statusTimestampAfter: UnixTime?
    /// Whether to answer with artifacts too.
    public var includeArtifacts: Bool

    /// A request.
    public init(
        tenant: String? = nil, contextID: String? = nil, status: TaskState? = nil, pageSize: Int32? = nil,
        pageToken: String? = nil, historyLength: Int32? = nil, statusTimestampAfter: UnixTime? = nil,
        includeArtifacts: Bool = false
    ) {
        self.tenant = tenant
        self.contextID = contextID
        self.status = status
        self.pageSize = pageSize
        self.pageToken = pageToken
        self.historyLength = historyLength
        self.statusTimestampAfter = statusTimestampAfter
        self.includeArtifacts = includeArtifacts
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        tenant = try fields.text("tenant")
        contextID = try fields.text("contextId")
        let state = try fields.enumeration("status", TaskState.self)
        status = state == .unspecified ? nil : state
        pageSize = try fields.optionalInt32("pageSize")
        pageToken = try fields.text("pageToken")
        historyLength = try fields.optionalInt32("historyLength")
        statusTimestampAfter = try fields.timestamp("statusTimestampAfter")
        includeArtifacts = try fields.bool("includeArtifacts")
    }

    package func write(to fields: inout FieldWriter) {
        fields.writeIfPresent("tenant", tenant)
        fields.writeIfPresent("contextId", contextID)
        if let status { fields.write("status", status) }
        fields.writeIfPresent("pageSize", pageSize)
        fields.writeIfPresent("pageToken", pageToken)
        fields.writeIfPresent("historyLength", historyLength)
        fields.writeIfPresent("statusTimestampAfter", statusTimestampAfter)
        fields.writeIfTrue("includeArtifacts", includeArtifacts)
    }
}

/// A page of tasks (A2A 1.0.1 §3.1.4).
public struct ListTasksResponse: Sendable, Equatable, ProtoJSONMessage {
    /// The tasks, newest status first.
    public var tasks: [AgentTask]
    /// Where the next page begins; empty on the last page.
    public var nextPageToken: String
    /// The size of a page that was used.
    public var pageSize: Int32
    /// How many tasks match.
    public var totalSize: Int32

    /// A page.
    public init(tasks: [AgentTask], nextPageToken: String, pageSize: Int32, totalSize: Int32) {
        self.tasks = tasks
        self.nextPageToken = nextPageToken
        self.pageSize = pageSize
        self.totalSize = totalSize
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        tasks = try fields.messages("tasks")
        nextPageToken = try fields.string("nextPageToken")
        pageSize = try fields.optionalInt32("pageSize") ?? 0
        totalSize = try fields.optionalInt32("totalSize") ?? 0
    }

    package func write(to fields: inout FieldWriter) {
        fields.write("tasks", tasks)
        fields.write("nextPageToken", nextPageToken)
        fields.write("pageSize", pageSize)
        fields.write("totalSize", totalSize)
    }
}

/// Asks an agent to give a task up (A2A 1.0.1 §3.1.5).
public struct CancelTaskRequest: Sendable, Equatable, ProtoJSONMessage {
    /// The opaque routing word of the interface that is called.
    public var tenant: String?
    /// The task.
    public var id: String
    /// Further data, under names that are or start with the URI of an extension.
    public var metadata: JSONObject

    /// A request.
    public init(tenant: String? = nil, id: String, metadata: JSONObject = JSONObject()) {
        self.tenant = tenant
        self.id = id
        self.metadata = metadata
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        tenant = try fields.text("tenant")
        id = try fields.string("id")
        metadata = try fields.object("metadata")
    }

    package func write(to fields: inout FieldWriter) {
        fields.writeIfPresent("tenant", tenant)
        fields.write("id", id)
        fields.writeUnlessEmpty("metadata", metadata)
    }
}

/// Asks for the further events of a task (A2A 1.0.1 §3.1.6).
public struct SubscribeToTaskRequest: Sendable, Equatable, ProtoJSONMessage {
    /// The opaque routing word of the interface that is called.
    public var tenant: String?
    /// The task.
    public var id: String

    /// A request.
    public init(tenant: String? = nil, id: String) {
        self.tenant = tenant
        self.id = id
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        tenant = try fields.text("tenant")
        id = try fields.string("id")
    }

    package func write(to fields: inout FieldWriter) {
        fields.writeIfPresent("tenant", tenant)
        fields.write("id", id)
    }
}

/// Asks for the card that the agent shows to this caller (A2A 1.0.1 §3.1.11).
public struct GetExtendedAgentCardRequest: Sendable, Equatable, ProtoJSONMessage {
    /// The opaque routing word of the interface that is called.
    public var tenant: String?

    /// A request.
    public init(tenant: String? = nil) {
        self.tenant = tenant
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        tenant = try fields.text("tenant")
    }

    package func write(to fields: inout FieldWriter) {
        fields.writeIfPresent("tenant", tenant)
    }
}
