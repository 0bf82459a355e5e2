import A2A
import AgentTasks

/// What an operation answers with in the bindings that speak JSON.
enum Answer {
    /// JSON text.
    case json([UInt8])
    /// Done, and nothing to say: `null` in JSON-RPC, an empty message in HTTP+JSON.
    case nothing
    case stream(EventStream)
}

extension A2AServing {
    /// Does an operation: the one place where requests of JSON-RPC and HTTP+JSON meet the core.
    func answer(_ request: OperationRequest, _ call: A2ACall) async throws(A2AError) -> Answer {
        switch request {
        case .sendMessage(let request): .json(try await sendMessage(request, call).jsonBytes)
        case .sendStreamingMessage(let request): .stream(try await sendStreamingMessage(request, call))
        case .getTask(let request): .json(try await getTask(request, call).jsonBytes)
        case .listTasks(let request): .json(try await listTasks(request, call).jsonBytes)
        case .cancelTask(let request): .json(try await cancelTask(request, call).jsonBytes)
        case .subscribeToTask(let request): .stream(try await subscribeToTask(request, call))
        case .createPushNotificationConfig(let config):
            .json(try await createPushNotificationConfig(config, call).jsonBytes)
        case .getPushNotificationConfig(let request):
            .json(try await getPushNotificationConfig(request, call).jsonBytes)
        case .listPushNotificationConfigs(let request):
            .json(try await listPushNotificationConfigs(request, call).jsonBytes)
        case .deletePushNotificationConfig(let request):
            try await deleted(request, call)
        case .getExtendedAgentCard(let request): .json(try await getExtendedAgentCard(request, call))
        }
    }

    private func deleted(_ request: PushNotificationConfigRequest, _ call: A2ACall) async throws(A2AError) -> Answer {
        try await deletePushNotificationConfig(request, call)
        return .nothing
    }
}
