package import JOSE

/// What a protected resource says about itself (RFC 9728 §2). A nil member is not in the document.
package struct ProtectedResourceMetadata: Sendable, Equatable {
    /// The resource identifier, an `https` URL without fragment.
    package let resource: String
    /// `authorization_servers`: Issuer identifiers.
    package var authorizationServers: [String]?
    /// `jwks_uri`: Keys by which the resource signs its answers.
    package var jwksURI: String?
    /// `scopes_supported`
    package var scopesSupported: [String]?
    /// `bearer_methods_supported`: `header` alone is what we speak.
    package var bearerMethods: [String]?
    /// `resource_signing_alg_values_supported`
    package var signingAlgorithms: [String]?
    /// `resource_name`: A name for people.
    package var name: String?
    /// `resource_documentation`
    package var documentation: String?
    /// `resource_policy_uri`
    package var policyURI: String?
    /// `resource_tos_uri`
    package var termsOfServiceURI: String?
    /// `tls_client_certificate_bound_access_tokens`
    package var demandsCertificateBoundTokens: Bool?
    /// `authorization_details_types_supported`
    package var authorizationDetailsTypes: [String]?
    /// `dpop_signing_alg_values_supported`
    package var dpopAlgorithms: [String]?
    /// `dpop_bound_access_tokens_required`
    package var demandsDPoP: Bool?
    /// Members without meaning here, in their order; `signed_metadata` among them.
    package var otherMembers = JSONObject()

    /// The metadata of a resource.
    package init(resource: String) throws(MetadataError) {
        _ = try Self.url(ofResource: resource)
        self.resource = resource
    }

    /// Reads a document that was fetched for this resource, whose name has to be in it byte by byte (RFC 9728 §3.3).
    package init(parsing bytes: some Collection<UInt8>, resource: String) throws(MetadataError) {
        let reader = try MetadataReader(parsing: bytes)
        guard let found = try reader.string("resource") else { throw .missingMember("resource") }
        guard found.hasSameBytes(as: resource) else { throw .wrongResource }
        try self.init(resource: resource)
        authorizationServers = try reader.list("authorization_servers")
        jwksURI = try reader.endpoint("jwks_uri")
        scopesSupported = try reader.list("scopes_supported")
        bearerMethods = try reader.list("bearer_methods_supported")
        signingAlgorithms = try reader.list("resource_signing_alg_values_supported")
        name = try reader.string("resource_name")
        documentation = try reader.endpoint("resource_documentation")
        policyURI = try reader.endpoint("resource_policy_uri")
        termsOfServiceURI = try reader.endpoint("resource_tos_uri")
        demandsCertificateBoundTokens = try reader.flag("tls_client_certificate_bound_access_tokens")
        authorizationDetailsTypes = try reader.list("authorization_details_types_supported")
        dpopAlgorithms = try reader.list("dpop_signing_alg_values_supported")
        demandsDPoP = try reader.flag("dpop_bound_access_tokens_required")
        otherMembers = reader.others(than: Self.knownMembers)
    }

    /// The document.
    package var serializedBytes: [UInt8] { json.serializedBytes }

    package var json: JSONObject {
        var writer = MetadataWriter()
        writer.add("resource", resource)
        writer.add("authorization_servers", authorizationServers)
        writer.add("jwks_uri", jwksURI)
        writer.add("scopes_supported", scopesSupported)
        writer.add("bearer_methods_supported", bearerMethods)
        writer.add("resource_signing_alg_values_supported", signingAlgorithms)
        writer.add("resource_name", name)
        writer.add("resource_documentation", documentation)
        writer.add("resource_policy_uri", policyURI)
        writer.add("resource_tos_uri", termsOfServiceURI)
        writer.add("tls_client_certificate_bound_access_tokens", demandsCertificateBoundTokens)
        writer.add("authorization_details_types_supported", authorizationDetailsTypes)
        writer.add("dpop_signing_alg_values_supported", dpopAlgorithms)
        writer.add("dpop_bound_access_tokens_required", demandsDPoP)
        writer.add(otherMembers)
        return writer.json
    }

    /// Where a resource's document is (RFC 9728 §3.1).
    package static func location(ofResource resource: String) throws(MetadataError) -> String {
        WellKnown.inserted("oauth-protected-resource", into: try url(ofResource: resource))
    }

    private static func url(ofResource resource: String) throws(MetadataError) -> WebURL {
        guard let url = try? WebURL(resource), url.isSecure, !url.hasFragment else { throw .badURL("resource") }
        return url
    }

    private static let knownMembers = [
        "resource",
        "authorization_servers",
        "jwks_uri",
        "scopes_supported",
        "bearer_methods_supported",
        "resource_signing_alg_values_supported",
        "resource_name",
        "resource_documentation",
        "resource_policy_uri",
        "resource_tos_uri",
        "tls_client_certificate_bound_access_tokens",
        "authorization_details_types_supported",
        "dpop_signing_alg_values_supported",
        "dpop_bound_access_tokens_required",
    ]
}
