package import JOSE

/// What an authorization server says about itself (RFC 8414 §2, OpenID Connect Discovery 1.0 §3). A nil member is not
/// in the document.
package struct AuthorizationServerMetadata: Sendable, Equatable {
    /// The issuer identifier, an `https` URL without query and fragment.
    package let issuer: String
    /// `token_endpoint`
    package var tokenEndpoint: String
    /// `authorization_endpoint`: Some clients want it even where no user ever signs in.
    package var authorizationEndpoint: String?
    /// `jwks_uri`
    package var jwksURI: String?
    /// `scopes_supported`
    package var scopesSupported: [String]?
    /// `response_types_supported`: Mandatory in the document, and empty where there is no authorization endpoint.
    package var responseTypesSupported: [String] = []
    /// `grant_types_supported`
    package var grantTypesSupported: [String]?
    /// `token_endpoint_auth_methods_supported`: Strongest first.
    package var tokenEndpointAuthMethods: [String]?
    /// `token_endpoint_auth_signing_alg_values_supported`
    package var tokenEndpointAuthAlgorithms: [String]?
    /// `introspection_endpoint`
    package var introspectionEndpoint: String?
    /// `introspection_endpoint_auth_methods_supported`
    package var introspectionEndpointAuthMethods: [String]?
    /// `introspection_endpoint_auth_signing_alg_values_supported`
    package var introspectionEndpointAuthAlgorithms: [String]?
    /// `revocation_endpoint`
    package var revocationEndpoint: String?
    /// `revocation_endpoint_auth_methods_supported`
    package var revocationEndpointAuthMethods: [String]?
    /// `revocation_endpoint_auth_signing_alg_values_supported`
    package var revocationEndpointAuthAlgorithms: [String]?
    /// `code_challenge_methods_supported`
    package var codeChallengeMethods: [String]?
    /// `dpop_signing_alg_values_supported`: RFC 9449 §5.1
    package var dpopAlgorithms: [String]?
    /// `tls_client_certificate_bound_access_tokens`: RFC 8705 §3.3
    package var issuesCertificateBoundTokens: Bool?
    /// `authorization_details_types_supported`: RFC 9396 §10
    package var authorizationDetailsTypes: [String]?
    /// `backchannel_authentication_endpoint`: CIBA Core 1.0 §4
    package var backchannelAuthenticationEndpoint: String?
    /// `backchannel_token_delivery_modes_supported`
    package var backchannelTokenDeliveryModes: [String]?
    /// `subject_types_supported`: OpenID Connect Discovery 1.0 §3
    package var subjectTypesSupported: [String]?
    /// `id_token_signing_alg_values_supported`: OpenID Connect Discovery 1.0 §3
    package var idTokenAlgorithms: [String]?
    /// `identity_chaining_requested_token_types_supported`: draft-ietf-oauth-identity-chaining-17 §3
    package var chainingTokenTypes: [String]?
    /// `authorization_grant_profiles_supported`: draft-ietf-oauth-identity-assertion-authz-grant-04 §6
    package var authorizationGrantProfiles: [String]?
    /// `mtls_endpoint_aliases` (RFC 8705 §5): endpoints by the names of their members.
    package var mtlsEndpointAliases: [String: String] = [:]
    /// Members without meaning here, in their order.
    package var otherMembers = JSONObject()

    /// The metadata of an issuer; refuses what is no issuer identifier or no endpoint (RFC 8414 §2).
    package init(issuer: String, tokenEndpoint: String) throws(MetadataError) {
        _ = try Self.url(ofIssuer: issuer)
        guard let endpoint = try? WebURL(tokenEndpoint), endpoint.isSecure, !endpoint.hasFragment else {
            throw .badURL("token_endpoint")
        }
        self.issuer = issuer
        self.tokenEndpoint = tokenEndpoint
    }

    /// Reads a document that was fetched for this issuer, whose name has to be in it byte by byte (RFC 8414 §3.3).
    package init(parsing bytes: some Collection<UInt8>, issuer: String) throws(MetadataError) {
        let reader = try MetadataReader(parsing: bytes)
        guard let found = try reader.string("issuer") else { throw .missingMember("issuer") }
        guard found.hasSameBytes(as: issuer) else { throw .wrongIssuer }
        guard let tokenEndpoint = try reader.endpoint("token_endpoint") else { throw .missingMember("token_endpoint") }
        try self.init(issuer: issuer, tokenEndpoint: tokenEndpoint)
        authorizationEndpoint = try reader.endpoint("authorization_endpoint")
        jwksURI = try reader.endpoint("jwks_uri")
        scopesSupported = try reader.list("scopes_supported")
        responseTypesSupported = try reader.list("response_types_supported") ?? []
        grantTypesSupported = try reader.list("grant_types_supported")
        tokenEndpointAuthMethods = try reader.list("token_endpoint_auth_methods_supported")
        tokenEndpointAuthAlgorithms = try reader.list("token_endpoint_auth_signing_alg_values_supported")
        introspectionEndpoint = try reader.endpoint("introspection_endpoint")
        introspectionEndpointAuthMethods = try reader.list("introspection_endpoint_auth_methods_supported")
        introspectionEndpointAuthAlgorithms = try reader.list(
            "introspection_endpoint_auth_signing_alg_values_supported")
        revocationEndpoint = try reader.endpoint("revocation_endpoint")
        revocationEndpointAuthMethods = try reader.list("revocation_endpoint_auth_methods_supported")
        revocationEndpointAuthAlgorithms = try reader.list("revocation_endpoint_auth_signing_alg_values_supported")
        codeChallengeMethods = try reader.list("code_challenge_methods_supported")
        dpopAlgorithms = try reader.list("dpop_signing_alg_values_supported")
        issuesCertificateBoundTokens = try reader.flag("tls_client_certificate_bound_access_tokens")
        authorizationDetailsTypes = try reader.list("authorization_details_types_supported")
        backchannelAuthenticationEndpoint = try reader.endpoint("backchannel_authentication_endpoint")
        backchannelTokenDeliveryModes = try reader.list("backchannel_token_delivery_modes_supported")
        subjectTypesSupported = try reader.list("subject_types_supported")
        idTokenAlgorithms = try reader.list("id_token_signing_alg_values_supported")
        chainingTokenTypes = try reader.list("identity_chaining_requested_token_types_supported")
        authorizationGrantProfiles = try reader.list("authorization_grant_profiles_supported")
        mtlsEndpointAliases = try Self.aliases(reader)
        otherMembers = reader.others(than: Self.knownMembers)
    }

    /// The document.
    package var serializedBytes: [UInt8] { json.serializedBytes }

    package var json: JSONObject {
        var writer = MetadataWriter()
        writer.add("issuer", issuer)
        writer.add("token_endpoint", tokenEndpoint)
        writer.add("authorization_endpoint", authorizationEndpoint)
        writer.add("jwks_uri", jwksURI)
        writer.add("scopes_supported", scopesSupported)
        writer.add("response_types_supported", responseTypesSupported)
        writer.add("grant_types_supported", grantTypesSupported)
        writer.add("token_endpoint_auth_methods_supported", tokenEndpointAuthMethods)
        writer.add("token_endpoint_auth_signing_alg_values_supported", tokenEndpointAuthAlgorithms)
        writer.add("introspection_endpoint", introspectionEndpoint)
        writer.add("introspection_endpoint_auth_methods_supported", introspectionEndpointAuthMethods)
        writer.add("introspection_endpoint_auth_signing_alg_values_supported", introspectionEndpointAuthAlgorithms)
        writer.add("revocation_endpoint", revocationEndpoint)
        writer.add("revocation_endpoint_auth_methods_supported", revocationEndpointAuthMethods)
        writer.add("revocation_endpoint_auth_signing_alg_values_supported", revocationEndpointAuthAlgorithms)
        writer.add("code_challenge_methods_supported", codeChallengeMethods)
        writer.add("dpop_signing_alg_values_supported", dpopAlgorithms)
        writer.add("tls_client_certificate_bound_access_tokens", issuesCertificateBoundTokens)
        writer.add("authorization_details_types_supported", authorizationDetailsTypes)
        writer.add("backchannel_authentication_endpoint", backchannelAuthenticationEndpoint)
        writer.add("backchannel_token_delivery_modes_supported", backchannelTokenDeliveryModes)
        writer.add("subject_types_supported", subjectTypesSupported)
        writer.add("id_token_signing_alg_values_supported", idTokenAlgorithms)
        writer.add("identity_chaining_requested_token_types_supported", chainingTokenTypes)
        writer.add("authorization_grant_profiles_supported", authorizationGrantProfiles)
        if !mtlsEndpointAliases.isEmpty {
            let aliases = mtlsEndpointAliases.sorted { $0.key < $1.key }.map { ($0.key, JSONValue.string($0.value)) }
            writer.json["mtls_endpoint_aliases"] = .object(JSONObject(aliases))
        }
        writer.add(otherMembers)
        return writer.json
    }

    /// Where an issuer's document is after RFC 8414 §3.
    package static func location(ofIssuer issuer: String) throws(MetadataError) -> String {
        WellKnown.inserted("oauth-authorization-server", into: try url(ofIssuer: issuer))
    }

    /// Where an issuer's document is after OpenID Connect Discovery 1.0 §4.
    package static func openIDLocation(ofIssuer issuer: String) throws(MetadataError) -> String {
        _ = try url(ofIssuer: issuer)
        return (issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer) + "/.well-known/openid-configuration"
    }

    private static func url(ofIssuer issuer: String) throws(MetadataError) -> WebURL {
        guard let url = try? WebURL(issuer), url.isSecure, !url.hasFragment, url.query == nil else {
            throw .badURL("issuer")
        }
        return url
    }

    private static func aliases(_ reader: MetadataReader) throws(MetadataError) -> [String: String] {
        guard let value = reader.json["mtls_endpoint_aliases"] else { return [:] }
        guard let object = value.objectValue else { throw .wrongType("mtls_endpoint_aliases") }
        guard object.count <= 32 else { throw .tooLong("mtls_endpoint_aliases") }
        let reader = MetadataReader(json: object)
        var aliases: [String: String] = [:]
        for (name, _) in object.members { aliases[name] = try reader.endpoint(name) }
        return aliases
    }

    private static let knownMembers = [
        "issuer", "mtls_endpoint_aliases",
        "token_endpoint",
        "authorization_endpoint",
        "jwks_uri",
        "scopes_supported",
        "response_types_supported",
        "grant_types_supported",
        "token_endpoint_auth_methods_supported",
        "token_endpoint_auth_signing_alg_values_supported",
        "introspection_endpoint",
        "introspection_endpoint_auth_methods_supported",
        "introspection_endpoint_auth_signing_alg_values_supported",
        "revocation_endpoint",
        "revocation_endpoint_auth_methods_supported",
        "revocation_endpoint_auth_signing_alg_values_supported",
        "code_challenge_methods_supported",
        "dpop_signing_alg_values_supported",
        "tls_client_certificate_bound_access_tokens",
        "authorization_details_types_supported",
        "backchannel_authentication_endpoint",
        "backchannel_token_delivery_modes_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
        "identity_chaining_requested_token_types_supported",
        "authorization_grant_profiles_supported",
    ]
}
