package import A2A

extension TaskService {
    package func createPushNotificationConfig(
        _ config: PushNotificationConfig, _ call: A2ACall
    ) async throws(A2AError) -> PushNotificationConfig {
        try admit(.createPushNotificationConfig, call)
        let key = try await existing(config.taskID, tenant: config.tenant, call)
        let checked = try await checked(config, taskID: key.id)
        guard let checked else { throw A2AError(.internalError) }
        let present = try await stored { store throws(TaskStoreError) in try await store.pushConfigs(of: key) }
        guard present.count < settings.limits.maximumPushConfigs || present.contains(where: { $0.id == checked.id })
        else { throw A2AError(.resourceExhausted, "the task has too many receivers of notifications") }
        try await stored { store throws(TaskStoreError) in try await store.setPushConfig(checked, of: key) }
        return checked.redacted
    }

    package func getPushNotificationConfig(
        _ request: PushNotificationConfigRequest, _ call: A2ACall
    ) async throws(A2AError) -> PushNotificationConfig {
        try admit(.getPushNotificationConfig, call)
        let key = try await existing(request.taskID, tenant: request.tenant, call)
        let configs = try await stored { store throws(TaskStoreError) in try await store.pushConfigs(of: key) }
        guard let config = configs.first(where: { $0.id == request.id }) else {
            throw A2AError(.taskNotFound, "there is no such configuration")
        }
        return config.redacted
    }

    package func listPushNotificationConfigs(
        _ request: ListPushNotificationConfigsRequest, _ call: A2ACall
    ) async throws(A2AError) -> ListPushNotificationConfigsResponse {
        try admit(.listPushNotificationConfigs, call)
        let key = try await existing(request.taskID, tenant: request.tenant, call)
        var configs = try await stored { store throws(TaskStoreError) in try await store.pushConfigs(of: key) }
        if let token = request.pageToken { configs.removeAll { ($0.id ?? "") <= token } }
        let size = Int(request.pageSize ?? 0)
        guard size >= 0 else { throw .invalid(FieldViolation("pageSize", "must not be negative")) }
        let page = size == 0 ? configs : Array(configs.prefix(size))
        return ListPushNotificationConfigsResponse(
            configs: page.map(\.redacted), nextPageToken: page.count < configs.count ? page.last?.id : nil)
    }

    package func deletePushNotificationConfig(
        _ request: PushNotificationConfigRequest, _ call: A2ACall
    ) async throws(A2AError) {
        try admit(.deletePushNotificationConfig, call)
        let key = try await existing(request.taskID, tenant: request.tenant, call)
        try await stored { store throws(TaskStoreError) in try await store.deletePushConfig(request.id, of: key) }
    }

    /// The configuration as it is stored, or a refusal.
    func checked(
        _ config: PushNotificationConfig?, taskID: String?
    ) async throws(A2AError) -> PushNotificationConfig? {
        guard var config else { return nil }
        guard let push else { throw A2AError(.pushNotificationNotSupported) }
        if let id = config.id, !Identifier.isAcceptable(id) {
            throw .invalid(FieldViolation("id", "is too long or has control characters"))
        }
        do throws(A2AError) {
            try await push.check(config)
        } catch {
            // Inside of a message the configuration stands deeper.
            throw taskID == nil ? error.inside("configuration.taskPushNotificationConfig") : error
        }
        config.id = config.id ?? Identifier.fresh()
        config.taskID = taskID
        config.tenant = nil
        return config
    }

    private func existing(
        _ taskID: String?, tenant: String?, _ call: A2ACall
    ) async throws(A2AError) -> TaskKey {
        guard push != nil else { throw A2AError(.pushNotificationNotSupported) }
        let key = TaskKey(scope: TaskScope(owner: call.caller.owner, tenant: tenant), id: taskID ?? "")
        if state.withLock({ $0.live[key]?.live?.stored }) != nil { return key }
        let view = TaskView(historyLength: 0, includesArtifacts: false)
        guard Identifier.isAcceptable(key.id),
            try await stored({ store throws(TaskStoreError) in try await store.task(key, view: view) }) != nil
        else { throw A2AError(.taskNotFound) }
        return key
    }

    func published(_ live: LiveTask, _ events: [PublishedEvent]) {
        guard let push else { return }
        let key = live.key
        guard outbox.add(events, of: key) else { return }
        Task {
            while let events = outbox.next(of: key) {
                do throws(TaskStoreError) {
                    for config in try await store.pushConfigs(of: key) {
                        push.notify(events, task: key, config: config)
                    }
                } catch {
                    report(.pushConfigsUnreadable(taskID: key.id, error))
                }
            }
        }
    }
}

extension A2AError {
    /// The refusal of a request in which the one that was judged stands at a path.
    fileprivate func inside(_ path: String) -> A2AError {
        guard !violations.isEmpty else { return self }
        return .invalid(violations.map { FieldViolation("\(path).\($0.field)", $0.problem) })
    }
}
