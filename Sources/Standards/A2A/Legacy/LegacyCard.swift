import JOSE

/// The members by which peers of version 0.3 read a card of version 1.0 (A2A 0.3.0 §5.5), beside those that it has.
///
/// Whoever reads the card as 1.0 ignores them, so that signatures which were made without them hold for readers that drop what they do
/// not know. An agent that wants old peers lists an interface of version 0.3.
package enum LegacyCard {
    /// The card with these members; the card as it was when none of its interfaces is one of version 0.3.
    package static func adding(to json: JSONObject) throws(FieldViolation) -> JSONObject {
        let card = try AgentCard(reading: FieldReader(json))
        let interfaces = card.supportedInterfaces.filter { interface in
            // Version 0.3 has no tenants.
            interface.tenant == nil
                && (interface.protocolVersion == "0.3" || interface.protocolVersion.hasPrefix("0.3."))
        }
        guard let preferred = interfaces.first else { return json }
        var members = json
        members["protocolVersion"] = "0.3.0"
        members["url"] = .string(preferred.url)
        members["preferredTransport"] = .string(preferred.protocolBinding.rawValue)
        if interfaces.count > 1 {
            members["additionalInterfaces"] = .array(
                interfaces.dropFirst().map { interface in
                    ["url": .string(interface.url), "transport": .string(interface.protocolBinding.rawValue)]
                })
        }
        if let extended = card.capabilities.extendedAgentCard {
            members["supportsAuthenticatedExtendedCard"] = .bool(extended)
        }
        members["security"] = security(card.securityRequirements)
        if var schemes = json["securitySchemes"]?.objectValue {
            for (name, scheme) in card.securitySchemes.entries {
                guard var both = schemes[name]?.objectValue else { continue }
                add(scheme, to: &both)
                schemes[name] = .object(both)
            }
            members["securitySchemes"] = .object(schemes)
        }
        if let skills = json["skills"]?.arrayValue, skills.count == card.skills.count {
            members["skills"] = .array(
                zip(skills, card.skills).map { (value, skill) in
                    guard var both = value.objectValue, let security = security(skill.securityRequirements) else {
                        return value
                    }
                    both["security"] = security
                    return .object(both)
                })
        }
        return members
    }

    /// Security requirements in the form of OpenAPI: one of these objects, all of its schemes.
    private static func security(_ requirements: [SecurityRequirement]) -> JSONValue? {
        guard !requirements.isEmpty else { return nil }
        return .array(
            requirements.map { requirement in
                .object(
                    JSONObject(
                        requirement.schemes.entries.map { entry in
                            (entry.key, .array(entry.value.map { .string($0) }))
                        }))
            })
    }

    /// A security scheme in the form of OpenAPI 3.0 (A2A 0.3.0 §5.5.3).
    private static func add(_ scheme: SecurityScheme, to members: inout JSONObject) {
        func text(_ name: String, _ text: String?) {
            if let text { members[name] = .string(text) }
        }
        switch scheme {
        case .apiKey(let scheme):
            members["type"] = "apiKey"
            text("in", scheme.location)
            text("name", scheme.name)
            text("description", scheme.description)
        case .httpAuth(let scheme):
            members["type"] = "http"
            text("scheme", scheme.scheme)
            text("bearerFormat", scheme.bearerFormat)
            text("description", scheme.description)
        case .oauth2(let scheme):
            members["type"] = "oauth2"
            // Flows have the same form in both versions.
            members["flows"] = try? JSONValue(parsing: scheme.flows.jsonBytes)
            text("oauth2MetadataUrl", scheme.metadataURL)
            text("description", scheme.description)
        case .openIDConnect(let scheme):
            members["type"] = "openIdConnect"
            text("openIdConnectUrl", scheme.url)
            text("description", scheme.description)
        case .mutualTLS(let scheme):
            members["type"] = "mutualTLS"
            text("description", scheme.description)
        case .unknown: break
        }
    }
}
