import JOSE
public import SPIFFE

/// Whose card it is: the extension that binds an agent card to a SPIFFE ID (docs/standards/a2a.md).
///
/// It is a claim like all else in a card until `VerifiedCard` says that its trust domain signed it. Members are never empty
/// texts or lists, since some verifiers of signatures lose those.
public struct CardIdentity: Sendable, Equatable {
    /// Names the extension and its version.
    public static let extensionURI = "https://agentshield.dev/a2a/identity/v1"
    /// The most gateways, and the most formats of credentials, that a card may name.
    public static let maximumCount = 16
    /// The most skills whose scopes a card may name, and the most scopes of one.
    public static let maximumSkills = 256

    /// How a caller can prove itself to the agent; other words are those of somebody else.
    public struct Credential: RawRepresentable, Sendable, Hashable, ExpressibleByStringLiteral {
        /// Lower-case letters, digits and dashes.
        public let rawValue: String

        /// An X.509-SVID in mutual TLS.
        public static let x509SVID: Credential = "x509-svid"
        /// A JWT-SVID for the agent's SPIFFE ID as bearer token.
        public static let jwtSVID: Credential = "jwt-svid"
        /// A WIT-SVID with a proof of its key.
        public static let witSVID: Credential = "wit-svid"
        /// An access token of the trust domain's token service.
        public static let accessToken: Credential = "access-token"
        /// Access tokens that are bound to a key by DPoP (RFC 9449).
        public static let dpop: Credential = "dpop"

        /// A word.
        public init(rawValue: String) { self.rawValue = rawValue }
        /// A word.
        public init(stringLiteral value: String) { self.init(rawValue: value) }

        var isWellFormed: Bool {
            (1...64).contains(rawValue.utf8.count)
                && rawValue.utf8.allSatisfy { byte in
                    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-")
                }
        }
    }

    /// The agent's SPIFFE ID, never the trust domain's own.
    public let spiffeID: SPIFFEID
    /// SPIFFE IDs that may answer in the agent's place.
    public let gateways: [SPIFFEID]
    /// What the agent takes as proof of a caller; empty when the card does not say.
    public let credentials: [Credential]
    /// The scopes that a caller needs for a skill, under the skill's ID; skills that are not there say nothing.
    public let skillScopes: ProtoMap<[String]>

    /// The trust domain that vouches for the agent.
    public var trustDomain: TrustDomain { spiffeID.trustDomain }

    /// An identity for a card; throws the rule that the values break.
    public init(
        spiffeID: SPIFFEID, gateways: [SPIFFEID] = [], credentials: [Credential] = [],
        skillScopes: ProtoMap<[String]> = [:]
    ) throws(CardIdentityError) {
        guard !spiffeID.path.isEmpty else { throw .notAnAgent("spiffeId") }
        guard gateways.count <= Self.maximumCount else { throw .tooMany("gateways") }
        guard gateways.allSatisfy({ !$0.path.isEmpty }) else { throw .notAnAgent("gateways") }
        guard Set(gateways).count == gateways.count else { throw .repeated("gateways") }
        guard credentials.count <= Self.maximumCount else { throw .tooMany("credentials") }
        guard credentials.allSatisfy(\.isWellFormed) else { throw .malformed("credentials") }
        guard Set(credentials).count == credentials.count else { throw .repeated("credentials") }
        guard skillScopes.count <= Self.maximumSkills else { throw .tooMany("skills") }
        for (skill, scopes) in skillScopes.entries {
            guard !skill.isEmpty, !scopes.isEmpty, scopes.allSatisfy(Self.isScope) else { throw .malformed("skills") }
            guard scopes.count <= Self.maximumSkills else { throw .tooMany("skills") }
        }
        self.spiffeID = spiffeID
        self.gateways = gateways
        self.credentials = credentials
        self.skillScopes = skillScopes
    }

    /// Whether a text is one scope (RFC 6749 §3.3).
    private static func isScope(_ text: String) -> Bool {
        (1...256).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                (0x21...0x7E).contains(byte) && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
            }
    }
}

/// Why the identity in a card is refused.
public enum CardIdentityError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The extension is there more than once.
    case severalIdentities
    /// A member is missing.
    case missing(String)
    /// A member, or an element of it, is not of the right kind, or is empty.
    case malformed(String)
    /// A SPIFFE ID is malformed.
    case badID(String, SPIFFEIDError)
    /// A SPIFFE ID is the trust domain's own, which is no agent.
    case notAnAgent(String)
    /// The trust domain is not the one of the SPIFFE ID.
    case otherTrustDomain
    /// A list is longer than its limit.
    case tooMany(String)
    /// A list says something twice.
    case repeated(String)

    /// The reason in words.
    public var description: String {
        switch self {
        case .severalIdentities: "the card has the identity extension twice"
        case .missing(let member): "`\(member)` of the identity is missing"
        case .malformed(let member): "`\(member)` of the identity is malformed or has an empty part"
        case .badID(let member, let error): "`\(member)` of the identity: \(error.description)"
        case .notAnAgent(let member): "`\(member)` of the identity names a trust domain, not an agent"
        case .otherTrustDomain: "`trustDomain` of the identity is not the one of its SPIFFE ID"
        case .tooMany(let member): "`\(member)` of the identity is too long"
        case .repeated(let member): "`\(member)` of the identity says something twice"
        }
    }
}
