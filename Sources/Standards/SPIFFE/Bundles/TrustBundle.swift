package import JOSE

/// All that a trust domain publishes so that others can verify its SVIDs (SPIFFE Trust Domain and Bundle §4).
package struct TrustBundle: Equatable, Sendable {
    package let trustDomain: TrustDomain
    package var x509Authorities: [X509Authority]
    package var jwtAuthorities: [JWTAuthority]
    package var witAuthorities: [WITAuthority]
    /// How often consumers should ask again, in seconds.
    package var refreshHint: Int64?
    /// Grows with every change; up to `Int64.max`, more is not written.
    package var sequenceNumber: UInt64

    /// A bundle of these parts.
    package init(
        trustDomain: TrustDomain, x509Authorities: [X509Authority] = [], jwtAuthorities: [JWTAuthority] = [],
        witAuthorities: [WITAuthority] = [], refreshHint: Int64? = nil, sequenceNumber: UInt64 = 0
    ) {
        self.trustDomain = trustDomain
        self.x509Authorities = x509Authorities
        self.jwtAuthorities = jwtAuthorities
        self.witAuthorities = witAuthorities
        self.refreshHint = refreshHint
        self.sequenceNumber = sequenceNumber
    }

    /// The half that verifies X509-SVIDs.
    package var x509Bundle: X509Bundle { X509Bundle(trustDomain: trustDomain, authorities: x509Authorities) }

    /// A plain JWKS of the JWT keys for the Workload API: `kid` on each, no `use`, no other members. A client that takes
    /// every key of such a set for a JWT authority must not find anything else in it.
    package func jwtJWKS() -> [UInt8] {
        JWKSet(keys: jwtAuthorities.map { $0.jwk() }).serializedBytes
    }

    /// A plain JWKS of the WIT keys for the Workload API: `kid` on each, no `use`, and no key of another purpose.
    package func witJWKS() -> [UInt8] {
        JWKSet(keys: witAuthorities.map { $0.jwk() }).serializedBytes
    }

    /// The X.509 authorities in PEM.
    package var pem: String {
        x509Authorities.map { PEM.encode(label: PEM.certificateLabel, der: $0.der) }.joined()
    }

    /// Reads X.509 authorities in PEM.
    package init(trustDomain: TrustDomain, pem: String) throws(BundleError) {
        let blocks: [[UInt8]]
        do {
            blocks = try PEM.decodeAll(pem, label: PEM.certificateLabel, limit: X509Bundle.maximumAuthorities)
        } catch {
            throw .pem(error)
        }
        var authorities: [X509Authority] = []
        for block in blocks {
            do {
                authorities.append(try X509Authority(der: block))
            } catch {
                throw .certificate(error)
            }
        }
        self.init(trustDomain: trustDomain, x509Authorities: authorities)
    }

    /// Most keys of one kind that are read.
    package static let maximumKeys = 256
    /// What a bundle document may cost to read.
    package static let jsonLimits = JSONLimits(maximumBytes: 1 << 20, maximumDepth: 16)
}

/// Why a bundle, or a part of one, was refused.
package enum BundleError: Error, Equatable, Sendable, CustomStringConvertible {
    case json(JSONParseError)
    /// Not an object with an array `keys` of objects.
    case notABundle
    /// An entry's `kty`, `use` or `x5c` is missing or of the wrong type.
    case badMember(String)
    case key(JWKError)
    case missingKeyID
    case badKeyID
    case duplicateKeyID(String)
    /// The key cannot sign JWT-SVIDs: its algorithm is not one of the nine.
    case algorithmNotAllowed
    case certificate(CertificateError)
    /// The key's numbers are not those of the certificate beside them.
    case keyIsNotTheCertificates
    case tooManyKeys
    /// `spiffe_sequence` or `spiffe_refresh_hint` is not a non-negative integer.
    case badNumber(String)
    case pem(PEMError)

    package var description: String {
        switch self {
        case .json(let error): error.description
        case .notABundle: "a bundle is an object with an array of keys"
        case .badMember(let name): "a bundle's key has no proper member \(quoted(name))"
        case .key(let error): error.description
        case .missingKeyID: "a token key of the bundle has no key ID"
        case .badKeyID: "a key ID has 1 to \(JWTAuthority.maximumKeyIDLength) bytes"
        case .duplicateKeyID(let keyID): "key ID \(quoted(keyID)) occurs twice in the bundle"
        case .algorithmNotAllowed: "the key's algorithm is not allowed for JWT-SVIDs"
        case .certificate(let error): error.description
        case .keyIsNotTheCertificates: "a bundle's key is not that of its certificate"
        case .tooManyKeys: "the bundle has more than \(TrustBundle.maximumKeys) keys of a kind"
        case .badNumber(let name): "member \(quoted(name)) of the bundle is not a non-negative integer"
        case .pem(let error): error.description
        }
    }
}
