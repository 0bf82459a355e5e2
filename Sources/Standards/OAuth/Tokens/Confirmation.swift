package import JOSE

/// Whose token it is (claim `cnf`, RFC 7800 §3.1): only the holder of this key may use it. Where both kinds are there,
/// both have to be shown.
package struct Confirmation: Sendable, Equatable {
    /// The SHA-256 of the client's certificate in DER (`x5t#S256`, RFC 8705 §3.1).
    package let certificateThumbprint: [UInt8]?
    /// The SHA-256 thumbprint of the key of DPoP proofs (`jkt`, RFC 9449 §6.1).
    package let keyThumbprint: [UInt8]?

    private static let certificateMember = "x5t#S256"
    private static let keyMember = "jkt"

    /// A token bound to a certificate; nil if this is no SHA-256 digest.
    package init?(certificateThumbprint: [UInt8]) {
        guard certificateThumbprint.count == 32 else { return nil }
        self.certificateThumbprint = certificateThumbprint
        keyThumbprint = nil
    }

    /// A token bound to the key of DPoP proofs.
    package init(proofKey: JWK) {
        certificateThumbprint = nil
        keyThumbprint = proofKey.thumbprint
    }

    /// Reads the claim. A kind of binding that is not known here refuses the token: it would be used unbound.
    package init(parsing claim: JSONValue) throws(ConfirmationError) {
        guard case .object(let object) = claim, !object.isEmpty else { throw .notAnObject }
        for (name, _) in object.members
        where !name.hasSameBytes(as: Self.certificateMember) && !name.hasSameBytes(as: Self.keyMember) {
            throw .unsupportedMember(name)
        }
        certificateThumbprint = try Self.digest(Self.certificateMember, of: object)
        keyThumbprint = try Self.digest(Self.keyMember, of: object)
    }

    /// The claim.
    package var json: JSONObject {
        var json = JSONObject()
        if let certificateThumbprint { json[Self.certificateMember] = .string(Base64URL.encode(certificateThumbprint)) }
        if let keyThumbprint { json[Self.keyMember] = .string(Base64URL.encode(keyThumbprint)) }
        return json
    }

    private static func digest(_ name: String, of object: JSONObject) throws(ConfirmationError) -> [UInt8]? {
        guard let value = object[name] else { return nil }
        guard let text = value.stringValue, let digest = try? Base64URL.decode(text), digest.count == 32 else {
            throw .badThumbprint(name)
        }
        return digest
    }
}

/// Why a `cnf` is refused.
package enum ConfirmationError: Error, Sendable, Equatable, CustomStringConvertible {
    case notAnObject
    case unsupportedMember(String)
    /// Not the base64url of a SHA-256 digest.
    case badThumbprint(String)

    package var description: String {
        switch self {
        case .notAnObject: "`cnf` is not an object with a member"
        case .unsupportedMember(let name): "`cnf` has member `\(name.truncatedForMessage)`"
        case .badThumbprint(let name): "`\(name)` is not a SHA-256 digest"
        }
    }
}
