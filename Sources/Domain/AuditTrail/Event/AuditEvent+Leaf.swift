import JOSE
package import SPIFFE

extension AuditEvent {
    /// The version of the record's form, member `v`.
    package static let recordVersion: Int64 = 1

    /// Draws the id and stamps the time where they are missing; gives the id.
    package mutating func stamp(now: () -> UnixTime, randomBytes: (Int) -> [UInt8]) -> String {
        let id = id ?? HexText.encode(randomBytes(16))
        self.id = id
        time = time ?? now()
        return id
    }

    /// The leaf: RFC 8785 canonical JSON of at most `AuditLimits.leafBytes` bytes.
    ///
    /// Members are written in their canonical order by hand; too long strings end in a marker that tells how many bytes
    /// were cut. The seven AIMS fields are always there, `null` where they do not apply.
    package func leafBytes() -> [UInt8] {
        var leaf = LeafWriter()
        leaf.raw(#"{"agent":{"auth_method":"#)
        leaf.word(agent.authMethod.rawValue)
        leaf.optional(#","credential_hash":"#, agent.credentialHash, limit: AuditLimits.wordBytes)
        leaf.raw(#","id":"#)
        if let id = agent.id { leaf.string(id, limit: AuditLimits.identifierBytes) } else { leaf.raw("null") }
        if let peer = agent.peer { Self.append(peer, to: &leaf) }
        leaf.optional(#","transport_id":"#, agent.transportID, limit: AuditLimits.identifierBytes)

        leaf.raw(#"},"correlation":{"#)
        if let intentID = correlation.intentID {
            leaf.raw(#""intent_id":"#)
            leaf.word(intentID)
            leaf.raw(",")
        }
        leaf.raw(#""request_id":"#)
        leaf.word(correlation.requestID)
        leaf.optional(#","traceparent":"#, correlation.traceparent, limit: AuditLimits.wordBytes)
        leaf.raw("}")
        leaf.optional(#","counted":"#, counted)

        leaf.raw(#","decision":{"action":"#)
        leaf.word(decision.action)
        leaf.optional(#","policy_id":"#, decision.policyID, limit: AuditLimits.wordBytes)
        leaf.optional(#","reason":"#, decision.reason, limit: AuditLimits.reasonBytes)
        leaf.raw(#","result":"#)
        leaf.word(decision.result.rawValue)

        leaf.raw(#"},"delegation":"#)
        if let delegation {
            leaf.raw(#"{"sub":"#)
            leaf.string(delegation.subject, limit: AuditLimits.identifierBytes)
            leaf.raw(#","sub_kind":"#)
            leaf.word(delegation.subjectKind)
            leaf.raw("}")
        } else {
            leaf.raw("null")
        }
        if let effect { Self.append(effect, to: &leaf) }
        leaf.optional(#","id":"#, id, limit: AuditLimits.wordBytes)
        leaf.raw(#","phase":"#)
        leaf.word(phase.rawValue)
        leaf.raw(#","posture":"#)
        if let posture { Self.append(posture, to: &leaf) } else { leaf.raw("null") }
        leaf.raw(#","remediation":"#)
        if let remediation {
            leaf.raw(#"{"action":"#)
            leaf.string(remediation.action, limit: AuditLimits.reasonBytes)
            leaf.raw(#","cause":"#)
            leaf.string(remediation.cause, limit: AuditLimits.reasonBytes)
            leaf.raw("}")
        } else {
            leaf.raw("null")
        }

        leaf.raw(#","resource":{"#)
        if let argsHash = resource.argsHash {
            leaf.raw(#""args_hash":"#)
            leaf.word(argsHash)
            leaf.raw(",")
        }
        leaf.raw(#""id":"#)
        leaf.string(resource.id, limit: AuditLimits.identifierBytes)
        leaf.raw(#","kind":"#)
        leaf.word(resource.kind)
        leaf.raw("}")
        if let source {
            leaf.raw(#","source":{"id":"#)
            leaf.string(source.id, limit: AuditLimits.identifierBytes)
            leaf.raw(#","sequence":"#)
            leaf.integer(Int64(clamping: source.sequence))
            leaf.raw(#","spool":"#)
            leaf.word(source.spool)
            leaf.raw("}")
        }
        if let time {
            leaf.raw(#","time":"#)
            leaf.time(time)
        }
        leaf.raw(#","type":"#)
        leaf.word(type.rawValue)
        leaf.raw(#","v":"#)
        leaf.integer(Self.recordVersion)
        leaf.raw("}")
        return leaf.bytes
    }

    private static func append(_ peer: PeerField, to leaf: inout LeafWriter) {
        leaf.raw(#","peer":{"#)
        let start = leaf.bytes.count
        if let address = peer.address {
            leaf.raw(#""address":"#)
            leaf.word(address)
        }
        if let pid = peer.pid {
            if leaf.bytes.count > start { leaf.raw(",") }
            leaf.raw(#""pid":"#)
            leaf.integer(Int64(pid))
        }
        if let uid = peer.uid {
            if leaf.bytes.count > start { leaf.raw(",") }
            leaf.raw(#""uid":"#)
            leaf.integer(Int64(uid))
        }
        leaf.raw("}")
    }

    private static func append(_ effect: EffectField, to leaf: inout LeafWriter) {
        leaf.raw(#","effect":{"observed":"#)
        leaf.word(effect.observed.rawValue)
        if !effect.result.isEmpty {
            leaf.raw(#","result":{"#)
            // Names are our own short ASCII words, for which UTF-8 order is the canonical UTF-16 order.
            let items = effect.result.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            var isFirst = true
            for (name, value) in items.prefix(AuditLimits.resultItems) {
                if !isFirst { leaf.raw(",") }
                isFirst = false
                leaf.word(name)
                leaf.raw(":")
                leaf.string(value, limit: AuditLimits.resultBytes)
            }
            leaf.raw("}")
        }
        leaf.raw("}")
    }

    private static func append(_ posture: PostureField, to leaf: inout LeafWriter) {
        leaf.raw("{")
        if let assessedAt = posture.assessedAt {
            leaf.raw(#""assessed_at":"#)
            leaf.time(assessedAt)
            leaf.raw(",")
        }
        if let evidenceHash = posture.evidenceHash {
            leaf.raw(#""evidence_hash":"#)
            leaf.word(evidenceHash)
            leaf.raw(",")
        }
        leaf.raw(#""level":"#)
        leaf.word(posture.level)
        leaf.optional(#","selectors":"#, posture.selectorCount)
        leaf.raw("}")
    }
}
