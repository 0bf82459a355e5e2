package import A2A
import JOSE

extension SecurityRequirement: WireMessage {
    package init(_ wire: Lf_A2a_V1_SecurityRequirement) {
        self.init(ProtoMap(wire.schemes, \.list))
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_SecurityRequirement {
        var wire = Lf_A2a_V1_SecurityRequirement()
        wire.schemes = try FieldViolation.at("schemes") { () throws(FieldViolation) in
            try schemes.dictionary { scopes in
                var list = Lf_A2a_V1_StringList()
                list.list = scopes
                return list
            }
        }
        return wire
    }
}

extension SecurityScheme: WireMessage {
    package init(_ wire: Lf_A2a_V1_SecurityScheme) {
        switch wire.scheme {
        case .apiKeySecurityScheme(let scheme):
            self = .apiKey(
                APIKey(
                    description: scheme.description_p.unlessEmpty, location: scheme.location, name: scheme.name))
        case .httpAuthSecurityScheme(let scheme):
            self = .httpAuth(
                HTTPAuth(
                    description: scheme.description_p.unlessEmpty, scheme: scheme.scheme,
                    bearerFormat: scheme.bearerFormat.unlessEmpty))
        case .oauth2SecurityScheme(let scheme):
            self = .oauth2(
                OAuth2(
                    description: scheme.description_p.unlessEmpty, flows: OAuthFlows(scheme.flows),
                    metadataURL: scheme.oauth2MetadataURL.unlessEmpty))
        case .openIDConnectSecurityScheme(let scheme):
            self = .openIDConnect(
                OpenIDConnect(description: scheme.description_p.unlessEmpty, url: scheme.openIDConnectURL))
        case .mtlsSecurityScheme(let scheme):
            self = .mutualTLS(MutualTLS(description: scheme.description_p.unlessEmpty))
        case nil:
            self = .unknown
        }
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_SecurityScheme {
        var wire = Lf_A2a_V1_SecurityScheme()
        switch self {
        case .apiKey(let scheme):
            wire.apiKeySecurityScheme.description_p = scheme.description ?? ""
            wire.apiKeySecurityScheme.location = scheme.location
            wire.apiKeySecurityScheme.name = scheme.name
        case .httpAuth(let scheme):
            wire.httpAuthSecurityScheme.description_p = scheme.description ?? ""
            wire.httpAuthSecurityScheme.scheme = scheme.scheme
            wire.httpAuthSecurityScheme.bearerFormat = scheme.bearerFormat ?? ""
        case .oauth2(let scheme):
            wire.oauth2SecurityScheme.description_p = scheme.description ?? ""
            wire.oauth2SecurityScheme.flows = try scheme.flows.wire()
            wire.oauth2SecurityScheme.oauth2MetadataURL = scheme.metadataURL ?? ""
        case .openIDConnect(let scheme):
            wire.openIDConnectSecurityScheme.description_p = scheme.description ?? ""
            wire.openIDConnectSecurityScheme.openIDConnectURL = scheme.url
        case .mutualTLS(let scheme):
            wire.mtlsSecurityScheme.description_p = scheme.description ?? ""
        case .unknown: break
        }
        return wire
    }
}

extension OAuthFlows: WireMessage {
    package init(_ wire: Lf_A2a_V1_OAuthFlows) {
        switch wire.flow {
        case .authorizationCode(let flow):
            self = .authorizationCode(
                AuthorizationCode(
                    authorizationURL: flow.authorizationURL, tokenURL: flow.tokenURL,
                    refreshURL: flow.refreshURL.unlessEmpty, scopes: ProtoMap(flow.scopes, \.self),
                    isPKCERequired: flow.pkceRequired))
        case .clientCredentials(let flow):
            self = .clientCredentials(
                ClientCredentials(
                    tokenURL: flow.tokenURL, refreshURL: flow.refreshURL.unlessEmpty,
                    scopes: ProtoMap(flow.scopes, \.self)))
        case .implicit(let flow):
            self = .implicit(
                Implicit(
                    authorizationURL: flow.authorizationURL.unlessEmpty, refreshURL: flow.refreshURL.unlessEmpty,
                    scopes: ProtoMap(flow.scopes, \.self)))
        case .password(let flow):
            self = .password(
                Password(
                    tokenURL: flow.tokenURL.unlessEmpty, refreshURL: flow.refreshURL.unlessEmpty,
                    scopes: ProtoMap(flow.scopes, \.self)))
        case .deviceCode(let flow):
            self = .deviceCode(
                DeviceCode(
                    deviceAuthorizationURL: flow.deviceAuthorizationURL, tokenURL: flow.tokenURL,
                    refreshURL: flow.refreshURL.unlessEmpty, scopes: ProtoMap(flow.scopes, \.self)))
        case nil:
            self = .unknown
        }
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_OAuthFlows {
        var wire = Lf_A2a_V1_OAuthFlows()
        switch self {
        case .authorizationCode(let flow):
            wire.authorizationCode.authorizationURL = flow.authorizationURL
            wire.authorizationCode.tokenURL = flow.tokenURL
            wire.authorizationCode.refreshURL = flow.refreshURL ?? ""
            wire.authorizationCode.scopes = try flow.scopes.wire()
            wire.authorizationCode.pkceRequired = flow.isPKCERequired
        case .clientCredentials(let flow):
            wire.clientCredentials.tokenURL = flow.tokenURL
            wire.clientCredentials.refreshURL = flow.refreshURL ?? ""
            wire.clientCredentials.scopes = try flow.scopes.wire()
        case .implicit(let flow):
            wire.implicit.authorizationURL = flow.authorizationURL ?? ""
            wire.implicit.refreshURL = flow.refreshURL ?? ""
            wire.implicit.scopes = try flow.scopes.wire()
        case .password(let flow):
            wire.password.tokenURL = flow.tokenURL ?? ""
            wire.password.refreshURL = flow.refreshURL ?? ""
            wire.password.scopes = try flow.scopes.wire()
        case .deviceCode(let flow):
            wire.deviceCode.deviceAuthorizationURL = flow.deviceAuthorizationURL
            wire.deviceCode.tokenURL = flow.tokenURL
            wire.deviceCode.refreshURL = flow.refreshURL ?? ""
            wire.deviceCode.scopes = try flow.scopes.wire()
        case .unknown: break
        }
        return wire
    }
}

extension ProtoMap {
    /// The entries sorted by their keys, since the wire has no order.
    init<Wire>(_ wire: [String: Wire], _ read: (Wire) -> Value) {
        self.init()
        for (key, value) in wire.sorted(by: { $0.key < $1.key }) { self[key] = read(value) }
    }

    func dictionary<Wire>(
        _ convert: (Value) throws(FieldViolation) -> Wire
    ) throws(FieldViolation) -> [String: Wire] {
        var dictionary: [String: Wire] = [:]
        for (key, value) in entries {
            do throws(FieldViolation) {
                dictionary[key] = try convert(value)
            } catch {
                throw error.inside(key.truncatedForMessage)
            }
        }
        guard dictionary.count == count else { throw .similarNames }
        return dictionary
    }
}

extension ProtoMap<String> {
    /// What each scope is for.
    fileprivate func wire() throws(FieldViolation) -> [String: String] {
        try FieldViolation.at("scopes") { () throws(FieldViolation) in try dictionary { $0 } }
    }
}
