import JOSE

extension CardDocument {
    /// What the standard requires of a card and this one lacks (A2A 1.0.1 §4.4, §4.5): members that are REQUIRED, be they
    /// empty, values without which nobody can call the agent, and names that must lead somewhere.
    package var violations: [FieldViolation] {
        let missing = CardShape.card.missingMembers(of: object)
        return missing + card.violations.filter { violation in !missing.contains { $0.field == violation.field } }
    }
}

extension AgentCard {
    /// What can be said of the values alone.
    fileprivate var violations: [FieldViolation] {
        var found = Violations()
        found.require("name", name)
        found.require("version", version)
        found.require("supportedInterfaces", supportedInterfaces)
        for (index, interface) in supportedInterfaces.enumerated() {
            found.at("supportedInterfaces[\(index)]") { interface.check(&$0) }
        }
        found.at("provider") { found in
            guard let provider else { return }
            found.require("url", provider.url)
            found.require("organization", provider.organization)
        }
        for (name, scheme) in securitySchemes.entries {
            found.at("securitySchemes.\(name.truncatedForMessage)") { scheme.check(&$0) }
        }
        found.check("securityRequirements", securityRequirements, against: securitySchemes)
        for (index, skill) in skills.enumerated() {
            found.at("skills[\(index)]") { found in
                found.require("id", skill.id)
                found.check("securityRequirements", skill.securityRequirements, against: securitySchemes)
                if skills[..<index].contains(where: { $0.id.hasSameBytes(as: skill.id) }) {
                    found.add("id", "is the ID of another skill")
                }
            }
        }
        return found.list
    }
}

/// A list of violations that grows, and where in the card it is at.
private struct Violations {
    private(set) var list: [FieldViolation] = []
    private var path = ""

    mutating func add(_ member: String, _ problem: String) {
        list.append(FieldViolation(path.isEmpty ? member : "\(path).\(member)", problem))
    }

    mutating func require(_ member: String, _ text: String) {
        if text.isEmpty { add(member, "must not be empty") }
    }

    mutating func require(_ member: String, _ list: [some Any]) {
        if list.isEmpty { add(member, "must not be empty") }
    }

    mutating func at(_ place: String, _ body: (inout Violations) -> Void) {
        let outer = path
        path = outer.isEmpty ? place : "\(outer).\(place)"
        body(&self)
        path = outer
    }

    mutating func check(
        _ member: String, _ requirements: [SecurityRequirement], against schemes: ProtoMap<SecurityScheme>
    ) {
        for (index, requirement) in requirements.enumerated() {
            for name in requirement.schemes.keys where schemes[name] == nil {
                add("\(member)[\(index)].schemes.\(name.truncatedForMessage)", "is no scheme of the card")
            }
        }
    }
}

extension AgentInterface {
    fileprivate func check(_ found: inout Violations) {
        found.require("url", url)
        found.require("protocolBinding", protocolBinding.rawValue)
        found.require("protocolVersion", protocolVersion)
        let numbers = protocolVersion.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let isVersion =
            numbers.count == 2
            && numbers.allSatisfy { (1...4).contains($0.count) && $0.allSatisfy { (0x30...0x39).contains($0) } }
        if !isVersion, !protocolVersion.isEmpty { found.add("protocolVersion", "must be two numbers such as `1.0`") }
    }
}

extension SecurityScheme {
    fileprivate func check(_ found: inout Violations) {
        switch self {
        case .apiKey(let scheme):
            found.at("apiKeySecurityScheme") { found in
                found.require("name", scheme.name)
                if !["query", "header", "cookie"].contains(scheme.location) {
                    found.add("location", "must be `query`, `header` or `cookie`")
                }
            }
        case .httpAuth(let scheme):
            found.at("httpAuthSecurityScheme") { $0.require("scheme", scheme.scheme) }
        case .oauth2(let scheme):
            found.at("oauth2SecurityScheme.flows") { scheme.flows.check(&$0) }
        case .openIDConnect(let scheme):
            found.at("openIdConnectSecurityScheme") { $0.require("openIdConnectUrl", scheme.url) }
        case .mutualTLS, .unknown: break
        }
    }
}

extension OAuthFlows {
    fileprivate func check(_ found: inout Violations) {
        switch self {
        case .authorizationCode(let flow):
            found.at("authorizationCode") { found in
                found.require("authorizationUrl", flow.authorizationURL)
                found.require("tokenUrl", flow.tokenURL)
            }
        case .clientCredentials(let flow):
            found.at("clientCredentials") { $0.require("tokenUrl", flow.tokenURL) }
        case .deviceCode(let flow):
            found.at("deviceCode") { found in
                found.require("deviceAuthorizationUrl", flow.deviceAuthorizationURL)
                found.require("tokenUrl", flow.tokenURL)
            }
        case .implicit, .password, .unknown: break
        }
    }
}

extension AgentCard {
    /// The paths of a card's members that version 1.0 does not know, at every depth.
    package static func unknownMembers(of object: JSONObject) -> [String] { CardShape.card.unknownPaths(of: object) }
}
