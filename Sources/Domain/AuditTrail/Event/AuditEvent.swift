package import SPIFFE

/// One thing that happened, as one leaf of the audit log.
///
/// It carries the seven fields that the AIMS draft (§11) asks of every audit event: the authenticated agent, the delegated
/// subject, the resource, the action and its decision, time and correlation, the posture that influenced the decision,
/// and remediation with its cause. Secrets, whole tokens and keys never enter; identifiers and hashes of them do.
package struct AuditEvent: Sendable, Hashable {
    /// 32 lower-case hex digits. Nil until a log or a spool takes the event, which then draws it.
    package var id: String?
    /// When it happened. Nil until a log or a spool takes the event, which then stamps it.
    package var time: UnixTime?
    /// What happened.
    package var type: EventType
    /// Whether this announces an act, tells how one ended, or is the whole story.
    package var phase: Phase
    /// Who asked (AIMS field 1).
    package var agent: AgentField
    /// On whose behalf, when there is somebody (AIMS field 2).
    package var delegation: DelegationField?
    /// What it was about (AIMS field 3).
    package var resource: ResourceField
    /// What was asked and what was decided (AIMS field 4).
    package var decision: DecisionField
    /// What belongs together with this event (AIMS field 5, beside `time`).
    package var correlation: CorrelationField
    /// The attested state that influenced the decision (AIMS field 6).
    package var posture: PostureField?
    /// What was taken back or cut off, and why (AIMS field 7).
    package var remediation: RemediationField?
    /// What came of it: known for outcomes.
    package var effect: EffectField?
    /// How many alike events this one stands for; nil for one.
    package var counted: Int64?
    /// The spool that the event came through; nil for events of the process that keeps the log.
    package var source: SourceField?

    package init(
        id: String? = nil, time: UnixTime? = nil, type: EventType, phase: Phase = .single, agent: AgentField,
        delegation: DelegationField? = nil, resource: ResourceField, decision: DecisionField,
        correlation: CorrelationField, posture: PostureField? = nil, remediation: RemediationField? = nil,
        effect: EffectField? = nil, counted: Int64? = nil, source: SourceField? = nil
    ) {
        self.id = id
        self.time = time
        self.type = type
        self.phase = phase
        self.agent = agent
        self.delegation = delegation
        self.resource = resource
        self.decision = decision
        self.correlation = correlation
        self.posture = posture
        self.remediation = remediation
        self.effect = effect
        self.counted = counted
        self.source = source
    }

    /// Where an event stands in the act that it tells of.
    package enum Phase: String, Sendable, Hashable {
        /// Written before the act; without its receipt the act does not happen.
        case intent
        /// Written after the act; its correlation names the intent.
        case outcome
        /// The only event of its act.
        case single
    }
}
