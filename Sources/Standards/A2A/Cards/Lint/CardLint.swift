import JOSE

/// Looks a card through, without a network and without keys.
public enum CardLint {
    /// What is wrong with a text that should be a card.
    public static func findings(in bytes: some Collection<UInt8>) -> [CardFinding] {
        do {
            return findings(in: try CardDocument(parsing: bytes))
        } catch {
            switch error {
            case .notJSON(let problem): return [CardFinding(.unreadable, "", problem)]
            case .unreadable(let violation):
                // What agents can do, other formats say in a list of this name.
                let hint = violation.field == "capabilities" ? "; what the agent can do belongs into `skills`" : ""
                return [CardFinding(.unreadable, violation.field, violation.problem + hint)]
            }
        }
    }

    /// What is wrong with a card, in the order of its members.
    public static func findings(in document: CardDocument) -> [CardFinding] {
        let violations = document.violations
        let lost = lost(in: document).filter { finding in !violations.contains { $0.field == finding.path } }
        return violations.map { CardFinding(.violation, $0.field, $0.problem) }
            + urls(of: document.card) + lost + unknown(in: document) + security(of: document.card)
            + signatures(of: document.card) + identity(of: document.card)
    }

    // MARK: - URLs

    private static func urls(of card: AgentCard) -> [CardFinding] {
        var found: [CardFinding] = []
        for (index, interface) in card.supportedInterfaces.enumerated() {
            let path = "supportedInterfaces[\(index)].url"
            // Clients of gRPC name a host and a port.
            if interface.protocolBinding == .grpc, !interface.url.utf8.contains(UInt8(ascii: "/")) { continue }
            found += url(interface.url, path)
        }
        for (name, scheme) in card.securitySchemes.entries {
            let path = "securitySchemes.\(name.truncatedForMessage)"
            switch scheme {
            case .oauth2(let oauth):
                for (member, text) in oauth.flows.urls {
                    found += url(text, "\(path).oauth2SecurityScheme.flows.\(member)")
                }
                if let text = oauth.metadataURL { found += url(text, "\(path).oauth2SecurityScheme.oauth2MetadataUrl") }
            case .openIDConnect(let provider):
                found += url(provider.url, "\(path).openIdConnectSecurityScheme.openIdConnectUrl")
            case .apiKey, .httpAuth, .mutualTLS, .unknown: break
            }
        }
        return found
    }

    /// Of an empty one the violations tell.
    private static func url(_ text: String, _ path: String) -> [CardFinding] {
        guard !text.isEmpty else { return [] }
        let lower = text.lowercased()
        let isSecure = lower.hasPrefix("https://")
        guard isSecure || lower.hasPrefix("http://") else {
            return [CardFinding(.badURL, path, "must be an absolute https URL")]
        }
        let authority = lower.dropFirst(isSecure ? 8 : 7).prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard !authority.isEmpty, !authority.hasPrefix(":"), !authority.contains("@") else {
            return [CardFinding(.badURL, path, "must name a host, and nobody who logs in there")]
        }
        guard !isSecure else { return [] }
        let host =
            authority.hasPrefix("[") ? authority.prefix { $0 != "]" }.dropFirst() : authority.prefix { $0 != ":" }
        return ["localhost", "127.0.0.1", "::1"].contains(String(host))
            ? [CardFinding(.localURL, path, "works on this machine alone")]
            : [CardFinding(.insecureURL, path, "must be https")]
    }

    // MARK: - Members that get lost

    /// Those of version 0.3.
    private static let oldMembers = [
        "url", "preferredTransport", "additionalInterfaces", "protocolVersion", "security",
        "supportsAuthenticatedExtendedCard",
    ]

    private static func lost(in document: CardDocument) -> [CardFinding] {
        let known = CardShape.card.canonical(document.object, keepingUnknown: false)
        return lostParts(in: .object(known), at: "").map { path, value in
            let isBare = value.objectValue?.isEmpty ?? value.arrayValue?.isEmpty ?? true
            return CardFinding(
                .lostByPruning, path,
                (isBare ? "is empty" : "has only parts that are empty") + ": verifiers of the SDKs do not see it")
        }
    }

    private static func unknown(in document: CardDocument) -> [CardFinding] {
        CardShape.card.unknownPaths(of: document.object).filter { $0 != "signatures" }.map { path in
            oldMembers.contains(path)
                ? CardFinding(.oldMember, path, "is of version 0.3; verifiers of the SDKs do not see it")
                : CardFinding(.unknownMember, path, "is not known to version 1.0; verifiers of the SDKs do not see it")
        }
    }

    /// The outermost parts that the pruned form does not have.
    private static func lostParts(in value: JSONValue, at path: String) -> [(path: String, value: JSONValue)] {
        guard value.pruned != nil else { return [(path, value)] }
        switch value {
        case .object(let object):
            return object.members.flatMap { member in
                let name = member.name.truncatedForMessage
                return lostParts(in: member.value, at: path.isEmpty ? name : "\(path).\(name)")
            }
        case .array(let elements):
            return elements.enumerated().flatMap { lostParts(in: $1, at: "\(path)[\($0)]") }
        case .null, .bool, .number, .string: return []
        }
    }

    // MARK: - Security

