import Revocation
import SPIFFE

/// An X509-SVID at hand, with what decides when it is replaced.
struct CachedSVID: Sendable {
    let id: SPIFFEID
    /// Concatenated DER, leaf first.
    let chain: [UInt8]
    /// PKCS #8 DER.
    let privateKey: [UInt8]
    /// In the future when the clock has been set back since it was signed: peers refuse it then.
    let notBefore: UnixTime
    let expiresAt: UnixTime
    let rotatesAt: UnixTime
    let serialNumber: SerialNumber?
    let key: SubjectPublicKey?
    /// Revision of the entry that it was signed for.
    let revision: Int64
    /// Key ID of the authority at the end of its chain, by which a tainted one is recognised.
    let authorityKeyID: [UInt8]?
}

extension CachedSVID {
    /// What was signed for an entry of this revision. `random` is in 0..<1.
    init(_ svid: X509SVID, revision: Int64, obtained: UnixTime, random: Double) {
        let last = svid.chain.count > 1 ? svid.chain.last.flatMap { try? ParsedCertificate(der: $0) } : svid.leaf
        self.init(
            id: svid.id, chain: svid.chainConcatenated, privateKey: svid.pkcs8,
            notBefore: svid.leaf.notBefore, expiresAt: svid.expiresAt,
            rotatesAt: RotationSchedule.rotation(obtained: obtained, expires: svid.expiresAt, random: random),
            serialNumber: svid.leaf.serialNumber, key: svid.leaf.publicKey, revision: revision,
            authorityKeyID: last?.authorityKeyIdentifier)
    }
}

extension RevokedSubjects {
    /// Whether this certificate is not to be handed out again. A revoked agent is not asked about: it gets none at all.
    func revokes(_ svid: CachedSVID) -> Bool {
        if let serial = svid.serialNumber, all.contains(.serial(serial)) { return true }
        return svid.key.map { revokes($0) } ?? false
    }

    /// The same of a token.
    func revokes(_ token: WITCache.Token) -> Bool {
        if let jwtID = token.jwtID, all.contains(.jwtID(jwtID)) { return true }
        return revokes(token.holder)
    }
}

extension TrustBundle {
    /// Whether an SVID under this authority has to go: the authority is tainted, or not in the bundle any more.
    func demandsRotation(authorityKeyID: [UInt8]?) -> Bool {
        guard let authorityKeyID else { return false }
        let authorities = x509Authorities.filter { $0.certificate.subjectKeyIdentifier == authorityKeyID }
        // Authorities without a key ID cannot be told apart: then nothing is missing for sure.
        if authorities.isEmpty { return x509Authorities.allSatisfy { $0.certificate.subjectKeyIdentifier != nil } }
        return authorities.allSatisfy(\.isTainted)
    }
}
