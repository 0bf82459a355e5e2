import A2A
import JOSE

extension AgentCard {
    /// The card for people. All of it is what somebody claims.
    var pretty: String {
        var lines = PrettyLines()
        lines.line("Name", name)
        lines.line("Description", description)
        lines.line("Version", version)
        if let provider { lines.line("Provider", "\(provider.organization) (\(provider.url))") }
        for interface in supportedInterfaces {
            let tenant = interface.tenant.map { ", tenant \($0)" } ?? ""
            lines.line(
                "Interface",
                "\(interface.url) (\(interface.protocolBinding.rawValue), \(interface.protocolVersion)\(tenant))")
        }
        lines.line("Capabilities", capabilities.names.isEmpty ? "none" : capabilities.names.joined(separator: " "))
        for known in capabilities.extensions where !known.uri.hasSameBytes(as: CardIdentity.extensionURI) {
            lines.line("Extension", known.uri + (known.required ? " (required)" : ""))
        }
        for skill in skills { lines.line("Skill", "\(skill.id): \(skill.name)") }
        for (name, scheme) in securitySchemes.entries { lines.line("Security scheme", "\(name): \(scheme.kind)") }
        for requirement in securityRequirements {
            let schemes = requirement.schemes.entries.map { name, scopes in
                scopes.isEmpty ? name : "\(name) (\(scopes.joined(separator: " ")))"
            }
            lines.line("Requires", schemes.isEmpty ? "nothing" : schemes.joined(separator: " and "))
        }
        addIdentity(to: &lines)
        for signature in signatures {
            if let header = try? CardVerifier.header(of: signature) {
                lines.line("Signature", "\(header.algorithm.rawValue) by \(header.keyID ?? "an unnamed key")")
            } else {
                lines.line("Signature", "malformed")
            }
        }
        return lines.text + "\nNothing of this was verified: `card verify` does that."
    }

    private func addIdentity(to lines: inout PrettyLines) {
        do {
            guard let identity = try CardIdentity(of: self) else {
                lines.line("SPIFFE ID", "none")
                return
            }
            lines.line("SPIFFE ID", identity.spiffeID.string)
            for gateway in identity.gateways { lines.line("Gateway", gateway.string) }
            if !identity.credentials.isEmpty {
                lines.line("Credentials", identity.credentials.map(\.rawValue).joined(separator: " "))
            }
            for (skill, scopes) in identity.skillScopes.entries {
                lines.line("Skill scopes", "\(skill): \(scopes.joined(separator: " "))")
            }
        } catch {
            lines.line("SPIFFE ID", "malformed: \(error)")
        }
    }
}

extension AgentCapabilities {
    fileprivate var names: [String] {
        [
            streaming == true ? "streaming" : nil, pushNotifications == true ? "push-notifications" : nil,
            extendedAgentCard == true ? "extended-card" : nil,
        ].compactMap { $0 }
    }
}

extension SecurityScheme {
    fileprivate var kind: String {
        switch self {
        case .apiKey(let scheme): "API key `\(scheme.name)` in \(scheme.location)"
        case .httpAuth(let scheme): "HTTP \(scheme.scheme)" + (scheme.bearerFormat.map { " (\($0))" } ?? "")
        case .oauth2: "OAuth 2.0"
        case .openIDConnect(let scheme): "OpenID Connect at \(scheme.url)"
        case .mutualTLS: "mutual TLS"
        case .unknown: "of an unknown kind"
        }
    }
}