    private static func security(of card: AgentCard) -> [CardFinding] {
        var found: [CardFinding] = []
        if card.securityRequirements.isEmpty {
            found.append(CardFinding(.noRequirement, "securityRequirements", "asks nothing of callers"))
        }
        found += open(card.securityRequirements, "securityRequirements")
        for (index, skill) in card.skills.enumerated() {
            found += open(skill.securityRequirements, "skills[\(index)].securityRequirements")
        }
        for (name, scheme) in card.securitySchemes.entries {
            found += weaknesses(of: scheme, "securitySchemes.\(name.truncatedForMessage)")
        }
        return found
    }

    private static func open(_ requirements: [SecurityRequirement], _ path: String) -> [CardFinding] {
        requirements.enumerated().filter { $1.schemes.isEmpty }.map { index, _ in
            CardFinding(.openRequirement, "\(path)[\(index)]", "is met by callers who prove nothing")
        }
    }

    private static func weaknesses(of scheme: SecurityScheme, _ path: String) -> [CardFinding] {
        switch scheme {
        case .apiKey(let key):
            let place = key.location == "query" ? ", and a query stands in logs" : ""
            return [CardFinding(.apiKey, path, "is a secret that callers send along\(place)")]
        case .httpAuth(let scheme):
            return scheme.scheme.lowercased() == "basic"
                ? [CardFinding(.basicAuthentication, path, "is a password that callers send along")] : []
        case .oauth2(let oauth):
            switch oauth.flows {
            case .implicit: return [CardFinding(.deprecatedFlow, path, "has the implicit flow, which OAuth gave up")]
            case .password: return [CardFinding(.deprecatedFlow, path, "has the password flow, which OAuth gave up")]
            case .authorizationCode(let flow):
                return flow.isPKCERequired
                    ? [] : [CardFinding(.noPKCE, path, "takes an authorization code without PKCE")]
            case .unknown: return [CardFinding(.unknownSchemeKind, path, "has no flow that version 1.0 knows")]
            case .clientCredentials, .deviceCode: return []
            }
        case .unknown: return [CardFinding(.unknownSchemeKind, path, "is of no kind that version 1.0 knows")]
        case .openIDConnect, .mutualTLS: return []
        }
    }

    // MARK: - Signatures and identity

    private static func signatures(of card: AgentCard) -> [CardFinding] {
        guard !card.signatures.isEmpty else {
            return [CardFinding(.unsigned, "signatures", "is missing: nobody vouches")]
        }
        guard card.signatures.count <= CardVerifier.maximumSignatures else {
            return [
                CardFinding(.badSignature, "signatures", "has more than \(CardVerifier.maximumSignatures) elements")
            ]
        }
        return card.signatures.enumerated().flatMap { findings(in: $1, "signatures[\($0)]") }
    }

    private static func findings(in signature: AgentCardSignature, _ path: String) -> [CardFinding] {
        let header: JOSEHeader
        do {
            header = try CardVerifier.header(of: signature)
        } catch {
            return [CardFinding(.badSignature, path, error.description)]
        }
        var found: [CardFinding] = []
        if header.keyID == nil { found.append(CardFinding(.noKeyID, path, "does not name its key (`kid`)")) }
        if header.type == nil {
            found.append(CardFinding(.noType, path, "has no `typ`: the SDK for JavaScript refuses it"))
        }
        return found
    }

    private static func identity(of card: AgentCard) -> [CardFinding] {
        let identity: CardIdentity?
        do {
            identity = try CardIdentity(of: card)
        } catch {
            return [CardFinding(.badIdentity, "capabilities.extensions", error.description)]
        }
        guard let identity else {
            return [CardFinding(.unbound, "capabilities.extensions", "does not bind the card to a SPIFFE ID")]
        }
        var found: [CardFinding] = []
        if card.capabilities.extensions.contains(where: {
            $0.uri.hasSameBytes(as: CardIdentity.extensionURI) && $0.required
        }) {
            found.append(
                CardFinding(
                    .requiredIdentity, "capabilities.extensions", "requires the identity: stock clients cannot call"))
        }
        for skill in identity.skillScopes.keys where !card.skills.contains(where: { $0.id.hasSameBytes(as: skill) }) {
            found.append(
                CardFinding(
                    .unknownSkill, "capabilities.extensions",
                    "has scopes for `\(skill.truncatedForMessage)`, which is no skill of the card"))
        }
        return found
    }
}

extension OAuthFlows {
    /// Where clients and people are sent.
    fileprivate var urls: [(member: String, text: String)] {
        switch self {
        case .authorizationCode(let flow):
            [
                ("authorizationCode.authorizationUrl", flow.authorizationURL),
                ("authorizationCode.tokenUrl", flow.tokenURL),
                ("authorizationCode.refreshUrl", flow.refreshURL ?? ""),
            ]
        case .clientCredentials(let flow):
            [
                ("clientCredentials.tokenUrl", flow.tokenURL),
                ("clientCredentials.refreshUrl", flow.refreshURL ?? ""),
            ]
        case .implicit(let flow):
            [
                ("implicit.authorizationUrl", flow.authorizationURL ?? ""),
                ("implicit.refreshUrl", flow.refreshURL ?? ""),
            ]
        case .password(let flow):
            [("password.tokenUrl", flow.tokenURL ?? ""), ("password.refreshUrl", flow.refreshURL ?? "")]
        case .deviceCode(let flow):
            [
                ("deviceCode.deviceAuthorizationUrl", flow.deviceAuthorizationURL),
                ("deviceCode.tokenUrl", flow.tokenURL), ("deviceCode.refreshUrl", flow.refreshURL ?? ""),
            ]
        case .unknown: []
        }
    }
}
