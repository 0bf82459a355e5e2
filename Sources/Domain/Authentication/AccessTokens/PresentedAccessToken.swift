package import OAuth

/// A request to a protected resource, as far as it shows an access token. Nothing in it is believed yet.
package struct PresentedAccessToken: Sendable {
    package let scheme: Scheme
    package let token: SecretText
    /// The values of all header fields `DPoP`.
    package let proofs: [String]
    /// SHA-256 of the certificate that the client showed in TLS, in DER.
    package let certificateDigest: [UInt8]?
    package let method: String
    /// The URL of the request as its client knows it.
    package let url: WebURL

    /// How the token is shown.
    package enum Scheme: Sendable, Hashable {
        /// RFC 6750 §2.1
        case bearer
        /// RFC 9449 §7.1
        case dpop
    }

    /// Reads the header field `Authorization`. A token in body or query is none: it would end up in logs (RFC 9700 §4.3.2).
    ///
    /// - Parameter authorization: the values of all header fields of that name.
    package init(
        authorization: [String], proofs: [String], certificateDigest: [UInt8]?, method: String, url: WebURL
    ) throws(AccessTokenRefusal) {
        guard let value = authorization.first else { throw .noToken }
        guard authorization.count == 1 else { throw .malformed }
        let parts = value.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[1].isEmpty, !parts[1].contains(" ") else { throw .malformed }
        switch parts[0].lowercased() {
        case "bearer": scheme = .bearer
        case "dpop": scheme = .dpop
        default: throw .noToken
        }
        token = SecretText(String(parts[1]))
        self.proofs = proofs
        self.certificateDigest = certificateDigest
        self.method = method
        self.url = url
    }
}
