package import A2A

/// Tells receivers of tasks' updates.
package protocol PushNotifying: Sendable {
    /// Refuses what must not be sent to: what is no HTTPS address, or one inside that is not allowed.
    func check(_ config: PushNotificationConfig) async throws(A2AError)

    /// Takes events for a receiver; they are sent in their order, while the task goes on.
    func notify(_ events: [PublishedEvent], task: TaskKey, config: PushNotificationConfig)
}
