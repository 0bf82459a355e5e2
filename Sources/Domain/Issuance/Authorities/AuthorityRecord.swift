package import SPIFFE

/// One authority as it is stored: everything but the private key, which the key store holds.
package struct AuthorityRecord: Sendable, Hashable, Identifiable {
    /// What the authority signs.
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        /// A certificate authority for X.509-SVIDs.
        case x509
        /// A signing key for JWT-SVIDs.
        case jwt
        /// A signing key for WIT-SVIDs.
        case wit
        /// A signing key for OAuth access tokens under our own issuer.
        case oauth
        /// A signing key for access tokens in the form of Microsoft Entra, whose readers know RS256 alone.
        case entra
        /// A signing key for agent cards.
        case card

        /// What its keys are for.
        package var algorithm: AuthorityKey.Algorithm {
            switch self {
            case .x509, .jwt, .wit, .oauth, .card: .p256
            case .entra: .rsa2048
            }
        }

        /// Those whose keys are made in no time.
        static let quick = allCases.filter { $0.algorithm == .p256 }

        /// Whether its public keys are in the trust domain's bundle. Those for access tokens and for agent cards never are:
        /// they are published in sets of their own, and no verifier of SVIDs may take them.
        package var isInBundle: Bool {
            switch self {
            case .x509, .jwt, .wit: true
            case .oauth, .entra, .card: false
            }
        }
    }

    /// Where the authority is in its life.
    package enum Status: String, Sendable, Hashable, CaseIterable {
        /// Published, so that verifiers learn it, but not signing yet.
        case prepared
        /// The one that signs; at most one per kind.
        case active
        /// No longer signing; published until a day after its end.
        case old
        /// Published by somebody else through the bundle API (a downstream server's key): ours has no private key of it.
        case external
    }

    /// What the authority signs.
    package let kind: Kind
    /// Of a certificate authority its subject key identifier in hex, of a key for tokens its `kid`; unique within the kind.
    package let id: String
    /// Where the private key is; nil for external authorities.
    package let keyID: KeyID?
    /// DER of the certificate; nil for keys that sign tokens.
    package let certificate: [UInt8]?
    /// DER of the SubjectPublicKeyInfo.
    package let publicKey: [UInt8]
    /// Start of validity.
    package let notBefore: UnixTime
    /// End of validity: nothing signed with it lives longer.
    package let notAfter: UnixTime
    /// Where the authority is in its life.
    package var status: Status
    /// When it was made; the schedule's life runs from here.
    package let createdAt: UnixTime
    /// Whether everything that it signed is to be replaced; it still verifies until it is revoked.
    package var isTainted: Bool
    /// Who signed the certificate; nil for a root. Only roots stand in the bundle.
    package let upstream: Upstream?

    /// Whether its private key is kept: of what signs or will sign, and of former certificate authorities, which sign CRLs
    /// over their own certificates as long as they are in the bundle.
    var needsKey: Bool {
        switch status {
        case .prepared, .active: true
        case .old: kind == .x509
        case .external: false
        }
    }

    /// What leads from an authority of ours to its root.
    package struct Upstream: Sendable, Hashable {
        /// The root's subject key identifier in hex: the `id` of its record.
        package let rootID: String
        /// DER of the certificates in between.
        package let chain: [[UInt8]]

        package init(rootID: String, chain: [[UInt8]]) {
            self.rootID = rootID
            self.chain = chain
        }
    }

    package init(
        kind: Kind, id: String, keyID: KeyID?, certificate: [UInt8]?, publicKey: [UInt8], notBefore: UnixTime,
        notAfter: UnixTime, status: Status, createdAt: UnixTime, isTainted: Bool = false, upstream: Upstream? = nil
    ) {
        self.kind = kind
        self.id = id
        self.keyID = keyID
        self.certificate = certificate
        self.publicKey = publicKey
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.status = status
        self.createdAt = createdAt
        self.isTainted = isTainted
        self.upstream = upstream
    }
}
