import Crypto
import JOSE
import SPIFFE

/// One state of the authorities, ready for use: what signs and what verifies. Never changes once it is made.
final class AuthoritySnapshot: Sendable {
    let machine: AuthorityStateMachine
    /// Private keys of the prepared and the active authorities, and of former ones for certificates.
    let keys: [KeyID: AuthorityKey]
    /// Nil while no authority can sign.
    let x509: X509SigningAuthority?
    /// Former authorities for certificates, which sign CRLs over them and nothing else. Those from before a version that
    /// kept their keys are not among them.
    let former: [FormerX509Authority]
    let jwt: JWTSigningAuthority?
    let wit: WITSigningAuthority?
    let oauth: TokenSigningAuthority?
    let entra: TokenSigningAuthority?
    let card: CardSigningAuthority?
    let tokenKeys: TokenKeys
    /// What verifies agent cards.
    let cardKeys: [JWSVerificationKey]
    let bundle: TrustBundle
    /// The half of the bundle that verifies X.509-SVIDs.
    let x509Bundle: X509Bundle

    /// Gets everything ready; what did not change since `previous` is taken over from it.
    init(
        machine: AuthorityStateMachine, keys: [KeyID: AuthorityKey], trustDomain: TrustDomain,
        refreshHint: Int64, previous: AuthoritySnapshot? = nil
    ) throws(AuthoritiesError) {
        self.machine = machine
        self.keys = keys
        var roots: [X509Authority] = []
        var jwtKeys: [JWTAuthority] = []
        var witKeys: [WITAuthority] = []
        for record in machine.stored.records {
            switch record.kind {
            case .x509:
                // Below an upstream authority that one's roots are trusted, which have records of their own.
                guard record.upstream == nil else { continue }
                guard let certificate = record.certificate,
                    let root = try? X509Authority(der: certificate, isTainted: record.isTainted)
                else { throw .damaged(id: record.id) }
                roots.append(root)
            case .jwt:
                guard
                    let key = try? JWTAuthority(
                        keyID: record.id, derSPKI: record.publicKey, expiresAt: record.notAfter,
                        isTainted: record.isTainted)
                else { throw .damaged(id: record.id) }
                jwtKeys.append(key)
            case .wit:
                guard
                    let key = try? WITAuthority(
                        keyID: record.id, derSPKI: record.publicKey, expiresAt: record.notAfter,
                        isTainted: record.isTainted)
                else { throw .damaged(id: record.id) }
                witKeys.append(key)
            case .oauth, .entra, .card:
                // INVARIANT: nothing of these enters the bundle.
                continue
            }
        }
        bundle = TrustBundle(
            trustDomain: trustDomain, x509Authorities: roots, jwtAuthorities: jwtKeys,
            witAuthorities: witKeys, refreshHint: refreshHint,
            sequenceNumber: UInt64(max(0, machine.stored.bundleRevision)))
        x509Bundle = bundle.x509Bundle
        tokenKeys = try TokenKeys(machine.stored.records, previous: previous?.tokenKeys)
        cardKeys = try TokenKeys.keys(.card, machine.stored.records)

        let active = { (kind: AuthorityRecord.Kind) -> (AuthorityRecord, P256.Signing.PrivateKey)? in
            guard let record = machine.record(kind, .active),
                case .p256(let key)? = record.keyID.flatMap({ keys[$0] })
            else { return nil }
            return (record, key)
        }
        if let (record, key) = active(.x509) {
            if let old = previous?.x509, old.id == record.id {
                x509 = old
            } else {
                guard let certificate = record.certificate.flatMap({ try? ParsedCertificate(der: $0) }) else {
                    throw .damaged(id: record.id)
                }
                x509 = X509SigningAuthority(
                    id: record.id, certificate: certificate, upstream: record.upstream, key: key)
            }
        } else {
            x509 = nil
        }
        var former: [FormerX509Authority] = []
        for record in machine.stored.records where record.kind == .x509 && record.status == .old {
            guard case .p256(let key)? = record.keyID.flatMap({ keys[$0] }) else { continue }
            guard let certificate = record.certificate.flatMap({ try? ParsedCertificate(der: $0) }) else {
                throw .damaged(id: record.id)
            }
            former.append(FormerX509Authority(id: record.id, certificate: certificate, key: key))
        }
        self.former = former
        if let (record, key) = active(.jwt) {
            if let old = previous?.jwt, old.id == record.id {
                jwt = old
            } else {
                jwt = JWTSigningAuthority(id: record.id, notAfter: record.notAfter, key: key)
            }
        } else {
            jwt = nil
        }
        if let (record, key) = active(.wit) {
            if let old = previous?.wit, old.id == record.id {
                wit = old
            } else {
                wit = WITSigningAuthority(id: record.id, notAfter: record.notAfter, key: key)
            }
        } else {
            wit = nil
        }
        oauth = try Self.tokenSigner(.oauth, machine, keys, previous?.oauth)
        entra = try Self.tokenSigner(.entra, machine, keys, previous?.entra)
        if let (record, key) = active(.card) {
            if let old = previous?.card, old.id == record.id {
                card = old
            } else {
                card = CardSigningAuthority(id: record.id, notAfter: record.notAfter, key: key)
            }
        } else {
            card = nil
        }
    }

    private static func tokenSigner(
        _ kind: AuthorityRecord.Kind, _ machine: AuthorityStateMachine, _ keys: [KeyID: AuthorityKey],
        _ previous: TokenSigningAuthority?
    ) throws(AuthoritiesError) -> TokenSigningAuthority? {
        guard let record = machine.record(kind, .active), let key = record.keyID.flatMap({ keys[$0] }) else {
            return nil
        }
        if let previous, previous.id == record.id { return previous }
        do {
            return TokenSigningAuthority(notAfter: record.notAfter, key: try key.signer(keyID: record.id))
        } catch {
            throw .damaged(id: record.id)
        }
    }
}
