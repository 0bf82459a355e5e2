import ControlPlaneAPI
import JOSE
import SPIFFE

private func time(_ seconds: Int64) -> String { UnixTime(seconds: seconds).rfc3339 }

extension Agentshield_Admin_V1_RegisteredAgent {
    /// Who decided on the newest version.
    var decidedBy: String { versions.last?.decidedBy ?? "" }

    var json: JSONValue {
        [
            "id": .string(id), "name": .string(name), "spiffe_id": .string(spiffeID), "state": .string(state),
            "reason": .string(reason), "visibility": .string(visibility),
            "entitled": .array(entitled.map { .string($0) }), "versions": .array(versions.map(\.json)),
            "current": .number(JSONNumber(current)), "drift_digest": .string(driftDigest),
            "drift_seen_at": .string("\(driftSeenAt)"), "health": .string(health), "heard_at": .string("\(heardAt)"),
            "created_at": .string("\(createdAt)"), "barred": .bool(barred), "score": .number(JSONNumber(Int64(score))),
        ]
    }

    var pretty: String {
        var lines = PrettyLines()
        lines.line("Name", name)
        lines.line("SPIFFE ID", spiffeID.isEmpty ? "none: the card is bound to nobody" : spiffeID)
        lines.line("State", reason.isEmpty ? state : "\(state): \(reason)")
        if barred { lines.line("Barred", "revoked, disabled or retired: nobody finds it") }
        lines.line("Visibility", visibility)
        for id in entitled { lines.line("Entitled", id) }
        for version in versions {
            let mark = version.number == current ? "served" : version.stage
            lines.line("Version \(version.number)", "\(version.version) (\(mark), \(version.signature))")
            lines.line("  Digest", version.digest)
            let source = version.url.isEmpty ? "by \(version.source)" : "from \(version.url)"
            lines.line("  Registered", "\(time(version.registeredAt)) \(source)")
            if !version.decidedBy.isEmpty {
                lines.line("  Decided", "\(time(version.decidedAt)) by \(version.decidedBy)")
            }
            if !version.reason.isEmpty { lines.line("  Reason", version.reason) }
        }
        if !driftDigest.isEmpty { lines.line("Drift", "shows \(driftDigest) since \(time(driftSeenAt))") }
        lines.line("Health", heardAt == 0 ? health : "\(health) at \(time(heardAt))")
        if score != 0 { lines.line("Score", score) }
        return lines.text
    }
}

extension Agentshield_Admin_V1_AgentCardVersion {
    fileprivate var json: JSONValue {
        [
            "number": .number(JSONNumber(number)), "version": .string(version), "digest": .string(digest),
            "signature": .string(signature), "key_id": .string(keyID), "source": .string(source), "url": .string(url),
            "registered_at": .string("\(registeredAt)"), "stage": .string(stage), "decided_by": .string(decidedBy),
            "decided_at": .string("\(decidedAt)"), "reason": .string(reason),
        ]
    }
}
