package import A2A

extension PushNotificationConfig: WireMessage {
    package init(_ wire: Lf_A2a_V1_TaskPushNotificationConfig) {
        self.init(
            tenant: wire.tenant.unlessEmpty, id: wire.id.unlessEmpty, taskID: wire.taskID.unlessEmpty, url: wire.url,
            token: wire.token.unlessEmpty,
            authentication: wire.hasAuthentication
                ? Authentication(
                    scheme: wire.authentication.scheme, credentials: wire.authentication.credentials.unlessEmpty)
                : nil)
    }

    package func wire() -> Lf_A2a_V1_TaskPushNotificationConfig {
        var wire = Lf_A2a_V1_TaskPushNotificationConfig()
        wire.tenant = tenant ?? ""
        wire.id = id ?? ""
        wire.taskID = taskID ?? ""
        wire.url = url
        wire.token = token ?? ""
        if let authentication {
            wire.authentication.scheme = authentication.scheme
            wire.authentication.credentials = authentication.credentials ?? ""
        }
        return wire
    }
}

extension PushNotificationConfigRequest: WireMessage {
    package init(_ wire: Lf_A2a_V1_GetTaskPushNotificationConfigRequest) {
        self.init(tenant: wire.tenant.unlessEmpty, taskID: wire.taskID, id: wire.id)
    }

    package func wire() -> Lf_A2a_V1_GetTaskPushNotificationConfigRequest {
        var wire = Lf_A2a_V1_GetTaskPushNotificationConfigRequest()
        wire.tenant = tenant ?? ""
        wire.taskID = taskID
        wire.id = id
        return wire
    }

    /// To delete it, which has a message of the same fields.
    package init(_ wire: Lf_A2a_V1_DeleteTaskPushNotificationConfigRequest) {
        self.init(tenant: wire.tenant.unlessEmpty, taskID: wire.taskID, id: wire.id)
    }

    /// To delete it, which has a message of the same fields.
    package func deletionWire() -> Lf_A2a_V1_DeleteTaskPushNotificationConfigRequest {
        var wire = Lf_A2a_V1_DeleteTaskPushNotificationConfigRequest()
        wire.tenant = tenant ?? ""
        wire.taskID = taskID
        wire.id = id
        return wire
    }
}

extension ListPushNotificationConfigsRequest: WireMessage {
    package init(_ wire: Lf_A2a_V1_ListTaskPushNotificationConfigsRequest) {
        self.init(
            tenant: wire.tenant.unlessEmpty, taskID: wire.taskID,
            // The field has no presence: 0 is none.
            pageSize: wire.pageSize == 0 ? nil : wire.pageSize, pageToken: wire.pageToken.unlessEmpty)
    }

    package func wire() -> Lf_A2a_V1_ListTaskPushNotificationConfigsRequest {
        var wire = Lf_A2a_V1_ListTaskPushNotificationConfigsRequest()
        wire.tenant = tenant ?? ""
        wire.taskID = taskID
        wire.pageSize = pageSize ?? 0
        wire.pageToken = pageToken ?? ""
        return wire
    }
}

extension ListPushNotificationConfigsResponse: WireMessage {
    package init(_ wire: Lf_A2a_V1_ListTaskPushNotificationConfigsResponse) {
        self.init(configs: wire.configs.map(PushNotificationConfig.init), nextPageToken: wire.nextPageToken.unlessEmpty)
    }

    package func wire() -> Lf_A2a_V1_ListTaskPushNotificationConfigsResponse {
        var wire = Lf_A2a_V1_ListTaskPushNotificationConfigsResponse()
        wire.configs = configs.map { $0.wire() }
        wire.nextPageToken = nextPageToken ?? ""
        return wire
    }
}
