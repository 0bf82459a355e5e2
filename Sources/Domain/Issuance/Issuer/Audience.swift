/// Whom a JWT-SVID is for: a list that is not empty, of texts that are not empty, within bounds (JWT-SVID §3.2).
package struct Audience: Hashable, Sendable {
    /// In the order in which they were asked for.
    package let values: [String]
    /// Bytes of all values together, as written in JSON.
    let lengthInJSON: Int

    /// Takes a list; throws the rule that it breaks.
    package init(_ values: [String]) throws(AudienceError) {
        guard !values.isEmpty else { throw .empty }
        guard values.count <= Self.maximumCount else { throw .tooMany }
        var total = 0
        for value in values {
            guard !value.isEmpty else { throw .emptyValue }
            guard value.utf8.count <= Self.maximumLength else { throw .tooLong }
            total += Self.lengthInJSON(value)
        }
        guard total <= Self.maximumTotalLength else { throw .tooLong }
        self.values = values
        lengthInJSON = total
    }

    /// Most values of one token.
    package static let maximumCount = 64
    /// Longest value in bytes: as long as a SPIFFE ID may be.
    package static let maximumLength = 2048
    /// Most bytes of all values together, as written in JSON: the token then stays below what verifiers read.
    package static let maximumTotalLength = 8192

    private static func lengthInJSON(_ value: String) -> Int {
        value.utf8.reduce(0) { sum, byte in
            switch byte {
            case 0..<0x20: sum + 6
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): sum + 2
            default: sum + 1
            }
        }
    }
}

/// The rule that an audience breaks.
package enum AudienceError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No value at all.
    case empty
    /// A value without characters.
    case emptyValue
    /// More than 64 values.
    case tooMany
    /// A value of more than 2048 bytes, or more than 8192 bytes together.
    case tooLong

    /// The rule in words.
    package var description: String {
        switch self {
        case .empty: "an audience is needed"
        case .emptyValue: "an audience cannot be an empty text"
        case .tooMany: "a token has at most \(Audience.maximumCount) audiences"
        case .tooLong:
            "an audience has at most \(Audience.maximumLength) bytes, all together \(Audience.maximumTotalLength)"
        }
    }
}
