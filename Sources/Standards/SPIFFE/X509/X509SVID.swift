package import Crypto

/// An own X509-SVID: chain and private key, checked to belong together.
package struct X509SVID: Sendable {
    package let id: SPIFFEID
    /// Leaf first, intermediates after it, no root; DER each.
    package let chain: [[UInt8]]
    package let leaf: ParsedCertificate
    package let privateKey: P256.Signing.PrivateKey

    /// Joins a chain and its key. The leaf has to keep the X509-SVID profile and hold the key's public half; who signed
    /// it is for the verifier to judge.
    package init(chain: [[UInt8]], privateKey: P256.Signing.PrivateKey) throws(X509SVIDError) {
        guard let first = chain.first else { throw .emptyChain }
        guard chain.count <= X509SVIDVerifier.maximumChainLength else { throw .chainTooLong }
        do {
            leaf = try ParsedCertificate(der: first)
            for der in chain.dropFirst() { _ = try ParsedCertificate(der: der) }
        } catch {
            throw .certificate(error)
        }
        do {
            id = try X509SVIDProfile.leafID(leaf)
        } catch {
            throw .profile(error)
        }
        guard leaf.publicKey == SubjectPublicKey(privateKey.publicKey) else { throw .keyDoesNotMatch }
        self.chain = chain
        self.privateKey = privateKey
    }

    /// The same with the key in unencrypted PKCS#8; SEC1 is refused.
    package init(chain: [[UInt8]], pkcs8: [UInt8]) throws(X509SVIDError) {
        try self.init(chain: chain, privateKey: try Self.privateKey(pkcs8: pkcs8))
    }

    /// Reads the form of the Workload API: certificates without separator and a PKCS#8 key.
    package init(chainConcatenated: [UInt8], pkcs8: [UInt8]) throws(X509SVIDError) {
        let chain: [[UInt8]]
        do throws(DERError) {
            chain = try DERReader.split(chainConcatenated, limit: X509SVIDVerifier.maximumChainLength)
        } catch {
            throw .malformedChain(error)
        }
        try self.init(chain: chain, pkcs8: pkcs8)
    }

    /// All certificates, one after the other.
    package var chainConcatenated: [UInt8] { chain.flatMap { $0 } }

    /// The private key in unencrypted PKCS#8.
    package var pkcs8: [UInt8] { [UInt8](privateKey.derRepresentation) }

    /// When the leaf ends.
    package var expiresAt: UnixTime { leaf.notAfter }

    /// Whether the bytes have the outer shape of PKCS#8 (RFC 5958 §2) for a P-256 key, and the key in them.
    private static func privateKey(pkcs8: [UInt8]) throws(X509SVIDError) -> P256.Signing.PrivateKey {
        do throws(DERError) {
            var outer = DERReader(pkcs8)
            var fields = try outer.open(DERTag.sequence)
            try outer.finish()
            guard try fields.smallInteger() <= 1 else { throw .badValue }
            var algorithm = try fields.open(DERTag.sequence)
            guard try algorithm.objectIdentifier() == .ecPublicKey, try algorithm.objectIdentifier() == .p256 else {
                throw .badValue
            }
            _ = try fields.element(DERTag.octetString)
        } catch {
            throw .badPrivateKey
        }
        guard let key = try? P256.Signing.PrivateKey(derRepresentation: pkcs8) else { throw .badPrivateKey }
        return key
    }
}

extension X509SVID: CustomStringConvertible, CustomReflectable {
    /// The SPIFFE ID; the key is never printed.
    package var description: String { "X509-SVID of \(id)" }

    /// Hides the private key from dumps.
    package var customMirror: Mirror { Mirror(self, children: ["id": id, "expiresAt": expiresAt]) }
}

/// Why chain and key do not make an X509-SVID.
package enum X509SVIDError: Error, Equatable, Sendable, CustomStringConvertible {
    case emptyChain
    case chainTooLong
    case malformedChain(DERError)
    case certificate(CertificateError)
    /// The leaf breaks the X509-SVID profile.
    case profile(X509VerificationError)
    /// Not an unencrypted PKCS#8 with a P-256 key.
    case badPrivateKey
    case keyDoesNotMatch
    case pem(PEMError)

    package var description: String {
        switch self {
        case .emptyChain: "the SVID has no certificate"
        case .chainTooLong: "the SVID has more than \(X509SVIDVerifier.maximumChainLength) certificates"
        case .malformedChain(let error): "the certificate chain is malformed: \(error)"
        case .certificate(let error): error.description
        case .profile(let error): error.description
        case .badPrivateKey: "the private key is not a P-256 key in unencrypted PKCS#8"
        case .keyDoesNotMatch: "the private key does not belong to the leaf certificate"
        case .pem(let error): error.description
        }
    }
}
