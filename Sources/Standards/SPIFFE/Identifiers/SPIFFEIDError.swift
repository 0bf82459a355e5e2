/// The rule of SPIFFE-ID §2 that a text breaks.
public enum SPIFFEIDError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The text is empty.
    case empty
    /// The ID is longer than 2048 bytes.
    case tooLong
    /// The text does not start with `spiffe://` in lower case.
    case wrongScheme
    /// The trust domain name is empty.
    case missingTrustDomain
    /// The trust domain name is longer than 255 bytes.
    case trustDomainTooLong
    /// A byte outside `a-z 0-9 . - _` in the trust domain.
    case badTrustDomainCharacter(UInt8)
    /// A path that does not start with a slash.
    case pathWithoutLeadingSlash
    /// A byte outside `a-z A-Z 0-9 . - _` in a path segment.
    case badPathCharacter(UInt8)
    /// Two slashes in a row.
    case emptySegment
    /// A segment that is `.` or `..`.
    case dotSegment
    /// A slash at the end.
    case trailingSlash
    /// A path where only a trust domain is expected.
    case pathNotAllowed

    /// The rule in words.
    public var description: String {
        switch self {
        case .empty: "a SPIFFE ID cannot be empty"
        case .tooLong: "a SPIFFE ID cannot be longer than \(SPIFFEID.maximumLength) bytes"
        case .wrongScheme: "a SPIFFE ID starts with `spiffe://`"
        case .missingTrustDomain: "the trust domain is missing"
        case .trustDomainTooLong: "a trust domain cannot be longer than \(TrustDomain.maximumLength) bytes"
        case .badTrustDomainCharacter(let byte):
            "a trust domain holds only a-z, 0-9, dot, dash and underscore, not \(Self.spell(byte))"
        case .pathWithoutLeadingSlash: "a path starts with a slash"
        case .badPathCharacter(let byte):
            "a path segment holds only letters, digits, dot, dash and underscore, not \(Self.spell(byte))"
        case .emptySegment: "a path cannot have an empty segment"
        case .dotSegment: "a path segment cannot be `.` or `..`"
        case .trailingSlash: "a path cannot end with a slash"
        case .pathNotAllowed: "a trust domain has no path"
        }
    }

    private static func spell(_ byte: UInt8) -> String {
        (0x21...0x7e).contains(byte) ? "`\(Character(Unicode.Scalar(byte)))`" : "byte \(byte)"
    }
}
