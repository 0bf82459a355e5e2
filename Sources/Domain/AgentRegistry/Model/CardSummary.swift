package import A2A
import JOSE
package import SPIFFE

/// What the registry knows of an agent card: what it is searched by and what the listing's own view shows.
///
/// The card itself stays as the bytes that were registered: a signature is over them, and an agent's clients get them whole.
package struct CardSummary: Sendable, Equatable {
    package var name: String
    package var description: String
    package var version: String
    package var skills: [Skill]
    package var interfaces: [Interface]
    /// The kinds of its security schemes, each once.
    package var schemes: [String]
    package var authentication: Authentication
    /// The SPIFFE ID in the card's identity extension.
    package var identity: SPIFFEID?
    /// The first of its skills' examples: what people would ask it for.
    package var queries: [String]

    package struct Skill: Sendable, Equatable {
        package let id: String
        package let name: String
        package let description: String
        package let tags: [String]
    }

    package struct Interface: Sendable, Equatable {
        package let url: String
        package let binding: AgentInterface.ProtocolBinding
        package let version: String
    }

    /// What the first of the card's security requirements asks for.
    package struct Authentication: Sendable, Equatable {
        /// `none`, `oauth2`, `mtls`, `oidc`, `http`, `apiKey` or `unknown`.
        package var type: String
        /// Where a client gets its token, for `oauth2`; the issuer's configuration, for `oidc`.
        package var endpoint: String?
        package var scopes: [String] = []
    }

    package static let maximumSkills = 256
    package static let maximumInterfaces = 32
    /// In bytes: it stands in the record of each registered version.
    package static let maximumVersionLength = 128
    /// ARD asks for 2 to 5.
    package static let maximumQueries = 5
}

extension CardSummary {
    /// Reads what matters here of a card; one without what the protocol requires is refused.
    package init(_ card: AgentCard) throws(FieldViolation) {
        try Self.require(card.name, "name")
        try Self.require(card.version, "version")
        guard card.version.utf8.count <= Self.maximumVersionLength else {
            throw FieldViolation("version", "must have at most \(Self.maximumVersionLength) bytes")
        }
        guard (1...Self.maximumInterfaces).contains(card.supportedInterfaces.count) else {
            throw FieldViolation("supportedInterfaces", "must have 1 to \(Self.maximumInterfaces) elements")
        }
        guard card.skills.count <= Self.maximumSkills else {
            throw FieldViolation("skills", "must have at most \(Self.maximumSkills) elements")
        }
        for (index, interface) in card.supportedInterfaces.enumerated() {
            try Self.require(interface.url, "supportedInterfaces[\(index)].url")
            try Self.require(interface.protocolBinding.rawValue, "supportedInterfaces[\(index)].protocolBinding")
        }
        for (index, skill) in card.skills.enumerated() { try Self.require(skill.id, "skills[\(index)].id") }
        name = card.name
        description = card.description
        version = card.version
        interfaces = card.supportedInterfaces.map {
            Interface(url: $0.url, binding: $0.protocolBinding, version: $0.protocolVersion)
        }
        skills = card.skills.map { Skill(id: $0.id, name: $0.name, description: $0.description, tags: $0.tags) }
        var kinds: [String] = []
        for entry in card.securitySchemes.entries where !kinds.contains(entry.value.kind) {
            kinds.append(entry.value.kind)
        }
        schemes = kinds
        authentication = try Self.authentication(card)
        identity = try Self.identity(card)
        queries = Array(card.skills.lazy.flatMap(\.examples).prefix(Self.maximumQueries))
    }

    private static func require(_ text: String, _ path: String) throws(FieldViolation) {
        guard !text.isEmpty else { throw FieldViolation(path, "must be there and not be empty") }
    }

    private static func authentication(_ card: AgentCard) throws(FieldViolation) -> Authentication {
        guard let wanted = card.securityRequirements.first?.schemes.entries.first else {
            return Authentication(type: "none")
        }
        guard let scheme = card.securitySchemes.entries.first(where: { $0.key.hasSameBytes(as: wanted.key) })?.value
        else { throw FieldViolation("securityRequirements[0]", "names a scheme that the card does not have") }
        var authentication = Authentication(type: scheme.kind, scopes: wanted.value)
        switch scheme {
        case .oauth2(let scheme):
            authentication.endpoint = scheme.flows.tokenURL
            if wanted.value.isEmpty { authentication.scopes = scheme.flows.scopes }
        case .openIDConnect(let scheme): authentication.endpoint = scheme.url
        case .apiKey, .httpAuth, .mutualTLS, .unknown: break
        }
        return authentication
    }

    private static func identity(_ card: AgentCard) throws(FieldViolation) -> SPIFFEID? {
        do {
            return try CardIdentity(of: card)?.spiffeID
        } catch {
            throw FieldViolation("capabilities.extensions", error.description)
        }
    }
}

extension SecurityScheme {
    fileprivate var kind: String {
        switch self {
        case .oauth2: "oauth2"
        case .mutualTLS: "mtls"
        case .openIDConnect: "oidc"
        case .httpAuth: "http"
        case .apiKey: "apiKey"
        case .unknown: "unknown"
        }
    }
}

extension OAuthFlows {
    fileprivate var tokenURL: String? {
        switch self {
        case .authorizationCode(let flow): flow.tokenURL
        case .clientCredentials(let flow): flow.tokenURL
        case .deviceCode(let flow): flow.tokenURL
        case .password(let flow): flow.tokenURL
        case .implicit, .unknown: nil
        }
    }

    fileprivate var scopes: [String] {
        switch self {
        case .authorizationCode(let flow): flow.scopes.entries.map(\.key)
        case .clientCredentials(let flow): flow.scopes.entries.map(\.key)
        case .deviceCode(let flow): flow.scopes.entries.map(\.key)
        case .password(let flow): flow.scopes.entries.map(\.key)
        case .implicit(let flow): flow.scopes.entries.map(\.key)
        case .unknown: []
        }
    }
}
