import A2A
import AgentTasks
import JOSE

extension A2AServing {
    /// Does what a method of version 0.3 asks for and answers in its form; events of streams are to be written as ``LegacyStreamEvent``.
    func answer(_ request: LegacyRequest, _ call: A2ACall) async throws(A2AError) -> Answer {
        switch request {
        case .firstPushConfig(let request):
            guard let config = try await listPushNotificationConfigs(request, call).configs.first else {
                throw A2AError(.taskNotFound, "there is no such configuration")
            }
            return .json(LegacyResult.json(config))
        case .operation(let request):
            switch request {
            case .sendMessage(let request): return .json(LegacyResult.json(try await sendMessage(request, call)))
            case .getTask(let request): return .json(LegacyResult.json(try await getTask(request, call)))
            case .cancelTask(let request): return .json(LegacyResult.json(try await cancelTask(request, call)))
            case .createPushNotificationConfig(let config):
                return .json(LegacyResult.json(try await createPushNotificationConfig(config, call)))
            case .getPushNotificationConfig(let request):
                return .json(LegacyResult.json(try await getPushNotificationConfig(request, call)))
            case .listPushNotificationConfigs(let request):
                return .json(LegacyResult.json(try await listPushNotificationConfigs(request, call).configs))
            case .getExtendedAgentCard(let request):
                return .json(try Self.legacyCard(try await getExtendedAgentCard(request, call)))
            // Streams, what has no result, and what version 0.3 does not have.
            case .sendStreamingMessage, .subscribeToTask, .deletePushNotificationConfig, .listTasks:
                return try await answer(request, call)
            }
        }
    }

    private static func legacyCard(_ json: [UInt8]) throws(A2AError) -> [UInt8] {
        do {
            guard case .object(let card) = try JSONValue(parsing: json) else { throw A2AError(.internalError) }
            return try LegacyCard.adding(to: card).serializedBytes
        } catch {
            throw A2AError(.internalError)
        }
    }
}
