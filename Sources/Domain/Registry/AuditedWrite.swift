import AuditTrail
import Crypto
import SPIFFE

/// One act on the registry, as the audit log tells of it.
struct RegistryAct: Sendable {
    let type: EventType
    let action: String
    let resource: AuditEvent.ResourceField
    let agent: AuditEvent.AgentField
    let requestID: String
    var posture: AuditEvent.PostureField?
    var remediation: AuditEvent.RemediationField?
    var counted: Int64?

    func event(
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

/// A write that did not succeed, and what is known of its effect.
struct WriteFailure: Error {
    let error: RegistryError
    let observed: AuditEvent.EffectField.Observed

    /// A refusal: nothing was tried.
    static func refused(_ error: RegistryError) -> WriteFailure {
        WriteFailure(error: error, observed: .none)
    }
}

/// The value of a write and small facts for its outcome record.
struct Written<Value: Sendable>: Sendable {
    let value: Value
    var facts: [String: String] = [:]
}

extension Registry {
    /// Intent, write, outcome. Without a recorded intent nothing is written.
    func perform<Value: Sendable>(
        _ act: RegistryAct, _ write: () async throws(WriteFailure) -> Written<Value>
    ) async throws(RegistryError) -> Value {
        let intentID: String
        do {
            let receipt = try await audit.record(act.event(.intent, .permit))
            intentID = receipt.eventID
        } catch {
            throw .audit(error)
        }
        do throws(WriteFailure) {
            let written = try await write()
            let effect = AuditEvent.EffectField(observed: .occurred, result: written.facts)
            do throws(AuditError) {
                try await audit.recordOutcome(ofIntent: intentID, act.event(.outcome, .permit, effect: effect))
            } catch {
                throw WriteFailure(error: .audit(error), observed: .unknown)
            }
            return written.value
        } catch {
            if case .audit = error.error { throw error.error }
            let isRefusal = error.error.isRefusal
            let effect = AuditEvent.EffectField(observed: error.observed)
            // The failure itself is the answer; if its record is lost too, the open intent says so.
            _ = try? await audit.recordOutcome(
                ofIntent: intentID,
                act.event(.outcome, isRefusal ? .deny : .permit, reason: error.error.code, effect: effect))
            throw error.error
        }
    }

    /// Records that an act was refused before anything was tried, and returns the error to throw.
    ///
    /// The refusal stands also if the log cannot take the record.
    func refuse(_ act: RegistryAct, _ error: RegistryError) async -> RegistryError {
        let effect = AuditEvent.EffectField(observed: .none)
        _ = try? await audit.record(act.event(.single, .deny, reason: error.code, effect: effect))
        return error
    }
}

extension RegistryError {
    /// Whether a rule said no, as opposed to something that broke.
    var isRefusal: Bool {
        switch self {
        case .storage, .audit: false
        default: true
        }
    }
}

/// A SHA-256 over fields, each with its length before it, so that no two lists of fields have the same input.
struct FieldDigest {
    private var hash = SHA256()

    mutating func add(_ text: String) {
        withUnsafeBytes(of: UInt64(text.utf8.count).bigEndian) { hash.update(bufferPointer: $0) }
        hash.update(data: Array(text.utf8))
    }

    mutating func add(_ list: [some CustomStringConvertible]) {
        add(String(list.count))
        for item in list { add(item.description) }
    }

    func hexadecimal() -> String { Hexadecimal.encode(hash.finalize()) }
}

extension EntryDraft {
    /// Hex SHA-256 over every field; selectors appear in the audit log only in this form.
    func digest(mask: EntryMask = .all) -> String {
        var digest = FieldDigest()
        digest.add(String(mask.rawValue))
        digest.add(id ?? "")
        digest.add(spiffeID?.string ?? "")
        digest.add(parentID?.string ?? "")
        digest.add(selectors)
        digest.add(String(x509SVIDTTL))
        digest.add(String(jwtSVIDTTL))
        digest.add(federatesWith)
        digest.add("\(isAdmin) \(isDownstream) \(storeSVID)")
        digest.add(expiresAt.map { String($0.milliseconds) } ?? "")
        digest.add(dnsNames)
        digest.add(hint)
        digest.add("\(attributes.disableX509SVIDPrefetch) \(attributes.jwtSVIDIncludeJTI)")
        return digest.hexadecimal()
    }
}
