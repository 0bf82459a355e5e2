/// One act on what the control plane keeps, as the audit log tells of it.
package struct AuditedAct: Sendable {
    package let type: EventType
    package let action: String
    package let resource: AuditEvent.ResourceField
    package let agent: AuditEvent.AgentField
    package let requestID: String
    package var posture: AuditEvent.PostureField?
    package var remediation: AuditEvent.RemediationField?
    package var counted: Int64?

    package init(
        type: EventType, action: String, resource: AuditEvent.ResourceField, agent: AuditEvent.AgentField,
        requestID: String, posture: AuditEvent.PostureField? = nil, remediation: AuditEvent.RemediationField? = nil,
        counted: Int64? = nil
    ) {
        self.type = type
        self.action = action
        self.resource = resource
        self.agent = agent
        self.requestID = requestID
        self.posture = posture
        self.remediation = remediation
        self.counted = counted
    }

    /// The event of one phase of the act.
    package func event(
        _ phase: AuditEvent.Phase, _ result: AuditEvent.DecisionField.Result, reason: String? = nil,
        effect: AuditEvent.EffectField? = nil
    ) -> AuditEvent {
        AuditEvent(
            type: type, phase: phase, agent: agent, resource: resource,
            decision: AuditEvent.DecisionField(
                // Nobody authorizes the process's own acts.
                action: action, result: agent.authMethod == .internal && result == .permit ? .none : result,
                reason: reason),
            correlation: AuditEvent.CorrelationField(requestID: requestID), posture: posture,
            remediation: remediation, effect: effect, counted: counted)
    }
}
