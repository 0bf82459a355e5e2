package import AuditTrail
import Crypto
package import JOSE
package import SPIFFE
import Synchronization

/// The certificate authority that signs X.509-SVIDs now.
///
/// The private key is out of reach: the only way to a signature uses up the receipt of a durable intent.
package final class X509SigningAuthority: Sendable {
    /// Subject key identifier in hex.
    package let id: String
    /// The authority's own certificate.
    package let certificate: ParsedCertificate
    /// Nothing signed lives longer.
    package let notAfter: UnixTime
    /// What goes behind a leaf: certificates between this authority and the root, none while it is the root itself.
    package let upstreamChain: [[UInt8]]
    /// Name and key identifier for the certificates below.
    package let issuer: CertificateIssuer
    private let key: P256.Signing.PrivateKey
    private let signatures = Atomic<Int>(0)

    /// - Parameter upstream: what leads to the root, if this authority is none.
    init(
        id: String, certificate: ParsedCertificate, upstream: AuthorityRecord.Upstream?, key: P256.Signing.PrivateKey
    ) {
        self.id = id
        self.certificate = certificate
        notAfter = certificate.notAfter
        upstreamChain = upstream.map { [certificate.der] + $0.chain } ?? []
        issuer = CertificateIssuer(certificate)
        self.key = key
    }

    /// How many signatures it has made since the process started: never more than the log has intents.
    package var signatureCount: Int { signatures.load(ordering: .relaxed) }

    /// Signs a certificate; throws only what the cryptographic library throws.
    func sign(_ template: CertificateTemplate, consuming receipt: consuming AuditReceipt) throws -> [UInt8] {
        signatures.wrappingAdd(1, ordering: .relaxed)
        return try template.sign(with: key)
    }

    /// Signs a revocation list; throws only what the cryptographic library throws.
    func sign(_ template: RevocationListTemplate, consuming receipt: consuming AuditReceipt) throws -> [UInt8] {
        signatures.wrappingAdd(1, ordering: .relaxed)
        return try template.sign(with: key)
    }
}

/// A certificate authority that signs certificates no more: all that its key is still good for is a list of those of them
/// that are revoked.
package final class FormerX509Authority: Sendable {
    /// Subject key identifier in hex.
    package let id: String
    /// When the last of its certificates has ended.
    package let notAfter: UnixTime
    /// Name and key identifier for the lists.
    package let issuer: CertificateIssuer
    private let key: P256.Signing.PrivateKey

    init(id: String, certificate: ParsedCertificate, key: P256.Signing.PrivateKey) {
        self.id = id
        notAfter = certificate.notAfter
        issuer = CertificateIssuer(certificate)
        self.key = key
    }

    /// Signs a revocation list; throws only what the cryptographic library throws.
    func sign(_ template: RevocationListTemplate, consuming receipt: consuming AuditReceipt) throws -> [UInt8] {
        try template.sign(with: key)
    }
}

/// The key that signs WIT-SVIDs now; its private half is as far out of reach.
package final class WITSigningAuthority: Sendable {
    /// The `kid` of its tokens.
    package let id: String
    /// Nothing signed lives longer.
    package let notAfter: UnixTime
    private let key: JWSSigningKey

    init(id: String, notAfter: UnixTime, key: P256.Signing.PrivateKey) {
        self.id = id
        self.notAfter = notAfter
        self.key = JWSSigningKey(p256: key, keyID: id)
    }

    /// Signs a token; throws when the values do not make a WIT-SVID or signing fails.
    func sign(_ token: WITSVIDContent, consuming receipt: consuming AuditReceipt) throws(WITSVIDError) -> String {
        try WITSVID.sign(
            id: token.id, confirmationKey: token.confirmationKey, issuedAt: token.issuedAt,
            expiresAt: token.expiresAt, key: key, tokenID: token.tokenID, extraClaims: token.added)
    }
}

/// The key that signs JWT-SVIDs now; its private half is as far out of reach.
package final class JWTSigningAuthority: Sendable {
    /// The `kid` of its tokens.
    package let id: String
    /// Nothing signed lives longer.
    package let notAfter: UnixTime
    /// The public half.
    package var verificationKey: JWSVerificationKey { key.verificationKey }
    private let key: JWSSigningKey
    private let signatures = Atomic<Int>(0)

    init(id: String, notAfter: UnixTime, key: P256.Signing.PrivateKey) {
        self.id = id
        self.notAfter = notAfter
        self.key = JWSSigningKey(p256: key, keyID: id)
    }

    /// How many signatures it has made since the process started: never more than the log has intents.
    package var signatureCount: Int { signatures.load(ordering: .relaxed) }

    /// Signs a token; throws when the values do not make a JWT-SVID or signing fails.
    func sign(_ token: JWTSVIDContent, consuming receipt: consuming AuditReceipt) throws(JWTSVIDError) -> String {
        signatures.wrappingAdd(1, ordering: .relaxed)
        return try JWTSVID.sign(
            id: token.id, audience: token.audience.values, issuedAt: token.issuedAt, expiresAt: token.expiresAt,
            key: key, issuer: token.issuer, jwtID: token.jwtID, extraClaims: token.added)
    }
}

/// The key that signs access tokens of one kind now; its private half is as far out of reach.
///
/// What a token says is the business of whoever issues it: among other things that it ends by ``notAfter``.
package final class TokenSigningAuthority: Sendable {
    /// The `kid` of its tokens: the key's thumbprint (RFC 7638).
    package var id: String { key.keyID }
    /// No token may live longer.
    package let notAfter: UnixTime
    /// The public half.
    package var verificationKey: JWSVerificationKey { key.verificationKey }
    private let key: JWSSigningKey
    private let signatures = Atomic<Int>(0)

    init(notAfter: UnixTime, key: JWSSigningKey) {
        self.notAfter = notAfter
        self.key = key
    }

    /// How many signatures it has made since the process started: never more than the log has intents.
    package var signatureCount: Int { signatures.load(ordering: .relaxed) }

    /// Signs a payload as compact JWS, with `typ`, the key's `kid` and its `alg` in the header; throws only when the
    /// cryptographic library cannot sign.
    package func sign(
        type: String, payload: [UInt8], consuming receipt: consuming AuditReceipt
    ) throws(JWSError) -> String {
        signatures.wrappingAdd(1, ordering: .relaxed)
        return try CompactJWS.sign(type: type, payload: payload, key: key)
    }
}
