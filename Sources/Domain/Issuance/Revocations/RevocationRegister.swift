package import AuditTrail
package import Registry
package import Revocation
package import SPIFFE
import Synchronization

/// What is revoked in the trust domain. Reads come from memory and never wait; acts go one at a time, each as intent,
/// store and outcome in the audit log.
package final class RevocationRegister: Sendable {
    package let trustDomain: TrustDomain
    /// Certificates that live, for naming those of a revoked agent.
    package let serials = IssuedSerials()
    private let store: any RevocationStore
    private let audit: AuditLog
    private let now: Clock
    private let randomBytes: RandomBytes
    private let turnstile = Turnstile()
    private let state: Mutex<State>

    private struct State {
        var stored: StoredRevocations
        var revoked: RevokedSubjects
        /// A write failed, so nobody knows what the store holds: load before the next change.
        var mustReload = false
        var subscribers: [UInt64: AsyncStream<Int64>.Continuation] = [:]
        var nextSubscriber: UInt64 = 0
    }

    /// Longest reason, in bytes.
    package static let maximumReasonLength = 512

    /// Loads what is stored.
    package static func open(
        trustDomain: TrustDomain, store: any RevocationStore, audit: AuditLog, now: @escaping Clock,
        randomBytes: @escaping RandomBytes
    ) async throws(RevocationRegisterError) -> RevocationRegister {
        var stored: StoredRevocations
        do {
            stored = try await store.load()
        } catch {
            throw .store(error)
        }
        // From the clock, so that a restored backup does not repeat numbers that node agents have seen already.
        stored.sequence = max(stored.sequence, now().milliseconds, 1)
        return RevocationRegister(
            trustDomain: trustDomain, store: store, audit: audit, stored: stored, now: now, randomBytes: randomBytes)
    }

    private init(
        trustDomain: TrustDomain, store: any RevocationStore, audit: AuditLog, stored: StoredRevocations,
        now: @escaping Clock, randomBytes: @escaping RandomBytes
    ) {
        self.trustDomain = trustDomain
        self.store = store
        self.audit = audit
        self.now = now
        self.randomBytes = randomBytes
        state = Mutex(
            State(stored: stored, revoked: RevokedSubjects(Set(stored.records.map(\.subject)), in: trustDomain)))
    }

    // MARK: reading

    /// The number of the present state; grows with every change.
    package var sequence: Int64 { state.withLock { $0.stored.sequence } }

    /// The present state, in the order in which things were revoked.
    package var current: StoredRevocations { state.withLock(\.stored) }

    /// What is revoked now, for the questions of verifiers and of the issuer.
    package var revoked: RevokedSubjects { state.withLock(\.revoked) }

    /// The number of the state, now and after every change; a slow reader gets the latest one only.
    package func changes() -> AsyncStream<Int64> {
        let (stream, continuation) = AsyncStream.makeStream(of: Int64.self, bufferingPolicy: .bufferingNewest(1))
        let number = state.withLock { state in
            let number = state.nextSubscriber
            state.nextSubscriber += 1
            state.subscribers[number] = continuation
            continuation.yield(state.stored.sequence)
            return number
        }
        continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.subscribers[number] = nil } }
        return stream
    }

    // MARK: acts

    /// Revokes. An agent's revocation brings its known living certificates along. What is revoked already stays as it is.
    /// - Parameters:
    ///   - expiresAt: the credential's end, where the caller knows it.
    ///   - latestEnd: the latest end that a credential of this kind can have, for when nobody knows better.
    ///   - replacedReason: a revocation for this reason is replaced, in one act.
    ///   - authorityKeys: thumbprints of keys that other commands revoke, with their authorities.
    package func revoke(
        _ subject: RevokedSubject, reason: String, expiresAt: UnixTime? = nil, latestEnd: UnixTime,
        replacing replacedReason: String? = nil, sparing authorityKeys: Set<String> = [],
        by agent: AuditEvent.AgentField, requestID: String
    ) async throws(RevocationRegisterError) -> RevocationRecord {
        let time = now()
        let record = RevocationRecord(
            subject: subject, expiresAt: end(of: subject, expiresAt, latestEnd), reason: reason,
            createdAt: UnixTime(seconds: time.seconds))
        let act = RevocationAct(.revocationAdd, "revoke", subject, reason, agent, requestID)
        do throws(RevocationRegisterError) {
            try check(record, sparing: authorityKeys, at: time)
        } catch {
            await refuse(act, error)
            throw error
        }
        return try await turnstile.pass { () async throws(RevocationRegisterError) in
            try await reloadIfNeeded()
            let stored = current
            if let there = stored.records.first(where: { $0.subject == subject && $0.cause == nil }),
                there.reason != replacedReason
            {
                return there
            }
            var next = stored
            // What an agent's revocation brought along becomes a revocation of its own.
            next.records.removeAll { $0.subject == subject }
            next.records.append(record)
            if case .agent(let id) = subject {
                let known = Set(next.records.map(\.subject))
                for certificate in serials.living(of: id, at: time) where !known.contains(.serial(certificate.serial)) {
                    next.records.append(
                        RevocationRecord(
                            subject: .serial(certificate.serial), expiresAt: certificate.expiresAt, reason: reason,
                            createdAt: record.createdAt, cause: id))
                }
            }
            guard next.records.count <= RevocationSnapshot.maximumSubjects,
                Self.size(of: next.records) <= RevocationSnapshot.maximumPayloadBytes
            else {
                await refuse(act, .full)
                throw .full
            }
            try await change(to: next, act, facts: ["expires": record.expiresAt?.description ?? "never"])
            return record
        }
    }

    /// Takes a revocation back, with the certificates that it brought along.
    package func undo(
        _ subject: RevokedSubject, reason: String, by agent: AuditEvent.AgentField, requestID: String
    ) async throws(RevocationRegisterError) {
        let act = RevocationAct(.revocationRemove, "unrevoke", subject, reason, agent, requestID)
        try await turnstile.pass { () async throws(RevocationRegisterError) in
            try await reloadIfNeeded()
            var next = current
            guard next.records.contains(where: { $0.subject == subject }) else {
                await refuse(act, .notRevoked)
                throw .notRevoked
            }
            next.records.removeAll { record in
                if record.subject == subject { return true }
                guard case .agent(let id) = subject else { return false }
                return record.cause == id
            }
            try await change(to: next, act, facts: [:])
        }
    }

    /// Drops what has ended; an item leaves only after its credential's end.
    package func prune() async throws(RevocationRegisterError) {
        let time = now()
        serials.prune(at: time)
        // A minute later: clocks of verifiers may be behind, and tokens are taken a little beyond their end.
        let isOver: @Sendable (RevocationRecord) -> Bool = { $0.expiresAt.map { $0 + Self.grace <= time } ?? false }
        guard current.records.contains(where: isOver) else { return }
        try await turnstile.pass { () async throws(RevocationRegisterError) in
            try await reloadIfNeeded()
            var next = current
            let count = next.records.count
            next.records.removeAll(where: isOver)
            guard next.records.count < count else { return }
            let act = RevocationAct(
                .revocationPrune, "prune", nil, "ended", .internal(), HexText.encode(randomBytes(16)))
            try await change(to: next, act, facts: ["count": String(count - next.records.count)])
        }
    }

    /// Seconds that an item stays beyond its credential's end.
    package static let grace: Int64 = 60

    // MARK: steps

    private func end(of subject: RevokedSubject, _ known: UnixTime?, _ latest: UnixTime) -> UnixTime? {
        switch subject {
        case .agent, .key: known
        case .serial(let serial): serials.end(of: serial) ?? known ?? latest
        case .jwtID, .chainRoot: known ?? latest
        }
    }

    private func check(
        _ record: RevocationRecord, sparing authorityKeys: Set<String>, at time: UnixTime
    ) throws(RevocationRegisterError) {
        guard record.reason.utf8.count <= Self.maximumReasonLength else { throw .reasonTooLong }
        if let end = record.expiresAt, end <= time { throw .alreadyEnded }
        if case .key(let thumbprint) = record.subject, authorityKeys.contains(thumbprint) { throw .authorityKey }
        guard case .agent(let id) = record.subject else { return }
        guard id.trustDomain == trustDomain else { throw .otherTrustDomain(id.trustDomain) }
        // Without these there is no control plane to undo anything with.
        guard !id.path.isEmpty, id.path != "/spire/server", id.path != SignedRevocations.signerPath else {
            throw .ownIdentity
        }
    }

    private static func size(of records: [RevocationRecord]) -> Int {
        records.reduce(512) { $0 + $1.subject.value.utf8.count + 8 }
    }

    private func reloadIfNeeded() async throws(RevocationRegisterError) {
        guard state.withLock(\.mustReload) else { return }
        do {
            var stored = try await store.load()
            stored.sequence = max(stored.sequence, sequence) + 1
            publish(stored)
        } catch {
            throw .store(error)
        }
    }

    private func change(
        to next: StoredRevocations, _ act: RevocationAct, facts: [String: String]
    ) async throws(RevocationRegisterError) {
        var next = next
        next.sequence = max(next.sequence + 1, now().milliseconds)
        let intentID: String
        do {
            let receipt = try await audit.record(act.event(.intent, .permit))
            intentID = receipt.eventID
        } catch {
            throw .audit(error)
        }
        var facts = facts
        facts["sequence"] = String(next.sequence)
        do {
            try await store.replace(with: next)
        } catch {
            let effect = AuditEvent.EffectField(observed: await observed(next), result: facts)
            _ = try? await audit.recordOutcome(
                ofIntent: intentID, act.event(.outcome, .permit, effect: effect))
            throw .store(error)
        }
        // In force from here on, whether or not the log takes the outcome.
        publish(next)
        do {
            try await audit.recordOutcome(
                ofIntent: intentID,
                act.event(.outcome, .permit, effect: AuditEvent.EffectField(observed: .occurred, result: facts)))
        } catch {
            throw .audit(error)
        }
    }

    /// What a write that failed has done after all: the store is asked at once, and what it says is in force.
    private func observed(_ next: StoredRevocations) async -> AuditEvent.EffectField.Observed {
        state.withLock { $0.mustReload = true }
        guard let stored = try? await store.load() else { return .unknown }
        // Each state has a number of its own.
        guard stored.sequence == next.sequence else {
            state.withLock { $0.mustReload = false }
            return .none
        }
        publish(stored)
        return .occurred
    }

    private func publish(_ stored: StoredRevocations) {
        state.withLock { state in
            state.stored = stored
            state.revoked = RevokedSubjects(Set(stored.records.map(\.subject)), in: trustDomain)
            state.mustReload = false
            for subscriber in state.subscribers.values { subscriber.yield(stored.sequence) }
        }
    }

    private func refuse(_ act: RevocationAct, _ error: RevocationRegisterError) async {
        _ = try? await audit.record(
            act.event(
                .single, .deny, reason: error.description, effect: AuditEvent.EffectField(observed: .none)))
    }
}

