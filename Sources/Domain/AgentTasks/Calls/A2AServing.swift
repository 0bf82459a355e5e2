package import A2A

/// An agent behind whatever binding: the one core of JSON-RPC, HTTP+JSON and gRPC.
///
/// The transport has read the request and verified the caller; whether the caller may do this is decided here, before
/// anything is looked up.
package protocol A2AServing: Sendable {
    func sendMessage(_ request: SendMessageRequest, _ call: A2ACall) async throws(A2AError) -> SendMessageResponse
    func sendStreamingMessage(_ request: SendMessageRequest, _ call: A2ACall) async throws(A2AError) -> EventStream
    func getTask(_ request: GetTaskRequest, _ call: A2ACall) async throws(A2AError) -> AgentTask
    func listTasks(_ request: ListTasksRequest, _ call: A2ACall) async throws(A2AError) -> ListTasksResponse
    func cancelTask(_ request: CancelTaskRequest, _ call: A2ACall) async throws(A2AError) -> AgentTask
    func subscribeToTask(_ request: SubscribeToTaskRequest, _ call: A2ACall) async throws(A2AError) -> EventStream
    func createPushNotificationConfig(
        _ config: PushNotificationConfig, _ call: A2ACall
    ) async throws(A2AError) -> PushNotificationConfig
    func getPushNotificationConfig(
        _ request: PushNotificationConfigRequest, _ call: A2ACall
    ) async throws(A2AError) -> PushNotificationConfig
    func listPushNotificationConfigs(
        _ request: ListPushNotificationConfigsRequest, _ call: A2ACall
    ) async throws(A2AError) -> ListPushNotificationConfigsResponse
    func deletePushNotificationConfig(
        _ request: PushNotificationConfigRequest, _ call: A2ACall
    ) async throws(A2AError)
    /// Which of the extensions that a request names are in use, for the answer to say.
    func activatedExtensions(_ parameters: ServiceParameters) -> [String]
    /// The card that the agent shows to this caller, as JSON text.
    func getExtendedAgentCard(_ request: GetExtendedAgentCardRequest, _ call: A2ACall) async throws(A2AError) -> [UInt8]
    /// The task that a caller's message of this identifier has led to; `nil` where there is none.
    func taskID(ofMessage messageID: String, tenant: String?, _ call: A2ACall) async throws(A2AError) -> String?
}
