import AuditTrail
import Crypto
import JOSE
import Registry
import SPIFFE

extension Authorities {
    /// Does one act as intent, act, outcome. Whatever fails after the intent is recorded as an outcome of unknown effect,
    /// and what is stored is loaded again before the next act.
    func perform(
        _ action: AuthorityStateMachine.Action, at time: UnixTime, by agent: AuditEvent.AgentField = .internal(),
        requestID: String? = nil
    ) async throws(AuthoritiesError) {
        switch action {
        case .prepare(let kind, let cause):
            let keyID = KeyID.fresh(for: kind, randomBytes: randomBytes)
            try await recorded(.authorityPrepare, kind, id: keyID.string, cause, by: agent, requestID: requestID) {
                receipt throws(AuthoritiesError) in
                try await self.prepare(kind, keyID: keyID, at: time, consuming: receipt)
            }
        case .activate(let record, let cause):
            try await recorded(.authorityActivate, record.kind, id: record.id, cause, by: agent, requestID: requestID) {
                _ throws(AuthoritiesError) in try await self.activate(record)
            }
        case .prune(let record, let cause):
            try await recorded(.authorityPrune, record.kind, id: record.id, cause, by: agent, requestID: requestID) {
                _ throws(AuthoritiesError) in try await self.prune(record)
            }
        }
    }

    private func prepare(
        _ kind: AuthorityRecord.Kind, keyID: KeyID, at time: UnixTime, consuming receipt: consuming AuditReceipt
    ) async throws(AuthoritiesError) -> [String: String] {
        let key: AuthorityKey
        do {
            key = try await keyStore.create(keyID, kind.algorithm)
        } catch {
            throw .keys(error)
        }
        let record: AuthorityRecord
        var roots: [AuthorityRecord] = []
        switch kind {
        case .x509:
            guard case .p256(let key) = key else { throw .keys(.damaged(keyID.string)) }
            if let upstream {
                (record, roots) = try await signed(by: upstream, keyID, key, at: time, consuming: receipt)
            } else {
                record = try selfSigned(keyID, key, at: time, consuming: receipt)
            }
        case .jwt, .wit, .oauth, .entra, .card: record = try tokenKey(kind, keyID, key, at: time)
        }
        var machine = snapshot.machine
        let displaced = machine.record(kind, .prepared)?.keyID
        var stored = machine.prepare(record)
        for root in roots where isNew(root) {
            guard stored.records.count < Self.maximumRecords else { throw .bundleFull }
            stored = machine.append(root)
        }
        try await replace(with: stored)
        var keys = snapshot.keys
        keys[keyID] = key
        if let displaced { keys[displaced] = nil }
        try publish(machine, keys: keys)
        try await forget(displaced)
        return ["authority": record.id, "expires": record.notAfter.description]
    }

    private func activate(_ record: AuthorityRecord) async throws(AuthoritiesError) -> [String: String] {
        var machine = snapshot.machine
        // An authority that no longer signs needs no private key, but for the CRLs over its own certificates.
        let retired = record.kind == .x509 ? nil : machine.record(record.kind, .active)?.keyID
        try await replace(with: machine.activate(record))
        var keys = snapshot.keys
        if let retired { keys[retired] = nil }
        try publish(machine, keys: keys)
        try await forget(retired)
        return ["authority": record.id, "expires": record.notAfter.description]
    }

    private func prune(_ record: AuthorityRecord) async throws(AuthoritiesError) -> [String: String] {
        var machine = snapshot.machine
        try await replace(with: machine.prune(record))
        var keys = snapshot.keys
        if let keyID = record.keyID { keys[keyID] = nil }
        try publish(machine, keys: keys)
        try await forget(record.keyID)
        return ["authority": record.id]
    }

    /// A certificate for the key, signed by the key itself.
    private func selfSigned(
        _ keyID: KeyID, _ key: P256.Signing.PrivateKey, at time: UnixTime, consuming receipt: consuming AuditReceipt
    ) throws(AuthoritiesError) -> AuthorityRecord {
        let publicKey = SubjectPublicKey(key.publicKey)
        let notBefore = UnixTime(seconds: (time - IssuanceDefaults.backdating).seconds)
        let notAfter = UnixTime(seconds: (time + options.x509Lifetime).seconds)
        let template: CertificateTemplate
        do {
            template = try .authority(
                trustDomain: trustDomain, publicKey: publicKey, serialNumber: .fresh(randomBytes: randomBytes),
                notBefore: notBefore, notAfter: notAfter)
        } catch let error as CertificateTemplateError {
            throw .certificate(error)
        } catch {
            throw .keys(.badRandomness)
        }
        guard let certificate = try? template.sign(with: key) else { throw .signingFailed }
        return AuthorityRecord(
            kind: .x509, id: HexText.encode(publicKey.subjectKeyIdentifier), keyID: keyID, certificate: certificate,
            publicKey: publicKey.derSPKI, notBefore: notBefore, notAfter: notAfter, status: .prepared, createdAt: time)
    }