/// One act on the register, as the audit log tells of it.
private struct RevocationAct: Sendable {
    let type: EventType
    let action: String
    let subject: RevokedSubject?
    let reason: String
    let agent: AuditEvent.AgentField
    let requestID: String

    init(
        _ type: EventType, _ action: String, _ subject: RevokedSubject?, _ reason: String,
        _ agent: AuditEvent.AgentField, _ requestID: String
    ) {
        self.type = type
        self.action = action
        self.subject = subject
        self.reason = reason
        self.agent = agent
        self.requestID = requestID
    }

    func event(
        _ phase: AuditEvent.Phase, _ result: AuditEvent.DecisionField.Result, reason refusal: String? = nil,
        effect: AuditEvent.EffectField? = nil
    ) -> AuditEvent {
        AuditEvent(
            type: type, phase: phase, agent: agent,
            resource: AuditEvent.ResourceField(
                kind: subject?.kind.rawValue ?? "revocations", id: subject?.value ?? "ended"),
            decision: AuditEvent.DecisionField(
                action: action, result: agent.authMethod == .internal ? .none : result, reason: refusal),
            correlation: AuditEvent.CorrelationField(requestID: requestID),
            remediation: AuditEvent.RemediationField(cause: reason.isEmpty ? "not given" : reason, action: action),
            effect: effect)
    }
}

