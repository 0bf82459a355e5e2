package import JOSE

/// An error as a peer reads it (RFC 6749 §5.2).
package struct OAuthError: Error, Sendable, Equatable {
    package let code: OAuthErrorCode
    /// A sentence for the developer of the client, never with a secret in it; of the characters that RFC 6749 allows.
    package let description: String?
    /// Other members of the body, such as `interval`.
    package let otherMembers: JSONObject

    /// Longest description that is sent, in bytes.
    package static let maximumDescriptionBytes = 256

    /// An error. Of the description, characters that the standard does not allow become `?`, quotation marks `'`.
    package init(_ code: OAuthErrorCode, description: String? = nil, otherMembers: JSONObject = JSONObject()) {
        self.code = code
        self.description = description.map(Self.allowed)
        self.otherMembers = otherMembers
    }

    /// What the peer is told of a refusal: the code, and nothing that would tell near misses apart.
    package init(refusal: some OAuthRefusal) {
        self.init(refusal.code)
    }

    /// The HTTP status.
    package func status(at endpoint: OAuthEndpoint) -> Int { code.status(at: endpoint) }

    /// The body; `error` comes first, and no other member can take its place.
    package var serializedBytes: [UInt8] {
        var json = JSONObject([("error", .string(code.rawValue))])
        if let description { json["error_description"] = .string(description) }
        for (name, value) in otherMembers.members where json[name] == nil { json[name] = value }
        return json.serializedBytes
    }

    /// `%x20-21 / %x23-5B / %x5D-7E` (RFC 6749 appendix A.8), also what a quoted string holds without escapes.
    private static func allowed(_ text: String) -> String {
        let bytes = text.unicodeScalars.prefix(maximumDescriptionBytes).map { scalar -> UInt8 in
            switch scalar {
            case "\"", "`": UInt8(ascii: "'")
            case "\\": UInt8(ascii: "/")
            default: (0x20...0x7E).contains(scalar.value) ? UInt8(truncatingIfNeeded: scalar.value) : UInt8(ascii: "?")
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The header fields of answers that a cache must not keep (RFC 6749 §5.1).
package enum ResponseHeaders {
    /// Every JSON answer of token, introspection and revocation endpoint, errors too.
    package static let json: [(name: String, value: String)] = [
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("Pragma", "no-cache"),
    ]
}
