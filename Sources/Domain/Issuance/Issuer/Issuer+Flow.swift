import AuditTrail
import SPIFFE

extension Issuer {
    /// Flow 1: every credential of whatever kind is issued by these steps, and each needs what the one before returned.
    ///
    /// Checked and built → intent durable in the log → signed for that intent's receipt → read back and verified →
    /// outcome durable in the log → handed out. A step that fails after the intent leaves an outcome that says so.
    func issue<Preparation: CredentialPreparation>(
        _ type: EventType, for caller: IssuanceCaller, asking subject: IssuanceSubject,
        prepare: (IssuanceTerms) throws(IssuanceError) -> Preparation
    ) async throws(IssuanceError) -> Preparation.Issued {
        let terms = terms()
        let preparation: Preparation
        do throws(IssuanceError) {
            preparation = try prepare(terms)
        } catch {
            await recordRefusal(type, caller, subject, error)
            throw error
        }
        var event = event(type, .intent, caller, preparation.subject)
        let receipt: AuditReceipt
        do {
            receipt = try await audit.record(event)
        } catch {
            throw .intentNotRecorded(error)
        }
        let intentID = receipt.eventID
        let issued: Preparation.Issued
        do throws(IssuanceError) {
            let signed = try preparation.sign(consuming: receipt)
            issued = try preparation.verify(signed, with: authorities.snapshot, at: terms.time)
        } catch {
            await recordFailure(event, intentID, error)
            throw error
        }
        event.effect = AuditEvent.EffectField(observed: .occurred, result: preparation.facts(about: issued))
        // Noted before it is looked at once more: of two that cross, the revocation sees the certificate or this sees
        // the revocation.
        preparation.note(issued, in: revocations?.serials)
        if revocations?.revoked.revokes(preparation.subject.id) == true {
            await recordFailure(event, intentID, .revoked)
            throw .revoked
        }
        do {
            try await audit.recordOutcome(ofIntent: intentID, event)
        } catch {
            throw .outcomeNotRecorded(error)
        }
        return issued
    }

    private func event(
        _ type: EventType, _ phase: AuditEvent.Phase, _ caller: IssuanceCaller, _ subject: IssuanceSubject
    ) -> AuditEvent {
        AuditEvent(
            type: type, phase: phase, agent: caller.agent,
            resource: AuditEvent.ResourceField(kind: subject.kind, id: subject.id.string, argsHash: subject.argsHash),
            decision: AuditEvent.DecisionField(
                action: "issue", result: .permit, policyID: subject.entryID.map { "entry:\($0)" }),
            correlation: AuditEvent.CorrelationField(requestID: caller.requestID, traceparent: caller.traceparent),
            posture: caller.posture)
    }

    /// The refusal stands whether or not the log takes it.
    private func recordRefusal(
        _ type: EventType, _ caller: IssuanceCaller, _ subject: IssuanceSubject, _ error: IssuanceError
    ) async {
        var event = event(type, .single, caller, subject)
        event.decision.result = .deny
        event.decision.reason = error.description
        event.effect = AuditEvent.EffectField(observed: .none)
        _ = try? await audit.record(event)
    }

    /// The failure stands whether or not the log takes it.
    private func recordFailure(_ intent: AuditEvent, _ intentID: String, _ error: IssuanceError) async {
        var event = intent
        event.decision.result = .deny
        event.decision.reason = error.description
        event.effect = AuditEvent.EffectField(observed: .none)
        _ = try? await audit.recordOutcome(ofIntent: intentID, event)
    }
}
