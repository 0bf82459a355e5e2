package import JOSE

/// The public keys for access tokens, as their issuers publish them: of each kind the key that signs, the one that will
/// sign next, and those that signed before, until a day after their end or until they are revoked.
package struct TokenKeys: Sendable {
    /// For tokens under our own issuer; the key that signs now stands first, then the next one, then the latest old one.
    package let oauth: [JWK]
    /// For tokens in the form of Microsoft Entra, in the same order, since there are readers that take the first key.
    package let entra: [JWK]
    /// The same keys by their ID, ready to verify with.
    private let verifiers: [AuthorityRecord.Kind: [String: JWSVerificationKey]]
    /// Grows with every change of the keys or of their order while the process lives; it is not stored.
    package let revision: Int64

    /// Reads the records; what did not change since `previous` keeps its revision.
    init(_ records: [AuthorityRecord], previous: TokenKeys?) throws(AuthoritiesError) {
        let (oauth, entra) = (try Self.keys(.oauth, records), try Self.keys(.entra, records))
        self.oauth = oauth.map(Self.published)
        self.entra = entra.map(Self.published)
        verifiers = [.oauth: Self.byID(oauth), .entra: Self.byID(entra)]
        guard let previous else {
            revision = 0
            return
        }
        let isSame = self.oauth == previous.oauth && self.entra == previous.entra
        revision = isSame ? previous.revision : previous.revision + 1
    }

    /// The key that verifies access tokens of this kind and names this ID; never one of another kind.
    package func verifier(_ kind: AuthorityRecord.Kind, keyID: String) -> JWSVerificationKey? {
        verifiers[kind]?[keyID]
    }

    private static func byID(_ keys: [JWSVerificationKey]) -> [String: JWSVerificationKey] {
        Dictionary(keys.map { ($0.keyID ?? "", $0) }) { first, _ in first }
    }

    static func published(_ key: JWSVerificationKey) -> JWK {
        var jwk = key.jwk
        jwk.use = "sig"
        return jwk
    }

    /// Those of one kind; the key that signs now stands first, then the next one, then the latest old one.
    static func keys(
        _ kind: AuthorityRecord.Kind, _ records: [AuthorityRecord]
    ) throws(AuthoritiesError) -> [JWSVerificationKey] {
        let algorithm: JWSAlgorithm =
            switch kind.algorithm {
            case .p256: .es256
            case .rsa2048: .rs256
            }
        var keys: [JWSVerificationKey] = []
        for status in [AuthorityRecord.Status.active, .prepared, .old] {
            for record in records.reversed() where record.kind == kind && record.status == status {
                guard
                    let key = try? JWSVerificationKey(
                        derSPKI: record.publicKey, keyID: record.id, algorithm: algorithm)
                else { throw .damaged(id: record.id) }
                keys.append(key)
            }
        }
        return keys
    }
}
