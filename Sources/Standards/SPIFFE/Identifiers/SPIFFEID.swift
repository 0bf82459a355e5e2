/// A SPIFFE ID, `spiffe://trust-domain/path` (SPIFFE-ID §2).
///
/// There is no normalisation: an ID that is not already in its only legal spelling is refused, so equal IDs have equal
/// bytes and no comparison can be fooled by escapes, dots or case.
public struct SPIFFEID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The trust domain that vouches for this ID.
    public let trustDomain: TrustDomain
    /// Empty for the trust domain's own ID, otherwise `/` and segments, as in `/payments/refund-agent`.
    public let path: String

    /// Parses a whole ID; throws the rule that it breaks.
    public init(_ string: String) throws(SPIFFEIDError) {
        let bytes = string.utf8
        guard !bytes.isEmpty else { throw .empty }
        guard bytes.count <= Self.maximumLength else { throw .tooLong }
        guard bytes.starts(with: Self.schemePrefix.utf8) else { throw .wrongScheme }
        let rest = bytes.dropFirst(Self.schemePrefix.utf8.count)
        let slash = rest.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
        let name = rest[..<slash]
        try TrustDomain.check(name)
        let path = rest[slash...]
        try Self.checkPath(path)
        trustDomain = TrustDomain(checked: String(Substring(name)))
        self.path = String(Substring(path))
    }

    /// Joins a trust domain and a path, which is empty or starts with `/`.
    public init(trustDomain: TrustDomain, path: String) throws(SPIFFEIDError) {
        try Self.checkPath(path.utf8)
        guard trustDomain.idString.utf8.count + path.utf8.count <= Self.maximumLength else { throw .tooLong }
        self.trustDomain = trustDomain
        self.path = path
    }

    /// Joins a trust domain and path segments; no segment may be empty or hold a slash.
    public init(trustDomain: TrustDomain, segments: [String]) throws(SPIFFEIDError) {
        for segment in segments {
            guard !segment.utf8.contains(UInt8(ascii: "/")) else { throw .badPathCharacter(UInt8(ascii: "/")) }
            guard !segment.isEmpty else { throw .emptySegment }
        }
        try self.init(trustDomain: trustDomain, path: segments.map { "/" + $0 }.joined())
    }

    /// The whole ID.
    public var string: String { Self.schemePrefix + trustDomain.name + path }

    /// The whole ID.
    public var description: String { string }

    /// Whether this ID belongs to the trust domain.
    public func isMember(of trustDomain: TrustDomain) -> Bool { self.trustDomain == trustDomain }

    /// Whether the path is `/spire` or below it, which the identity provider keeps for itself.
    package var isReserved: Bool {
        path.utf8.elementsEqual(Self.reservedPath.utf8) || path.utf8.starts(with: (Self.reservedPath + "/").utf8)
    }

    /// Order by trust domain, then by the bytes of the path.
    public static func < (left: SPIFFEID, right: SPIFFEID) -> Bool {
        guard left.trustDomain == right.trustDomain else { return left.trustDomain < right.trustDomain }
        return left.path.utf8.lexicographicallyPrecedes(right.path.utf8)
    }

    /// Longest ID, in bytes (SPIFFE-ID §2.3).
    package static let maximumLength = 2048
    static let schemePrefix = "spiffe://"
    private static let reservedPath = "/spire"

    /// INVARIANT: both parts have passed their checks.
    init(checkedTrustDomain: TrustDomain, checkedPath: String) {
        trustDomain = checkedTrustDomain
        path = checkedPath
    }

    private static func checkPath(_ path: some Collection<UInt8>) throws(SPIFFEIDError) {
        guard let first = path.first else { return }
        let slash = UInt8(ascii: "/")
        guard first == slash else { throw .pathWithoutLeadingSlash }
        var length = 0
        var dotsOnly = true
        for byte in path.dropFirst() {
            switch byte {
            case slash:
                try checkSegment(length: length, dotsOnly: dotsOnly)
                length = 0
                dotsOnly = true
            case UInt8(ascii: "."):
                length += 1
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                length += 1
                dotsOnly = false
            default:
                throw .badPathCharacter(byte)
            }
        }
        guard length > 0 else { throw .trailingSlash }
        try checkSegment(length: length, dotsOnly: dotsOnly)
    }

    private static func checkSegment(length: Int, dotsOnly: Bool) throws(SPIFFEIDError) {
        guard length > 0 else { throw .emptySegment }
        guard !dotsOnly || length > 2 else { throw .dotSegment }
    }
}