    /// A certificate for the key, signed by the authority above, and the roots to trust for it.
    private func signed(
        by upstream: any UpstreamAuthority, _ keyID: KeyID, _ key: P256.Signing.PrivateKey, at time: UnixTime,
        consuming receipt: consuming AuditReceipt
    ) async throws(AuthoritiesError) -> (AuthorityRecord, roots: [AuthorityRecord]) {
        let publicKey = SubjectPublicKey(key.publicKey)
        let serialNumber: SerialNumber
        do {
            serialNumber = try .fresh(randomBytes: randomBytes)
        } catch {
            throw .keys(.badRandomness)
        }
        let answer: UpstreamCertificate
        do {
            answer = try await upstream.sign(
                trustDomain: trustDomain, publicKey: publicKey, serialNumber: serialNumber,
                notBefore: UnixTime(seconds: (time - IssuanceDefaults.backdating).seconds),
                notAfter: UnixTime(seconds: (time + options.x509Lifetime).seconds))
        } catch {
            throw .upstream(error)
        }
        // Whoever signed it: what it says is ours to check, before a verifier does.
        let certificate = answer.certificate
        guard certificate.publicKey == publicKey, certificate.uriSANs == [trustDomain.idString] else {
            throw .signingFailed
        }
        var roots: [AuthorityRecord] = []
        for root in answer.roots where root.notAfter > time { roots.append(try self.record(root, at: time)) }
        let rootID = HexText.encode(CertificateIssuer(answer.root).keyIdentifier)
        guard roots.contains(where: { $0.id == rootID }) else { throw .upstream(.noRoot) }
        return (
            AuthorityRecord(
                kind: .x509, id: HexText.encode(publicKey.subjectKeyIdentifier), keyID: keyID,
                certificate: certificate.der, publicKey: publicKey.derSPKI, notBefore: certificate.notBefore,
                notAfter: certificate.notAfter, status: .prepared, createdAt: time,
                upstream: .init(rootID: rootID, chain: answer.chain)),
            roots
        )
    }

    private func tokenKey(
        _ kind: AuthorityRecord.Kind, _ keyID: KeyID, _ key: AuthorityKey, at time: UnixTime
    ) throws(AuthoritiesError) -> AuthorityRecord {
        let verificationKey: JWSVerificationKey
        do {
            verificationKey = try key.signer(keyID: "").verificationKey
        } catch {
            throw .keys(.damaged(keyID.string))
        }
        let lifetime =
            switch kind {
            case .x509, .jwt, .wit: options.jwtLifetime
            case .oauth, .entra: options.tokenLifetime
            case .card: options.cardLifetime
            }
        return AuthorityRecord(
            kind: kind, id: verificationKey.jwk.thumbprintBase64URL, keyID: keyID, certificate: nil,
            publicKey: verificationKey.derSPKI, notBefore: UnixTime(seconds: time.seconds),
            notAfter: UnixTime(seconds: (time + lifetime).seconds), status: .prepared, createdAt: time)
    }

    func replace(with stored: StoredAuthorities) async throws(AuthoritiesError) {
        do {
            try await store.replace(with: stored)
        } catch {
            throw .store(error)
        }
    }

    func forget(_ keyID: KeyID?) async throws(AuthoritiesError) {
        guard let keyID else { return }
        do {
            try await keyStore.remove(keyID)
        } catch {
            throw .keys(error)
        }
    }
}

extension Authorities {
    /// Intent, body, outcome: the shape of every act.
    func recorded(
        _ type: EventType, _ kind: AuthorityRecord.Kind, id: String, _ cause: AuthorityStateMachine.Cause,
        by agent: AuditEvent.AgentField = .internal(), requestID: String? = nil,
        _ body: (consuming AuditReceipt) async throws(AuthoritiesError) -> [String: String]
    ) async throws(AuthoritiesError) {
        var event = AuditEvent(
            type: type, phase: .intent, agent: agent,
            resource: AuditEvent.ResourceField(kind: "\(kind.rawValue)-authority", id: id),
            decision: AuditEvent.DecisionField(
                action: type.rawValue, result: cause == .request ? .permit : .none, reason: cause.rawValue),
            correlation: AuditEvent.CorrelationField(requestID: requestID ?? HexText.encode(randomBytes(16))))
        let receipt = try await record(event)
        let intentID = receipt.eventID
        do throws(AuthoritiesError) {
            event.effect = AuditEvent.EffectField(observed: .occurred, result: try await body(receipt))
        } catch {
            distrustStore()
            event.effect = AuditEvent.EffectField(observed: .unknown, result: ["error": error.description])
            // The act's own failure is what the caller has to know; a log that fails too will say so at the next intent.
            _ = try? await audit.recordOutcome(ofIntent: intentID, event)
            throw error
        }
        do {
            try await audit.recordOutcome(ofIntent: intentID, event)
        } catch {
            throw .audit(error)
        }
    }

    private func record(_ event: AuditEvent) async throws(AuthoritiesError) -> AuditReceipt {
        do {
            return try await audit.record(event)
        } catch {
            throw .audit(error)
        }
    }
}
