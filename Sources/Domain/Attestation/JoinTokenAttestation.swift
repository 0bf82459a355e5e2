package import SPIFFE

/// Node attestation by a join token: whoever presents an unused token is the node that the token was made for.
package enum JoinTokenAttestation {
    /// The name of the method, in attestation requests and in node records.
    package static let type = "join_token"

    /// Longest accepted token in bytes; ours have 36, operators may choose their own.
    package static let maximumTokenLength = 255

    /// Why a text cannot be a join token.
    package enum TokenError: Error, Hashable {
        case empty
        case tooLong
        /// Only letters, digits, `.`, `_` and `-`: the token becomes a segment of a SPIFFE ID.
        case badCharacter
        /// `.` and `..` are no path segments.
        case dotSegment
    }

    /// Checks that the token can be a segment of a SPIFFE ID path.
    package static func check(token: String) throws(TokenError) {
        guard !token.isEmpty else { throw .empty }
        guard token.utf8.count <= maximumTokenLength else { throw .tooLong }
        guard token.utf8.allSatisfy(isAllowed) else { throw .badCharacter }
        guard token != ".", token != ".." else { throw .dotSegment }
    }

    /// `spiffe://<trust domain>/spire/agent/join_token/<token>`, the ID of the node that presents the token.
    package static func nodeID(token: String, trustDomain: TrustDomain) throws(TokenError) -> SPIFFEID {
        try check(token: token)
        do {
            return try SPIFFEID(trustDomain: trustDomain, segments: ["spire", "agent", type, token])
        } catch {
            // Only the length of the whole ID is left to fail after `check`.
            throw .tooLong
        }
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default:
            false
        }
    }
}

extension JoinTokenAttestation.TokenError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .empty: "join token is empty"
        case .tooLong: "join token is longer than \(JoinTokenAttestation.maximumTokenLength) bytes"
        case .badCharacter: "join token holds a character other than letters, digits, dot, underscore and hyphen"
        case .dotSegment: "join token is a dot segment"
        }
    }
}
