import JOSE
import OAuth
import Testing

@Suite struct `Metadata` {
    private static let issuer = "https://as.example.com/oauth2"
    private static let server =
        #"{"issuer":"https://as.example.com/oauth2","token_endpoint":"https://as.example.com/oauth2/token""#

    @Test func `what is written reads back, each member under its own name`() throws {
        var metadata = try AuthorizationServerMetadata(
            issuer: Self.issuer, tokenEndpoint: Self.issuer + "/token")
        metadata.authorizationEndpoint = Self.issuer + "/authorize"
        metadata.jwksURI = Self.issuer + "/jwks"
        metadata.scopesSupported = ["a"]
        metadata.grantTypesSupported = TokenRequest.GrantType.allCases.map(\.rawValue)
        metadata.tokenEndpointAuthMethods = ["spiffe_x509", "spiffe_jwt"]
        metadata.introspectionEndpoint = Self.issuer + "/introspect"
        metadata.revocationEndpoint = Self.issuer + "/revoke"
        metadata.dpopAlgorithms = ["ES256"]
        metadata.issuesCertificateBoundTokens = true
        metadata.authorizationDetailsTypes = []
        metadata.chainingTokenTypes = [TokenType.jwt.uri]
        metadata.authorizationGrantProfiles = [AuthorizationGrant.identityAssertionProfile]
        metadata.mtlsEndpointAliases = ["token_endpoint": "https://mtls.example.com/token"]
        metadata.otherMembers = ["issuer": "https://evil.example", "challenge_endpoint": "x"]
        let read = try AuthorizationServerMetadata(parsing: metadata.serializedBytes, issuer: Self.issuer)
        metadata.otherMembers = ["challenge_endpoint": "x"]
        #expect(read == metadata)
        #expect(
            metadata.json.members.map(\.name) == [
                "issuer", "token_endpoint", "authorization_endpoint", "jwks_uri", "scopes_supported",
                "response_types_supported", "grant_types_supported", "token_endpoint_auth_methods_supported",
                "introspection_endpoint", "revocation_endpoint", "dpop_signing_alg_values_supported",
                "tls_client_certificate_bound_access_tokens", "authorization_details_types_supported",
                "identity_chaining_requested_token_types_supported", "authorization_grant_profiles_supported",
                "mtls_endpoint_aliases", "challenge_endpoint",
            ])
    }

    private static let members: [(String, MetadataError?)] = [
        ("}", nil), (#","jwks_uri":"https://as.example.com/k","unknown":{"x":[1]}}"#, nil),
        (#","jwks_uri":"http://as.example.com/k"}"#, MetadataError.badURL("jwks_uri")),
        (#","jwks_uri":"https://as.example.com/k#f"}"#, .badURL("jwks_uri")),
        (#","jwks_uri":"file:///etc/passwd"}"#, .badURL("jwks_uri")),
        (#","jwks_uri":"https://u@as.example.com/k"}"#, .badURL("jwks_uri")),
        (#","jwks_uri":1}"#, .wrongType("jwks_uri")), (#","jwks_uri":null}"#, .wrongType("jwks_uri")),
        (#","scopes_supported":"a"}"#, .wrongType("scopes_supported")),
        (#","scopes_supported":[1]}"#, .wrongType("scopes_supported")),
        (
            #","tls_client_certificate_bound_access_tokens":"true"}"#,
            .wrongType("tls_client_certificate_bound_access_tokens")
        ),
        (#","mtls_endpoint_aliases":[]}"#, .wrongType("mtls_endpoint_aliases")),
        (#","mtls_endpoint_aliases":{"token_endpoint":"http://a"}}"#, .badURL("token_endpoint")),
        (#","issuer":"https://as.example.com/oauth2"}"#, .json(.duplicateMember("issuer"))),
        ("", .json(.unexpectedEnd)),
    ]

    @Test(arguments: members)
    func `a server's members have their types`(rest: String, expected: MetadataError?) {
        let error = refusal { () throws(MetadataError) in
            try AuthorizationServerMetadata(parsing: bytes(Self.server + rest), issuer: Self.issuer)
        }
        #expect(error == expected)
    }

    @Test(arguments: [
        "https://as.example.com/oauth2/", "https://as.example.com/OAuth2", "https://AS.example.com/oauth2",
        "https://as.example.com:443/oauth2", "https://as.example.com",
    ])
    func `an issuer is the one that was asked, byte by byte`(issuer: String) {
        #expect(throws: MetadataError.wrongIssuer) {
            try AuthorizationServerMetadata(parsing: bytes(Self.server + "}"), issuer: issuer)
        }
    }

    @Test func `a server without issuer or token endpoint is refused`() {
        #expect(throws: MetadataError.missingMember("issuer")) {
            try AuthorizationServerMetadata(parsing: bytes("{}"), issuer: Self.issuer)
        }
        #expect(throws: MetadataError.missingMember("token_endpoint")) {
            try AuthorizationServerMetadata(parsing: bytes(#"{"issuer":"\#(Self.issuer)"}"#), issuer: Self.issuer)
        }
        for issuer in ["http://a", "https://a?x", "https://a#x", "a"] {
            #expect(throws: MetadataError.badURL("issuer")) {
                try AuthorizationServerMetadata(issuer: issuer, tokenEndpoint: "https://a/t")
            }
        }
        for endpoint in ["http://a/t", "https://a/t#x", "/t"] {
            #expect(throws: MetadataError.badURL("token_endpoint")) {
                try AuthorizationServerMetadata(issuer: "https://a", tokenEndpoint: endpoint)
            }
        }
    }

    private static let places: [(String, String, String)] = [
        (
            "https://a.example", "https://a.example/.well-known/oauth-authorization-server",
            "https://a.example/.well-known/openid-configuration"
        ),
        (
            "https://a.example/", "https://a.example/.well-known/oauth-authorization-server",
            "https://a.example/.well-known/openid-configuration"
        ),
        (
            "https://a.example:8443/x/y", "https://a.example:8443/.well-known/oauth-authorization-server/x/y",
            "https://a.example:8443/x/y/.well-known/openid-configuration"
        ),
    ]

    @Test(arguments: places)
    func `a server's documents have their places`(issuer: String, oauth: String, openID: String) throws {
        #expect(try AuthorizationServerMetadata.location(ofIssuer: issuer) == oauth)
        #expect(try AuthorizationServerMetadata.openIDLocation(ofIssuer: issuer) == openID)
    }

    @Test func `a resource's document is read for that resource alone`() throws {
        var metadata = try ProtectedResourceMetadata(resource: "https://r.example/a2a")
        metadata.authorizationServers = [Self.issuer]
        metadata.bearerMethods = ["header"]
        metadata.demandsDPoP = true
        metadata.demandsCertificateBoundTokens = false
        metadata.name = "R"
        metadata.otherMembers = ["signed_metadata": "x"]
        let text = metadata.serializedBytes
        #expect(try ProtectedResourceMetadata(parsing: text, resource: "https://r.example/a2a") == metadata)
        for other in ["https://r.example/a2a/", "https://r.example", "https://R.example/a2a"] {
            #expect(throws: MetadataError.wrongResource) {
                try ProtectedResourceMetadata(parsing: text, resource: other)
            }
        }
        #expect(throws: MetadataError.wrongType("dpop_bound_access_tokens_required")) {
            try ProtectedResourceMetadata(
                parsing: bytes(#"{"resource":"https://r","dpop_bound_access_tokens_required":1}"#),
                resource: "https://r")
        }
        #expect(throws: MetadataError.missingMember("resource")) {
            try ProtectedResourceMetadata(parsing: bytes("{}"), resource: "https://r")
        }
    }

    private static let resourcePlaces: [(String, String)] = [
        ("https://r.example", "https://r.example/.well-known/oauth-protected-resource"),
        ("https://r.example/", "https://r.example/.well-known/oauth-protected-resource"),
        ("https://r.example/a?b=c", "https://r.example/.well-known/oauth-protected-resource/a?b=c"),
    ]

    @Test(arguments: resourcePlaces)
    func `a resource's document has its place`(resource: String, location: String) throws {
        #expect(try ProtectedResourceMetadata.location(ofResource: resource) == location)
    }
}
