/// Why an act did not happen, in a form that the audit log can tell.
package protocol AuditedError: Error {
    /// The audit log did not take the record.
    static func audit(_ error: AuditError) -> Self
    /// A short word for audit records.
    var code: String { get }
    /// Whether a rule said no, as opposed to something that broke.
    var isRefusal: Bool { get }
}

/// A write that did not succeed, and what is known of its effect.
package struct AuditedFailure<Failure: AuditedError>: Error {
    package let error: Failure
    package let observed: AuditEvent.EffectField.Observed

    package init(error: Failure, observed: AuditEvent.EffectField.Observed) {
        self.error = error
        self.observed = observed
    }

    /// A refusal: nothing was tried.
    package static func refused(_ error: Failure) -> AuditedFailure {
        AuditedFailure(error: error, observed: .none)
    }
}

/// The value of a write and small facts for its outcome record.
package struct Written<Value: Sendable>: Sendable {
    package let value: Value
    package var facts: [String: String]

    package init(value: Value, facts: [String: String] = [:]) {
        self.value = value
        self.facts = facts
    }
}

extension AuditLog {
    /// Intent, write, outcome. Without a recorded intent nothing is written.
    package func perform<Value: Sendable, Failure: AuditedError>(
        _ act: AuditedAct, _ write: () async throws(AuditedFailure<Failure>) -> Written<Value>
    ) async throws(Failure) -> Value {
        let intentID: String
        do {
            let receipt = try await record(act.event(.intent, .permit))
            intentID = receipt.eventID
        } catch {
            throw .audit(error)
        }
        let written: Written<Value>
        do {
            written = try await write()
        } catch {
            let effect = AuditEvent.EffectField(observed: error.observed)
            // The failure itself is the answer; if its record is lost too, the open intent says so.
            _ = try? await recordOutcome(
                ofIntent: intentID,
                act.event(.outcome, error.error.isRefusal ? .deny : .permit, reason: error.error.code, effect: effect))
            throw error.error
        }
        let effect = AuditEvent.EffectField(observed: .occurred, result: written.facts)
        do {
            try await recordOutcome(ofIntent: intentID, act.event(.outcome, .permit, effect: effect))
        } catch {
            throw .audit(error)
        }
        return written.value
    }

    /// Records that an act was refused before anything was tried, and returns the error to throw.
    ///
    /// The refusal stands also if the log cannot take the record.
    package func refuse<Failure: AuditedError>(_ act: AuditedAct, _ error: Failure) async -> Failure {
        let effect = AuditEvent.EffectField(observed: .none)
        _ = try? await record(act.event(.single, .deny, reason: error.code, effect: effect))
        return error
    }
}
