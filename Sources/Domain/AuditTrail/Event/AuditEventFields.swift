package import SPIFFE

extension AuditEvent {
    /// The authenticated agent, and how it was authenticated.
    package struct AgentField: Sendable, Hashable {
        /// SPIFFE ID of the caller; nil when nobody was authenticated.
        package var id: String?
        package var authMethod: AuthMethod
        /// Identity of the connection where it differs from the caller (layered authentication: log both).
        package var transportID: String?
        /// Hex SHA-256 of the credential that was presented.
        package var credentialHash: String?
        /// Where the call came from.
        package var peer: PeerField?

        package init(
            id: String? = nil, authMethod: AuthMethod, transportID: String? = nil, credentialHash: String? = nil,
            peer: PeerField? = nil
        ) {
            self.id = id
            self.authMethod = authMethod
            self.transportID = transportID
            self.credentialHash = credentialHash
            self.peer = peer
        }

        /// This process itself: rotation, pruning, start and stop.
        package static func `internal`(_ id: String? = nil) -> AgentField { AgentField(id: id, authMethod: .internal) }
    }

    /// The peer as the kernel or the socket names it.
    package struct PeerField: Sendable, Hashable {
        package var uid: UInt32?
        package var pid: Int32?
        /// Address and port of a network peer.
        package var address: String?

        package init(uid: UInt32? = nil, pid: Int32? = nil, address: String? = nil) {
            self.uid = uid
            self.pid = pid
            self.address = address
        }
    }

    /// On whose behalf the agent acts.
    package struct DelegationField: Sendable, Hashable {
        package var subject: String
        /// `user` or `system`.
        package var subjectKind: String

        package init(subject: String, subjectKind: String) {
            self.subject = subject
            self.subjectKind = subjectKind
        }
    }

    /// What the act was about.
    package struct ResourceField: Sendable, Hashable {
        /// A word such as `entry`, `node`, `x509-svid`, `authority`, `log`.
        package var kind: String
        package var id: String
        /// Hex SHA-256 of the request's arguments.
        package var argsHash: String?

        package init(kind: String, id: String, argsHash: String? = nil) {
            self.kind = kind
            self.id = id
            self.argsHash = argsHash
        }
    }

    /// What was asked, and the answer.
    package struct DecisionField: Sendable, Hashable {
        package var action: String
        package var result: Result
        /// Why; for denials the code that the peer got.
        package var reason: String?
        package var policyID: String?

        package init(action: String, result: Result, reason: String? = nil, policyID: String? = nil) {
            self.action = action
            self.result = result
            self.reason = reason
            self.policyID = policyID
        }

        /// The answer to an authorization question; `none` where nobody asked one (a timer, a start).
        package enum Result: String, Sendable, Hashable {
            case permit, deny, none
        }
    }

    /// What belongs together.
    package struct CorrelationField: Sendable, Hashable {
        package var requestID: String
        /// An outcome's intent.
        package var intentID: String?
        /// W3C trace context of the call.
        package var traceparent: String?

        package init(requestID: String, intentID: String? = nil, traceparent: String? = nil) {
            self.requestID = requestID
            self.intentID = intentID
            self.traceparent = traceparent
        }
    }

    /// The attested state of the caller; never the selectors' values, which can name private paths and people.
    package struct PostureField: Sendable, Hashable {
        /// Such as `attested`.
        package var level: String
        /// Hex SHA-256 over the evidence.
        package var evidenceHash: String?
        package var assessedAt: UnixTime?
        /// How many selectors the evidence has.
        package var selectorCount: Int64?

        package init(
            level: String, evidenceHash: String? = nil, assessedAt: UnixTime? = nil, selectorCount: Int64? = nil
        ) {
            self.level = level
            self.evidenceHash = evidenceHash
            self.assessedAt = assessedAt
            self.selectorCount = selectorCount
        }
    }

    /// What was revoked, banned or cut, and the cause.
    package struct RemediationField: Sendable, Hashable {
        package var cause: String
        package var action: String

        package init(cause: String, action: String) {
            self.cause = cause
            self.action = action
        }
    }

    /// What came of the act.
    package struct EffectField: Sendable, Hashable {
        package var observed: Observed
        /// Small facts such as serial, kid, jti, expiry: at most `AuditLimits.resultItems`, the rest is cut.
        package var result: [String: String]

        package init(observed: Observed, result: [String: String] = [:]) {
            self.observed = observed
            self.result = result
        }

        /// Whether the act had an effect; `unknown` when the process cannot tell, as after a failed write.
        package enum Observed: String, Sendable, Hashable {
            case occurred, none, unknown
        }
    }

    /// The spool that an event came through.
    package struct SourceField: Sendable, Hashable {
        /// SPIFFE ID of the node that shipped it.
        package var id: String
        /// Name of the spool on that node.
        package var spool: String
        /// Number of the record in its spool.
        package var sequence: UInt64

        package init(id: String, spool: String, sequence: UInt64) {
            self.id = id
            self.spool = spool
            self.sequence = sequence
        }
    }
}
