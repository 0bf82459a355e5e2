import Hummingbird
import Issuance
import JOSE
import NIOCore
import SPIFFE

/// OpenID Connect Discovery 1.0 for JWT-SVIDs: how relying parties that know OIDC, and not SPIFFE, find our keys.
///
/// Only for an issuer that is an `https` URL, and only under its host name and those on the list: a document that names
/// whatever host was asked for would vouch for names that are not ours.
struct OIDCDiscovery: Sendable {
    private let issuer: HTTPSURL
    private let hosts: Set<String>
    private let setsKeyUse: Bool
    private let authorities: Authorities

    /// Nothing without an issuer that can be discovered.
    init?(_ configuration: ControlPlaneConfiguration, authorities: Authorities) throws {
        guard let text = configuration.jwtIssuer, let issuer = try? HTTPSURL(text) else {
            guard configuration.oidcDomains.isEmpty, !configuration.oidcSetKeyUse else {
                throw OIDCIssuerMissing()
            }
            return nil
        }
        guard !issuer.target.utf8.contains(UInt8(ascii: "?")) else { throw OIDCIssuerMissing() }
        self.issuer = issuer
        self.authorities = authorities
        hosts = Set([issuer.host] + configuration.oidcDomains.map { $0.lowercased() })
        setsKeyUse = configuration.oidcSetKeyUse
    }

    func register(on router: Router<HTTPContext>) {
        router.get(".well-known/openid-configuration") { request, _ in try answer(request, document) }
        router.get("keys") { request, _ in try answer(request, keys) }
    }

    /// Discovery §3. There is no authorization endpoint: the workload gets its token from the Workload API. Some relying
    /// parties insist on the member, so it is there and empty, as in SPIRE.
    private var document: JSONValue {
        let base = issuer.string.hasSuffix("/") ? String(issuer.string.dropLast()) : issuer.string
        return [
            "issuer": .string(issuer.string),
            "jwks_uri": .string(base + "/keys"),
            "authorization_endpoint": "",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": .array(
                Set(authorities.bundle.jwtAuthorities.map(\.publicKey.algorithm.rawValue)).sorted().map { .string($0) }),
        ]
    }

    /// The JWT keys of the bundle; never those for certificates.
    var keys: JSONValue {
        let keys = authorities.bundle.jwtAuthorities.compactMap { authority in
            try? JWK(
                key: authority.publicKey.jwk.key, kid: authority.keyID, algorithm: authority.publicKey.algorithm,
                use: setsKeyUse ? "sig" : nil)
        }
        return ["keys": .array(keys.map { .object($0.json()) })]
    }

    private func answer(_ request: Request, _ value: JSONValue) throws -> Response {
        let host = HTTPSURL.host(ofAuthority: request.head.authority ?? "")
        guard hosts.contains(host) else {
            // RFC 9110 §15.5.20: nobody here answers for that name.
            throw HTTPError(.misdirectedRequest, message: "this host is not the issuer")
        }
        // A key is published for many refresh hints before it signs, so nobody who keeps the keys for one misses it.
        let seconds = authorities.bundle.refreshHint ?? 0
        return Response(
            status: .ok,
            headers: [.contentType: "application/json", .cacheControl: "public, max-age=\(seconds)"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: value.serializedBytes)))
    }
}

/// Discovery is configured and cannot work.
struct OIDCIssuerMissing: Error, CustomStringConvertible {
    var description: String { "oidc discovery needs a jwt issuer that is an https url without query" }
}
