import Hummingbird
import Issuance
import JOSE
import NIOCore
import OAuth
import SPIFFE
import TokenService

/// What the token service says about itself: metadata (RFC 8414, OpenID Connect Discovery 1.0) and keys of each profile.
struct TokenMetadata: Sendable {
    /// The tenant of the Entra profile.
    let tenant: String
    private let names: @Sendable () -> TokenServiceNames?
    private let hosts: Set<String>
    private let authorities: Authorities
    private let authenticationMethods: [String]
    private let takesForeignGrants: Bool

    /// Longest time that a document may be kept, in seconds.
    private static let longestAge: Int64 = 300

    init(
        _ configuration: ControlPlaneConfiguration, authorities: Authorities,
        names: @escaping @Sendable () -> TokenServiceNames?
    ) {
        tenant = configuration.trustDomain.name
        self.names = names
        self.authorities = authorities
        takesForeignGrants = !configuration.grantIssuers.isEmpty
        hosts = Set(configuration.certificateNames.map { $0.lowercased() })
        authenticationMethods =
            configuration.clientAuthorities == nil
            ? Self.authenticationMethods.filter { $0 != "tls_client_auth" } : Self.authenticationMethods
    }

    func register(on router: Router<HTTPContext>) {
        for path in [
            // RFC 8414 §3: between host and path of the issuer. The second is where some clients look.
            ".well-known/oauth-authorization-server/oauth2", "oauth2/.well-known/oauth-authorization-server",
            "oauth2/.well-known/openid-configuration",
        ] {
            router.get("\(path)") { _, _ in try document(.standard) }
        }
        router.get("\(tenant)/v2.0/.well-known/openid-configuration") { _, _ in try document(.entra) }
        router.get("oauth2/jwks") { _, _ in try keys(.standard) }
        router.get("\(tenant)/discovery/v2.0/keys") { _, _ in try keys(.entra) }
    }

    /// The URL of a request as its client knows it: under a name of ours, or under the service's own where the request says
    /// another. A DPoP proof made for somebody else's host does not become good here by a `Host` field.
    func url(of request: Request) -> WebURL? {
        guard let base = names()?.base else { return nil }
        let path = request.uri.path
        if let authority = request.head.authority, hosts.contains(HTTPSURL.host(ofAuthority: authority)),
            let url = try? WebURL("https://\(authority)\(path)")
        {
            return url
        }
        return try? WebURL(base + path)
    }

    private func document(_ profile: TokenProfile) throws -> Response {
        guard let names = names() else { throw HTTPError(.serviceUnavailable) }
        var metadata = try AuthorizationServerMetadata(
            issuer: names.issuer(profile), tokenEndpoint: names.tokenEndpoint(profile))
        metadata.jwksURI = names.keys(profile)
        metadata.grantTypesSupported = TokenRequest.GrantType.allCases.map(\.rawValue)
        metadata.tokenEndpointAuthMethods = authenticationMethods
        metadata.tokenEndpointAuthAlgorithms = Self.algorithms
        metadata.introspectionEndpoint = names.introspectionEndpoint
        metadata.introspectionEndpointAuthMethods = authenticationMethods
        metadata.introspectionEndpointAuthAlgorithms = Self.algorithms
        metadata.revocationEndpoint = names.revocationEndpoint
        metadata.revocationEndpointAuthMethods = authenticationMethods
        metadata.revocationEndpointAuthAlgorithms = Self.algorithms
        metadata.backchannelAuthenticationEndpoint = names.backchannelEndpoint
        metadata.backchannelTokenDeliveryModes = ["poll"]
        // Not registered yet: the first is the draft's, the second our own.
        metadata.otherMembers["transaction_authorization_endpoint"] = .string(names.transactionEndpoint)
        metadata.otherMembers["token_consumption_endpoint"] = .string(names.consumptionEndpoint)
        metadata.otherMembers["global_token_revocation_endpoint"] = .string(names.globalRevocationEndpoint)
        metadata.dpopAlgorithms = DPoPProof.algorithms.map(\.rawValue)
        metadata.issuesCertificateBoundTokens = true
        if profile == .standard {
            metadata.chainingTokenTypes = [TokenType.jwt.uri, TokenType.identityAssertionGrant.uri]
            if takesForeignGrants {
                metadata.authorizationGrantProfiles = [AuthorizationGrant.identityAssertionProfile]
            }
        }
        metadata.subjectTypesSupported = ["public"]
        metadata.idTokenAlgorithms = [profile == .entra ? "RS256" : "ES256"]
        // OpenID Connect Discovery and MSAL want the member. Nobody signs in here: the path answers 404.
        metadata.authorizationEndpoint =
            profile == .entra ? "\(names.base)/\(tenant)/oauth2/v2.0/authorize" : names.base + "/oauth2/authorize"
        return Self.answer(metadata.serializedBytes, maximumAge: maximumAge)
    }

    private func keys(_ profile: TokenProfile) throws -> Response {
        let keys = profile == .entra ? authorities.entraKeys : authorities.oauthKeys
        // RSA keys take long to make. Nobody should keep for minutes that there is none.
        guard !keys.isEmpty else { throw HTTPError(.serviceUnavailable, headers: [.retryAfter: "1"]) }
        let document: JSONValue = ["keys": .array(keys.map { .object($0.json()) })]
        return Self.answer(document.serializedBytes, maximumAge: maximumAge)
    }

    /// Strongest first.
    private static let authenticationMethods = [
        "spiffe_x509", "spiffe_jwt", "tls_client_auth", "self_signed_tls_client_auth", "private_key_jwt",
        "client_secret_basic", "client_secret_post",
    ]
    private static let algorithms = JWSAlgorithm.allCases.map(\.rawValue)

    /// A key is published for many refresh hints before it signs, so nobody who keeps the keys for one misses it.
    private var maximumAge: Int64 { min(Self.longestAge, authorities.bundle.refreshHint ?? 0) }

    private static func answer(_ bytes: [UInt8], maximumAge: Int64) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "application/json", .cacheControl: "public, max-age=\(maximumAge)"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
