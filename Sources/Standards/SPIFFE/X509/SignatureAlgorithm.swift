/// The signature algorithms that certificates and certificate requests may use. SHA-1 and older are not among them.
package enum X509SignatureAlgorithm: Hashable, Sendable, CaseIterable {
    case ecdsaWithSHA256, ecdsaWithSHA384, ecdsaWithSHA512
    case rsaPKCS1WithSHA256, rsaPKCS1WithSHA384, rsaPKCS1WithSHA512
    case rsaPSSWithSHA256, rsaPSSWithSHA384, rsaPSSWithSHA512
    case ed25519

    /// Reads the content of an AlgorithmIdentifier; `nil` for an algorithm that is not offered.
    ///
    /// Parameters have to be what the algorithm says: absent for ECDSA and Ed25519 (RFC 5758 §3.2, RFC 8410 §3), NULL or
    /// absent for PKCS#1 (RFC 4055 §5), and for PSS one hash throughout with a salt of its length (RFC 4055 §3.1).
    init?(_ identifier: DERReader) throws(DERError) {
        var identifier = identifier
        let oid = try identifier.objectIdentifier()
        switch oid {
        case .ecdsaWithSHA256: self = .ecdsaWithSHA256
        case .ecdsaWithSHA384: self = .ecdsaWithSHA384
        case .ecdsaWithSHA512: self = .ecdsaWithSHA512
        case .ed25519: self = .ed25519
        case .sha256WithRSA: self = .rsaPKCS1WithSHA256
        case .sha384WithRSA: self = .rsaPKCS1WithSHA384
        case .sha512WithRSA: self = .rsaPKCS1WithSHA512
        case .rsaPSS:
            guard let algorithm = try Self.pss(&identifier) else { return nil }
            self = algorithm
        default: return nil
        }
        switch self {
        case .rsaPKCS1WithSHA256, .rsaPKCS1WithSHA384, .rsaPKCS1WithSHA512:
            if let parameters = try identifier.optionalElement(DERTag.null) {
                guard parameters.content.isEmpty else { throw .badValue }
            }
        default: break
        }
        try identifier.finish()
    }

    private static func pss(_ identifier: inout DERReader) throws(DERError) -> Self? {
        var parameters = try identifier.open(DERTag.sequence)
        // A field that is left out stands for SHA-1 or its salt length.
        guard var hashField = try parameters.optionalElement(DERTag.constructedContext(0))?.reader(),
            var maskField = try parameters.optionalElement(DERTag.constructedContext(1))?.reader(),
            var saltField = try parameters.optionalElement(DERTag.constructedContext(2))?.reader()
        else { return nil }
        let hash = try hashAlgorithm(&hashField)
        try hashField.finish()
        var mask = try maskField.open(DERTag.sequence)
        try maskField.finish()
        guard try mask.objectIdentifier() == .mgf1 else { return nil }
        let maskHash = try hashAlgorithm(&mask)
        try mask.finish()
        let saltLength = try saltField.smallInteger()
        try saltField.finish()
        try parameters.finish()
        guard maskHash == hash else { return nil }
        switch (hash, saltLength) {
        case (.sha256, 32): return .rsaPSSWithSHA256
        case (.sha384, 48): return .rsaPSSWithSHA384
        case (.sha512, 64): return .rsaPSSWithSHA512
        default: return nil
        }
    }

    private static func hashAlgorithm(_ reader: inout DERReader) throws(DERError) -> ObjectIdentifierBytes {
        var identifier = try reader.open(DERTag.sequence)
        let oid = try identifier.objectIdentifier()
        if let parameters = try identifier.optionalElement(DERTag.null) {
            guard parameters.content.isEmpty else { throw .badValue }
        }
        try identifier.finish()
        return oid
    }
}
