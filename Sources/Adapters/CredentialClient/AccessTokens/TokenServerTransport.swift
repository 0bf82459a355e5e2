package import OAuth
package import SPIFFE

/// A request to an authorization server.
package struct TokenServerRequest: Sendable {
    package let method: Method
    package let url: WebURL
    package let headers: [(name: String, value: String)]
    package let body: [UInt8]

    /// What is done at the server.
    package enum Method: String, Sendable {
        case get = "GET"
        case post = "POST"
    }

    package init(
        _ method: Method, _ url: WebURL, headers: [(name: String, value: String)] = [], body: [UInt8] = []
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
    }
}

/// What an authorization server answered, and to whom.
package struct TokenServerAnswer: Sendable {
    package let status: Int
    /// Longest ``maximumBody``, or the transport throws.
    package let body: [UInt8]
    /// The value of `DPoP-Nonce` (RFC 9449 §8).
    package let proofNonce: String?
    /// As whom the connection was made.
    package let holder: TokenHolder

    /// The most bytes of an answer.
    package static let maximumBody = 256 * 1024

    package init(status: Int, body: [UInt8], proofNonce: String?, holder: TokenHolder) {
        self.status = status
        self.body = body
        self.proofNonce = proofNonce
        self.holder = holder
    }
}

/// As whom, and with which certificate, a connection is made.
package struct TokenHolder: Sendable, Hashable {
    package let id: SPIFFEID
    /// SHA-256 of the leaf in DER: to it tokens are bound (RFC 8705 §3.1).
    package let certificateDigest: [UInt8]

    package init(id: SPIFFEID, certificateDigest: [UInt8]) {
        self.id = id
        self.certificateDigest = certificateDigest
    }
}

/// Asks the authorization server over mutual TLS. It must send nothing before the server has proved who it is, follow no
/// redirect, and limit time and size of the answer.
package typealias TokenServerTransport =
    @Sendable (
        TokenServerRequest
    ) async throws(TokenClientError) -> TokenServerAnswer
