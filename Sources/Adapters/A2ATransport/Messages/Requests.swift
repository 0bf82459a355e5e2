package import A2A
import SwiftProtobuf

extension SendMessageRequest: WireMessage {
    package init(_ wire: Lf_A2a_V1_SendMessageRequest) throws(FieldViolation) {
        guard wire.hasMessage else { throw FieldViolation("message", "is required") }
        self.init(
            tenant: wire.tenant.unlessEmpty,
            message: try FieldViolation.at("message") { () throws(FieldViolation) in try Message(wire.message) },
            configuration: try FieldViolation.at("configuration") { () throws(FieldViolation) in
                try Configuration(wire.configuration)
            },
            metadata: try FieldViolation.at("metadata", wire.metadata.json))
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_SendMessageRequest {
        var wire = Lf_A2a_V1_SendMessageRequest()
        wire.tenant = tenant ?? ""
        wire.message = try FieldViolation.at("message", message.wire)
        if configuration != Configuration() { wire.configuration = configuration.wire() }
        if let metadata = try Google_Protobuf_Struct.metadata(metadata) { wire.metadata = metadata }
        return wire
    }
}

extension SendMessageRequest.Configuration: WireMessage {
    package init(_ wire: Lf_A2a_V1_SendMessageConfiguration) throws(FieldViolation) {
        self.init(
            acceptedOutputModes: wire.acceptedOutputModes,
            pushNotificationConfig: wire.hasTaskPushNotificationConfig
                ? PushNotificationConfig(wire.taskPushNotificationConfig) : nil,
            historyLength: wire.hasHistoryLength ? wire.historyLength : nil, returnImmediately: wire.returnImmediately)
    }

    package func wire() -> Lf_A2a_V1_SendMessageConfiguration {
        var wire = Lf_A2a_V1_SendMessageConfiguration()
        wire.acceptedOutputModes = acceptedOutputModes
        if let pushNotificationConfig { wire.taskPushNotificationConfig = pushNotificationConfig.wire() }
        if let historyLength { wire.historyLength = historyLength }
        wire.returnImmediately = returnImmediately
        return wire
    }
}

extension GetTaskRequest: WireMessage {
    package init(_ wire: Lf_A2a_V1_GetTaskRequest) {
        self.init(
            tenant: wire.tenant.unlessEmpty, id: wire.id,
            historyLength: wire.hasHistoryLength ? wire.historyLength : nil)
    }

    package func wire() -> Lf_A2a_V1_GetTaskRequest {
        var wire = Lf_A2a_V1_GetTaskRequest()
        wire.tenant = tenant ?? ""
        wire.id = id
        if let historyLength { wire.historyLength = historyLength }
        return wire
    }
}

extension ListTasksRequest: WireMessage {
    package init(_ wire: Lf_A2a_V1_ListTasksRequest) throws(FieldViolation) {
        let state = try FieldViolation.at("status") { () throws(FieldViolation) in try TaskState(wire.status) }
        self.init(
            tenant: wire.tenant.unlessEmpty, contextID: wire.contextID.unlessEmpty,
            status: state == .unspecified ? nil : state, pageSize: wire.hasPageSize ? wire.pageSize : nil,
            pageToken: wire.pageToken.unlessEmpty, historyLength: wire.hasHistoryLength ? wire.historyLength : nil,
            statusTimestampAfter: wire.hasStatusTimestampAfter
                ? try FieldViolation.at("statusTimestampAfter", wire.statusTimestampAfter.time) : nil,
            includeArtifacts: wire.includeArtifacts)
    }

    package func wire() -> Lf_A2a_V1_ListTasksRequest {
        var wire = Lf_A2a_V1_ListTasksRequest()
        wire.tenant = tenant ?? ""
        wire.contextID = contextID ?? ""
        wire.status = (status ?? .unspecified).wire
        if let pageSize { wire.pageSize = pageSize }
        wire.pageToken = pageToken ?? ""
        if let historyLength { wire.historyLength = historyLength }
        if let statusTimestampAfter { wire.statusTimestampAfter = Google_Protobuf_Timestamp(statusTimestampAfter) }
        if includeArtifacts { wire.includeArtifacts = true }
        return wire
    }
}

extension ListTasksResponse: WireMessage {
    package init(_ wire: Lf_A2a_V1_ListTasksResponse) throws(FieldViolation) {
        self.init(
            tasks: try FieldViolation.each("tasks", wire.tasks, AgentTask.init), nextPageToken: wire.nextPageToken,
            pageSize: wire.pageSize, totalSize: wire.totalSize)
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_ListTasksResponse {
        var wire = Lf_A2a_V1_ListTasksResponse()
        wire.tasks = try FieldViolation.each("tasks", tasks) { task throws(FieldViolation) in try task.wire() }
        wire.nextPageToken = nextPageToken
        wire.pageSize = pageSize
        wire.totalSize = totalSize
        return wire
    }
}

extension CancelTaskRequest: WireMessage {
    package init(_ wire: Lf_A2a_V1_CancelTaskRequest) throws(FieldViolation) {
        self.init(
            tenant: wire.tenant.unlessEmpty, id: wire.id,
            metadata: try FieldViolation.at("metadata", wire.metadata.json))
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_CancelTaskRequest {
        var wire = Lf_A2a_V1_CancelTaskRequest()
        wire.tenant = tenant ?? ""
        wire.id = id
        if let metadata = try Google_Protobuf_Struct.metadata(metadata) { wire.metadata = metadata }
        return wire
    }
}

extension SubscribeToTaskRequest: WireMessage {
    package init(_ wire: Lf_A2a_V1_SubscribeToTaskRequest) {
        self.init(tenant: wire.tenant.unlessEmpty, id: wire.id)
    }

    package func wire() -> Lf_A2a_V1_SubscribeToTaskRequest {
        var wire = Lf_A2a_V1_SubscribeToTaskRequest()
        wire.tenant = tenant ?? ""
        wire.id = id
        return wire
    }
}

extension GetExtendedAgentCardRequest: WireMessage {
    package init(_ wire: Lf_A2a_V1_GetExtendedAgentCardRequest) {
        self.init(tenant: wire.tenant.unlessEmpty)
    }

    package func wire() -> Lf_A2a_V1_GetExtendedAgentCardRequest {
        var wire = Lf_A2a_V1_GetExtendedAgentCardRequest()
        wire.tenant = tenant ?? ""
        return wire
    }
}
