/// Where and how an agent tells of a task's updates (A2A 1.0.1 §4.3.1).
public struct PushNotificationConfig: Sendable, Equatable, ProtoJSONMessage {
    /// How the agent proves itself to the receiver (A2A 1.0.1 §4.3.2).
    public struct Authentication: Sendable, Equatable, ProtoJSONMessage, CustomStringConvertible, CustomReflectable {
        /// An HTTP authentication scheme, such as `Bearer`.
        public var scheme: String
        /// What follows the scheme in the `Authorization` header.
        public var credentials: String?

        /// Credentials for the receiver.
        public init(scheme: String, credentials: String? = nil) {
            self.scheme = scheme
            self.credentials = credentials
        }

        package init(reading fields: FieldReader) throws(FieldViolation) {
            scheme = try fields.string("scheme")
            credentials = try fields.text("credentials")
        }

        package func write(to fields: inout FieldWriter) {
            fields.write("scheme", scheme)
            fields.writeIfPresent("credentials", credentials)
        }

        /// Says nothing of the credentials.
        public var description: String { "authentication by \(scheme)" }
        /// Says nothing of the credentials.
        public var customMirror: Mirror { Mirror(self, children: ["scheme": scheme]) }
    }

    /// The opaque routing word of the interface that is called.
    public var tenant: String?
    /// Tells several of a task apart; chosen by the agent when the client does not.
    public var id: String?
    /// The task; empty inside a message that makes the task.
    public var taskID: String?
    /// Where to POST.
    public var url: String
    /// Given back in each notification, so that the receiver knows what it is about.
    public var token: String?
    /// How to prove oneself.
    public var authentication: Authentication?

    /// A configuration.
    public init(
        tenant: String? = nil, id: String? = nil, taskID: String? = nil, url: String, token: String? = nil,
        authentication: Authentication? = nil
    ) {
        self.tenant = tenant
        self.id = id
        self.taskID = taskID
        self.url = url
        self.token = token
        self.authentication = authentication
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        tenant = try fields.text("tenant")
        id = try fields.text("id")
        taskID = try fields.text("taskId")
        url = try fields.string("url")
        token = try fields.text("token")
        authentication = try fields.message("authentication")
    }

    package func write(to fields: inout FieldWriter) {
        fields.writeIfPresent("tenant", tenant)
        fields.writeIfPresent("id", id)
        fields.writeIfPresent("taskId", taskID)
        fields.write("url", url)
        fields.writeIfPresent("token", token)
        fields.writeIfPresent("authentication", authentication)
    }

    /// The configuration as it may be shown: whoever reads it back learns no secret.
    package var redacted: PushNotificationConfig {
        var shown = self
        shown.token = nil
        shown.authentication?.credentials = nil
        return shown
    }
}

/// Names one configuration of a task, to read or to delete it (A2A 1.0.1 §3.1.8, §3.1.10).
public struct PushNotificationConfigRequest: Sendable, Equatable, ProtoJSONMessage {
    /// The opaque routing word of the interface that is called.
    public var tenant: String?
    /// The task.
    public var taskID: String
    /// The configuration.
    public var id: String

    /// A request.
    public init(tenant: String? = nil, taskID: String, id: String) {
        self.tenant = tenant
        self.taskID = taskID
        self.id = id
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        tenant = try fields.text("tenant")
        taskID = try fields.string("taskId")
        id = try fields.string("id")
    }

    package func write(to fields: inout FieldWriter) {
        fields.writeIfPresent("tenant", tenant)
        fields.write("taskId", taskID)
        fields.write("id", id)
    }
}

/// Asks for the configurations of a task (A2A 1.0.1 §3.1.9).
public struct ListPushNotificationConfigsRequest: Sendable, Equatable, ProtoJSONMessage {
    /// The opaque routing word of the interface that is called.
    public var tenant: String?
    /// The task.
    public var taskID: String
    /// How many on a page; `nil` leaves it to the agent.
    public var pageSize: Int32?
    /// Where the page before ended.
    public var pageToken: String?

    /// A request.
    public init(tenant: String? = nil, taskID: String, pageSize: Int32? = nil, pageToken: String? = nil) {
        self.tenant = tenant
        self.taskID = taskID
        self.pageSize = pageSize
        self.pageToken = pageToken
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        tenant = try fields.text("tenant")
        taskID = try fields.string("taskId")
        pageSize = try fields.optionalInt32("pageSize")
        pageToken = try fields.text("pageToken")
    }

    package func write(to fields: inout FieldWriter) {
        fields.write("taskId", taskID)
        fields.writeIfPresent("pageSize", pageSize)
        fields.writeIfPresent("pageToken", pageToken)
        fields.writeIfPresent("tenant", tenant)
    }
}

/// A page of configurations (A2A 1.0.1 §3.1.9).
public struct ListPushNotificationConfigsResponse: Sendable, Equatable, ProtoJSONMessage {
    /// The configurations, without their secrets.
    public var configs: [PushNotificationConfig]
    /// Where the next page begins; `nil` on the last page.
    public var nextPageToken: String?

    /// A page.
    public init(configs: [PushNotificationConfig], nextPageToken: String? = nil) {
        self.configs = configs
        self.nextPageToken = nextPageToken
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        configs = try fields.messages("configs")
        nextPageToken = try fields.text("nextPageToken")
    }

    package func write(to fields: inout FieldWriter) {
        fields.write("configs", configs)
        fields.writeIfPresent("nextPageToken", nextPageToken)
    }
}
