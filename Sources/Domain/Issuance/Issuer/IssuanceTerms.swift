import JOSE
import Registry
import Revocation
import SPIFFE

/// What holds for one issuance: the moment, the authorities of that moment, and the rules that all kinds share.
struct IssuanceTerms {
    let trustDomain: TrustDomain
    let time: UnixTime
    let x509: X509SigningAuthority?
    let jwt: JWTSigningAuthority?
    let wit: WITSigningAuthority?
    let card: CardSigningAuthority?
    let defaults: IssuanceDefaults
    let randomBytes: RandomBytes
    /// What is revoked at that moment; nil where nothing ever is.
    let revoked: RevokedSubjects?

    /// A workload's ID is of this trust domain, has a path, and none that is reserved.
    func checkWorkloadID(_ id: SPIFFEID) throws(IssuanceError) {
        try checkTrustDomain(id)
        guard !id.path.isEmpty else { throw .rootPath }
        guard !id.isReserved else { throw .reservedID }
        try checkNotRevoked(id)
    }

    /// A revoked identity gets nothing, however its revocation and this request crossed.
    func checkNotRevoked(_ id: SPIFFEID) throws(IssuanceError) {
        guard revoked?.revokes(id) != true else { throw .revoked }
    }

    /// A revoked key holds nothing, whoever shows it.
    func checkNotRevoked(_ key: SubjectPublicKey) throws(IssuanceError) {
        guard revoked?.revokes(key) != true else { throw .revoked }
    }

    /// We vouch for IDs of our own trust domain only.
    func checkTrustDomain(_ id: SPIFFEID) throws(IssuanceError) {
        guard id.isMember(of: trustDomain) else { throw .otherTrustDomain(id.trustDomain) }
    }

    /// An entry that has ended allows nothing, even before it is removed.
    func checkNotExpired(_ entry: RegistrationEntry) throws(IssuanceError) {
        if let end = entry.expiresAt, end <= time { throw .entryExpired }
    }

    /// When a credential ends, in whole seconds: after its lifetime, and never after the authority that signs it.
    func end(ttl: Int64, defaultTTL: Int64, authorityEnd: UnixTime) throws(IssuanceError) -> UnixTime {
        guard ttl >= 0 else { throw .negativeLifetime }
        let end = min(time + (ttl == 0 ? defaultTTL : ttl), authorityEnd)
        // Less than a second of life left is none: the schedule is behind, and what would be signed is born dead.
        guard end.seconds > time.seconds else { throw .noAuthority }
        return UnixTime(seconds: end.seconds)
    }

    /// What configuration adds to a token of this kind.
    func addedClaims(
        _ kind: ClaimRule.Kind, _ id: SPIFFEID, hint: String, entryID: String?
    ) throws(IssuanceError) -> JSONObject {
        guard !defaults.claims.rules.isEmpty else { return JSONObject() }
        do {
            return try defaults.claims.claims(in: kind, for: ClaimSubject(id: id, hint: hint, entryID: entryID))
        } catch {
            throw .claims(error)
        }
    }

    /// A fresh serial number.
    func serialNumber() throws(IssuanceError) -> SerialNumber {
        do {
            return try .fresh(randomBytes: randomBytes)
        } catch {
            throw .badRandomness
        }
    }
}
