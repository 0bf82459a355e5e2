package import JOSE
public import SPIFFE

/// Keys whose signatures on cards somebody trusts: those of a trust domain, which vouch for the SPIFFE IDs of that domain
/// and of no other, or keys that are known to belong to an agent without one, which vouch for no SPIFFE ID at all.
public struct CardKeys: Sendable {
    /// The trust domain whose card keys these are.
    public let trustDomain: TrustDomain?
    let keys: [JWSVerificationKey]

    /// The most keys of one set.
    public static let maximumCount = 64

    /// Reads a JWK set (RFC 7517 §5); keys of kinds that sign nothing here are passed over.
    public init(jwks bytes: some Collection<UInt8>, of trustDomain: TrustDomain?) throws(CardKeysError) {
        let set: JWKSet
        do {
            set = try JWKSet(parsing: bytes)
        } catch {
            throw .unreadable(error.description)
        }
        guard set.keys.count <= Self.maximumCount else { throw .tooMany }
        self.init(set.keys.compactMap { try? JWSVerificationKey(jwk: $0) }, of: trustDomain)
    }

    package init(_ keys: [JWSVerificationKey], of trustDomain: TrustDomain?) {
        self.keys = keys
        self.trustDomain = trustDomain
    }

    /// The keys that may have made a signature. The ID that it names only narrows the choice.
    func candidates(keyID: String?) -> [JWSVerificationKey] {
        guard let keyID else { return keys }
        return keys.filter { $0.keyID?.hasSameBytes(as: keyID) ?? true }
    }
}

/// Why bytes are no set of card keys.
public enum CardKeysError: Error, Equatable, Sendable, CustomStringConvertible {
    /// They are no JWK set; says what is wrong.
    case unreadable(String)
    /// There are more keys than anybody needs.
    case tooMany

    /// The reason in words.
    public var description: String {
        switch self {
        case .unreadable(let problem): problem
        case .tooMany: "the set has more than \(CardKeys.maximumCount) keys"
        }
    }
}
