import A2A

/// How an agent's task service behaves.
public struct TaskServiceSettings: Sendable {
    /// Who may do what.
    public var rules: CallRules
    /// What tasks may cost.
    public var limits = TaskLimits()
    /// Extensions that the agent knows, by URI; those with true are required of every request.
    public var extensions: [String: Bool] = [:]
    /// Media types that the agent reads; empty for all.
    public var inputModes: [String] = []
    /// Media types that the agent makes; empty for all.
    public var outputModes: [String] = []
    /// Whether the agent streams.
    public var streams = true
    /// How long a message that wants an immediate answer waits for the handler to say whether it will just reply.
    public var acknowledgementDelay: Duration = .milliseconds(250)
    /// How long ended tasks are kept.
    public var retention: Duration = .seconds(30 * 86_400)

    /// Settings with these rules.
    public init(rules: CallRules) {
        self.rules = rules
    }
}
