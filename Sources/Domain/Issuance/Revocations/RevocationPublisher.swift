package import AuditTrail
import Crypto
import JOSE
import Revocation
import SPIFFE
import Synchronization

/// Revocations as node agents get them.
package struct PublishedRevocations: Hashable, Sendable {
    package let sequence: Int64
    /// The signed snapshot.
    package let token: [UInt8]
    /// CRLs in DER, of the authority that signs certificates now first, then of former ones whose certificates may still be
    /// valid; none while no certificate is revoked.
    package let revocationLists: [[UInt8]]
}

/// Signs the snapshot of the register's state, and the CRLs that follow from it, when somebody asks and they are due.
///
/// The snapshot's key signs nothing else, is made anew with each of its certificates, and is never stored.
package final class RevocationPublisher: Sendable {
    private let register: RevocationRegister
    private let issuer: Issuer
    private let audit: AuditLog
    private let now: Clock
    private let randomBytes: RandomBytes
    private let turnstile = Turnstile()
    private let state = Mutex(State())

    private struct State {
        var signer: Signer?
        var published: PublishedRevocations?
        var issuedAt = UnixTime(milliseconds: .min)
        var renewAt = UnixTime(milliseconds: .min)
        var authorityID = ""
    }

    private struct Signer: Sendable {
        let key: JWSSigningKey
        let chain: [[UInt8]]
        let authorityID: String
        let issuedAt: UnixTime
        let expiresAt: UnixTime
        let renewAt: UnixTime
    }

    /// Seconds that a snapshot and a CRL are good for, at most.
    package static let lifetime: Int64 = 3600

    package init(
        register: RevocationRegister, issuer: Issuer, audit: AuditLog, now: @escaping Clock,
        randomBytes: @escaping RandomBytes
    ) {
        self.register = register
        self.issuer = issuer
        self.audit = audit
        self.now = now
        self.randomBytes = randomBytes
    }

    /// The present state, signed: at most half as old as it may get, and under the authority that signs now.
    package func current() async throws(IssuanceError) -> PublishedRevocations {
        if let published = usable() { return published }
        return try await turnstile.pass { () async throws(IssuanceError) in
            if let published = usable() { return published }
            return try await publish()
        }
    }

    private func usable() -> PublishedRevocations? {
        let time = now()
        let sequence = register.sequence
        let authorityID = issuer.authorities.x509Active?.id
        return state.withLock { state in
            guard let published = state.published, published.sequence == sequence,
                Self.isGood(from: state.issuedAt, until: state.renewAt, at: time),
                state.authorityID == authorityID
            else { return nil }
            return published
        }
    }

    /// Whether what was signed at a moment need not be signed anew. Not when the clock has been set back since: verifiers
    /// would find it issued in the future.
    private static func isGood(from issuedAt: UnixTime, until renewAt: UnixTime, at time: UnixTime) -> Bool {
        issuedAt - IssuanceDefaults.backdating <= time && time < renewAt
    }

    private func publish() async throws(IssuanceError) -> PublishedRevocations {
        guard let authority = issuer.authorities.x509Active else { throw .noAuthority }
        let signer = try await signer(under: authority.id)
        let time = now()
        let stored = register.current
        let snapshot: RevocationSnapshot
        let token: [UInt8]
        let receipt = try await record("snapshot", authority.id, stored)
        do throws(RevocationError) {
            snapshot = try RevocationSnapshot(
                trustDomain: register.trustDomain, sequence: stored.sequence, issuedAt: time,
                expiresAt: min(time + Self.lifetime, signer.expiresAt), subjects: Set(stored.records.map(\.subject)))
            token = try SignedRevocations.sign(snapshot, key: signer.key, chain: signer.chain)
        } catch {
            throw .selfCheckFailed(error.description)
        }
        _ = consume receipt
        let published = PublishedRevocations(
            sequence: stored.sequence, token: token,
            revocationLists: try await revocationLists(stored, authority, at: time))
        let halfLife = snapshot.expiresAt.milliseconds(since: time) / 2
        state.withLock { state in
            state.published = published
            state.issuedAt = time
            state.renewAt = time.adding(milliseconds: halfLife)
            state.authorityID = authority.id
        }
        return published
    }

    /// One CRL of each authority that has signed certificates which may still be valid, all with the same entries: who
    /// signed a certificate is not remembered, and another authority's serial number on a list harms nobody.
    private func revocationLists(
        _ stored: StoredRevocations, _ authority: X509SigningAuthority, at time: UnixTime
    ) async throws(IssuanceError) -> [[UInt8]] {
        let entries = stored.records.compactMap { record in
            if case .serial(let serial) = record.subject {
                return RevocationListTemplate.Entry(serialNumber: serial, revokedAt: record.createdAt)
            }
            return nil
        }
        guard !entries.isEmpty else { return [] }
        func template(_ issuer: CertificateIssuer, _ end: UnixTime) -> RevocationListTemplate {
            RevocationListTemplate(
                issuer: issuer, number: UInt64(clamping: stored.sequence), thisUpdate: time,
                nextUpdate: min(time + Self.lifetime, end), entries: entries)
        }
        let receipt = try await record("crl", authority.id, stored)
        guard
            let list = try? authority.sign(template(authority.issuer, authority.notAfter), consuming: receipt)
        else { throw .signingFailed }
        var lists = [list]
        for former in issuer.authorities.x509Former where time < former.notAfter {
            let receipt = try await record("crl", former.id, stored)
            guard let list = try? former.sign(template(former.issuer, former.notAfter), consuming: receipt) else {
                throw .signingFailed
            }
            lists.append(list)
        }
        return lists
    }

    private func signer(under authorityID: String) async throws(IssuanceError) -> Signer {
        let time = now()
        let held = state.withLock(\.signer)
        if let held, held.authorityID == authorityID,
            Self.isGood(from: held.issuedAt, until: held.renewAt, at: time)
        {
            return held
        }
        guard let key = try? P256.Signing.PrivateKey.fresh(randomBytes: randomBytes) else { throw .badRandomness }
        let issued = try await issuer.issueRevocationSigner(
            publicKey: SubjectPublicKey(key.publicKey), requestID: HexText.encode(randomBytes(16)))
        let thumbprint = JWSVerificationKey(p256: key.publicKey, keyID: nil).jwk.thumbprintBase64URL
        let signer = Signer(
            key: JWSSigningKey(p256: key, keyID: thumbprint), chain: issued.chain, authorityID: issued.authorityID,
            issuedAt: time, expiresAt: issued.expiresAt,
            renewAt: time.adding(milliseconds: issued.expiresAt.milliseconds(since: time) / 2))
        state.withLock { $0.signer = signer }
        return signer
    }

    /// Nothing is signed that the log does not know of.
    private func record(
        _ kind: String, _ authorityID: String, _ stored: StoredRevocations
    ) async throws(IssuanceError) -> AuditReceipt {
        do {
            return try await audit.record(
                AuditEvent(
                    type: .revocationSign, agent: .internal(),
                    resource: AuditEvent.ResourceField(kind: kind, id: register.trustDomain.name),
                    decision: AuditEvent.DecisionField(action: "sign", result: .none),
                    correlation: AuditEvent.CorrelationField(requestID: HexText.encode(randomBytes(16))),
                    effect: AuditEvent.EffectField(
                        observed: .occurred,
                        result: [
                            "sequence": String(stored.sequence), "count": String(stored.records.count),
                            "authority": authorityID,
                        ])))
        } catch {
            throw .intentNotRecorded(error)
        }
    }
}
