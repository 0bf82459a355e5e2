import Crypto
import JOSE

/// The digest of a message's body in its header (RFC 9530): what a signature over the header has to do with the body.
package enum ContentDigest {
    /// The value of the field for a body: SHA-256.
    package static func value(_ body: [UInt8]) -> String {
        StructuredDictionary([.init(key: sha256, value: .item(StructuredItem(.bytes(Array(SHA256.hash(bytes: body))))))]
        )
        .serialized
    }

    /// Checks what the field says of a body. Every digest of a known kind has to be right, and one has to be of a known kind:
    /// SHA-256 or SHA-512.
    package static func verify(_ lines: [String], body: [UInt8]) throws(ContentDigestError) {
        let digests: StructuredDictionary
        do {
            digests = try StructuredDictionary(parsing: lines)
        } catch {
            throw .malformed(error)
        }
        var isKnown = false
        for entry in digests.entries {
            guard case .item(let item) = entry.value, case .bytes(let digest) = item.value else { throw .badDigest }
            let own: [UInt8]
            switch entry.key {
            case sha256: own = Array(SHA256.hash(bytes: body))
            case sha512: own = Array(SHA512.hash(bytes: body))
            default: continue
            }
            isKnown = true
            guard digest == own else { throw .mismatch }
        }
        guard isKnown else { throw .unknownKind }
    }

    private static let sha256 = "sha-256"
    private static let sha512 = "sha-512"
}

/// Why a body is not the one that the header speaks of.
package enum ContentDigestError: Error, Sendable, Equatable, CustomStringConvertible {
    /// There is a body, and no digest of it.
    case missing
    case malformed(StructuredFieldError)
    /// A digest that is no sequence of bytes.
    case badDigest
    /// Neither SHA-256 nor SHA-512.
    case unknownKind
    case mismatch

    package var description: String {
        switch self {
        case .missing: "the message has a body and no `Content-Digest`"
        case .malformed(let error): "`Content-Digest` cannot be read: \(error)"
        case .badDigest: "`Content-Digest` has a value that is no digest"
        case .unknownKind: "`Content-Digest` has neither sha-256 nor sha-512"
        case .mismatch: "the body is not the one of `Content-Digest`"
        }
    }
}
