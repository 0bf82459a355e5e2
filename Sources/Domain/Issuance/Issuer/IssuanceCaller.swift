package import AuditTrail

/// Who asks for a credential, as the audit log shall name it. Whoever makes one has authenticated the caller.
package struct IssuanceCaller: Sendable {
    /// The authenticated caller.
    package let agent: AuditEvent.AgentField
    /// The request that this issuance belongs to.
    package let requestID: String
    /// The attested state that the decision rests on, when there is one.
    package let posture: AuditEvent.PostureField?
    /// W3C trace context of the request.
    package let traceparent: String?

    package init(
        agent: AuditEvent.AgentField, requestID: String, posture: AuditEvent.PostureField? = nil,
        traceparent: String? = nil
    ) {
        self.agent = agent
        self.requestID = requestID
        self.posture = posture
        self.traceparent = traceparent
    }
}