/// Why an act on the register did not happen.
package enum RevocationRegisterError: Error, Equatable, Sendable, CustomStringConvertible {
    case otherTrustDomain(TrustDomain)
    /// The trust domain itself, the control plane or the snapshots' signer.
    case ownIdentity
    case reasonTooLong
    /// What is meant cannot be read.
    case badSubject(String)
    /// The key of an authority that signs or will sign, or of one for certificates.
    case authorityKey
    /// The credential ended before now.
    case alreadyEnded
    case notRevoked
    /// The snapshot would become too large.
    case full
    case store(StoreError)
    case audit(AuditError)

    package var description: String {
        switch self {
        case .otherTrustDomain(let name): "the SPIFFE ID belongs to the trust domain `\(name)`"
        case .ownIdentity: "the control plane's own identities cannot be revoked"
        case .reasonTooLong: "a reason has at most \(RevocationRegister.maximumReasonLength) bytes"
        case .badSubject(let reason): "cannot tell what to revoke: \(reason)"
        case .authorityKey: "the key is an authority's: `agentshield localauthority` taints and revokes it"
        case .alreadyEnded: "the credential has ended already"
        case .notRevoked: "it is not revoked"
        case .full: "too much is revoked: the snapshot has no room left"
        case .store(let error): error.description
        case .audit(let error): error.description
        }
    }
}
