/// The name of a SPIFFE trust domain: 1 to 255 bytes of `a-z 0-9 . - _` (SPIFFE-ID §2.1).
///
/// Names are compared byte by byte. Upper case is refused rather than folded, so that one name has one spelling.
public struct TrustDomain: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The bare name, for example `example.org`.
    public let name: String

    /// Takes a bare trust domain name; throws the rule that it breaks.
    public init(_ name: String) throws(SPIFFEIDError) {
        try Self.check(name.utf8)
        self.name = name
    }

    /// Takes either a bare name or the trust domain's own ID, `spiffe://name`; an ID with a path is refused.
    public init(idOrName text: String) throws(SPIFFEIDError) {
        guard text.utf8.starts(with: SPIFFEID.schemePrefix.utf8) else {
            try self.init(text)
            return
        }
        let id = try SPIFFEID(text)
        guard id.path.isEmpty else { throw .pathNotAllowed }
        self = id.trustDomain
    }

    /// The ID of the trust domain itself: no path.
    public var id: SPIFFEID { SPIFFEID(checkedTrustDomain: self, checkedPath: "") }

    /// `spiffe://` and the name, the form of map keys in the Workload API.
    package var idString: String { SPIFFEID.schemePrefix + name }

    /// The bare name.
    public var description: String { name }

    /// Byte order of the names.
    public static func < (left: TrustDomain, right: TrustDomain) -> Bool {
        left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
    }

    /// Longest trust domain name, in bytes (SPIFFE-ID §2.1).
    package static let maximumLength = 255

    /// INVARIANT: only for names that `check` has passed.
    init(checked name: String) {
        self.name = name
    }

    static func check(_ name: some Collection<UInt8>) throws(SPIFFEIDError) {
        guard !name.isEmpty else { throw .missingTrustDomain }
        guard name.count <= maximumLength else { throw .trustDomainTooLong }
        for byte in name {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
                continue
            default:
                throw .badTrustDomainCharacter(byte)
            }
        }
    }
}
