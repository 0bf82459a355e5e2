package import AuditTrail
package import SPIFFE

extension Authorities {
    /// Takes authorities into the bundle that somebody else signs with: those of a downstream control plane or of
    /// another server of the same trust domain. Those that are there already are passed over.
    ///
    /// They stay until a day after their end. Throws `.notAnAuthority` for a certificate that cannot sign SVIDs of this
    /// trust domain, `.keyForTwoPurposes` for a key or a key ID that tokens of another kind are signed with, and
    /// `.bundleFull` before the bundle grows beyond what others read.
    package func append(
        x509 certificates: [X509Authority] = [], jwt keys: [JWTAuthority] = [], wit witKeys: [WITAuthority] = [],
        by agent: AuditEvent.AgentField, requestID: String
    ) async throws(AuthoritiesError) {
        let time = now()
        var records: [AuthorityRecord] = []
        for authority in certificates { records.append(try record(authority.certificate, at: time)) }
        for key in keys {
            records.append(record(.jwt, key.keyID, key.derSPKI, endingAt: key.expiresAt, at: time))
        }
        for key in witKeys {
            records.append(record(.wit, key.keyID, key.derSPKI, endingAt: key.expiresAt, at: time))
        }
        try await turnstile.pass { () async throws(AuthoritiesError) in
            if mustReload { try await reload() }
            for record in records { try checkPurpose(record, among: snapshot.machine.stored.records + records) }
            for record in records where isNew(record) {
                guard snapshot.machine.stored.records.count < Self.maximumRecords else { throw .bundleFull }
                try await recorded(
                    .bundleAppend, record.kind, id: record.id, .request, by: agent, requestID: requestID
                ) { _ throws(AuthoritiesError) in
                    var machine = self.snapshot.machine
                    try await self.replace(with: machine.append(record))
                    try self.publish(machine, keys: self.snapshot.keys)
                    return ["authority": record.id, "expires": record.notAfter.description]
                }
            }
        }
    }

    /// Most authorities of all kinds together: what readers of a bundle take of one kind.
    package static let maximumRecords = TrustBundle.maximumKeys

    func isNew(_ record: AuthorityRecord) -> Bool {
        !snapshot.machine.stored.records.contains { $0.kind == record.kind && $0.id == record.id }
    }

    func record(
        _ certificate: ParsedCertificate, at time: UnixTime
    ) throws(AuthoritiesError) -> AuthorityRecord {
        guard certificate.isCA, certificate.keyUsage?.contains(.keyCertSign) ?? true, certificate.notAfter > time,
            certificate.uriSANs.allSatisfy({ $0 == trustDomain.id.string })
        else { throw .notAnAuthority }
        return AuthorityRecord(
            kind: .x509, id: HexText.encode(CertificateIssuer(certificate).keyIdentifier), keyID: nil,
            certificate: certificate.der, publicKey: certificate.publicKey.derSPKI, notBefore: certificate.notBefore,
            notAfter: certificate.notAfter, status: .external, createdAt: time)
    }

    private func record(
        _ kind: AuthorityRecord.Kind, _ id: String, _ publicKey: [UInt8], endingAt end: UnixTime?, at time: UnixTime
    ) -> AuthorityRecord {
        AuthorityRecord(
            kind: kind, id: id, keyID: nil, certificate: nil, publicKey: publicKey, notBefore: time,
            notAfter: end ?? Self.never, status: .external, createdAt: time)
    }

    /// A key signs one kind of token, and a key ID names one key of the bundle (WIT-SVID §6): readers refuse a bundle
    /// in which two keys have one ID.
    private func checkPurpose(
        _ record: AuthorityRecord, among others: [AuthorityRecord]
    ) throws(AuthoritiesError) {
        guard record.kind != .x509 else { return }
        for other in others where other.kind != .x509 && other.kind != record.kind {
            guard other.id != record.id, other.publicKey != record.publicKey else { throw .keyForTwoPurposes }
        }
    }

    /// The end of a key whose publisher named none: the last second that certificates can write.
    private static let never = UnixTime(seconds: 253_402_300_799)
}
