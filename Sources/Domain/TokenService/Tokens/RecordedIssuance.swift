import AuditTrail
import OAuth
import SPIFFE

extension TokenService {
    /// How every token comes into being, whatever its kind: intent durable in the log → signed for that intent's receipt, read
    /// back and verified → outcome durable → handed out.
    ///
    /// - Parameters:
    ///   - intent: the event of phase `intent`; its outcome is the same with what happened.
    ///   - facts: what the outcome says of the token.
    ///   - sign: signs, and verifies what was signed.
    func issueRecorded(
        _ intent: AuditEvent, facts: [String: String],
        sign: (consuming AuditReceipt) throws(TokenRefusal) -> SecretText
    ) async throws(TokenRefusal) -> SecretText {
        let receipt: AuditReceipt
        do {
            receipt = try await audit.record(intent)
        } catch {
            throw .unavailable("the intent was not recorded: \(error)")
        }
        let intentID = receipt.eventID
        var outcome = intent
        let token: SecretText
        do throws(TokenRefusal) {
            token = try sign(receipt)
        } catch {
            outcome.decision.result = .deny
            outcome.decision.reason = error.reason
            outcome.effect = AuditEvent.EffectField(observed: .none)
            // The failure stands whether or not the log takes it.
            _ = try? await audit.recordOutcome(ofIntent: intentID, outcome)
            throw error
        }
        outcome.effect = AuditEvent.EffectField(observed: .occurred, result: facts)
        do {
            try await audit.recordOutcome(ofIntent: intentID, outcome)
        } catch {
            throw .unavailable("the outcome was not recorded: \(error)")
        }
        return token
    }
}

extension GrantedSubject {
    /// For whom a token is, as the log names it; nil where the agent acts for itself.
    var audit: AuditEvent.DelegationField? {
        guard onBehalf != .itself else { return nil }
        return AuditEvent.DelegationField(
            subject: subject, subjectKind: (try? SPIFFEID(subject)) == nil ? "user" : "system")
    }
}
