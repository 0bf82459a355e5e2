import JOSE
import OAuth

/// Where an issuer says where its keys are (OpenID Connect Discovery 1.0 §4, RFC 8414 §3).
///
/// Not `AuthorizationServerMetadata`: GitHub and Kubernetes issue tokens without being authorization servers, and
/// their documents have no token endpoint.
enum IssuerDiscovery {
    /// Largest document that is read, in bytes.
    static let maximumBytes = 64 << 10

    /// Where to ask, in this order, each where there is nothing at the one before.
    static func locations(of issuer: TrustedIssuer) throws(IssuerKeyError) -> [WebURL] {
        let usual = [try openIDLocation(of: issuer), try authorizationServerLocation(of: issuer)]
        return issuer.transmitsSignals ? [try transmitterLocation(of: issuer)] + usual : usual
    }

    /// Before the issuer's path (Shared Signals Framework 1.0 §7.2).
    private static func transmitterLocation(of issuer: TrustedIssuer) throws(IssuerKeyError) -> WebURL {
        try url(issuer.url.origin + "/.well-known/ssf-configuration" + path(of: issuer))
    }

    /// Behind the issuer's path.
    private static func openIDLocation(of issuer: TrustedIssuer) throws(IssuerKeyError) -> WebURL {
        try url(issuer.url.origin + path(of: issuer) + "/.well-known/openid-configuration")
    }

    /// Before the issuer's path.
    private static func authorizationServerLocation(of issuer: TrustedIssuer) throws(IssuerKeyError) -> WebURL {
        try url(issuer.url.origin + "/.well-known/oauth-authorization-server" + path(of: issuer))
    }

    /// The `jwks_uri` of a document that names exactly this issuer.
    static func keysURL(in document: [UInt8], of issuer: TrustedIssuer) throws(IssuerKeyError) -> WebURL {
        let json: JSONObject
        do {
            json = try JSONObject(
                parsing: document, limits: JSONLimits(maximumBytes: maximumBytes, maximumDepth: 12))
        } catch {
            throw .malformedMetadata(error)
        }
        guard json["issuer"]?.stringValue?.hasSameBytes(as: issuer.issuer) ?? false else { throw .wrongIssuer }
        guard let text = json["jwks_uri"]?.stringValue, let url = try? WebURL(text), issuer.permits(url) else {
            throw .badKeysURL
        }
        return url
    }

    private static func url(_ text: String) throws(IssuerKeyError) -> WebURL {
        do {
            return try WebURL(text)
        } catch {
            throw .badLocation
        }
    }

    /// The path without the slash at its end.
    private static func path(of issuer: TrustedIssuer) -> String {
        let path = issuer.url.path
        return path.hasSuffix("/") ? String(path.dropLast()) : path
    }
}
