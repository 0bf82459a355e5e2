package import OAuth

/// A document of an issuer that is to be fetched, and the rules for it.
package struct IssuerDocumentRequest: Sendable, Equatable {
    /// The addresses that a connection may go to.
    package enum Addresses: Sendable, Equatable {
        /// Those that everybody in the internet can reach.
        case global
        /// Those of private networks and of this machine too.
        case globalOrPrivate
        /// Those of this machine alone.
        case loopback
    }

    package let url: WebURL
    package let roots: TrustedIssuer.Roots
    package let addresses: Addresses
    /// Largest document that is taken, in bytes.
    package let maximumBytes: Int

    package init(_ url: WebURL, of issuer: TrustedIssuer, maximumBytes: Int) {
        self.url = url
        roots = issuer.roots
        // Without TLS nothing but the address tells whose answer it is.
        addresses = !url.isSecure ? .loopback : issuer.allowsPrivateAddresses ? .globalOrPrivate : .global
        self.maximumBytes = maximumBytes
    }
}

/// A document as its server gave it, with status 200.
package struct IssuerDocument: Sendable, Equatable {
    package let bytes: [UInt8]
    /// The header field `Cache-Control`; several of them are joined by commas.
    package let cacheControl: String?

    package init(bytes: [UInt8], cacheControl: String? = nil) {
        self.bytes = bytes
        self.cacheControl = cacheControl
    }
}

/// Why a document was not fetched.
package enum IssuerDocumentError: Error, Sendable, Equatable, CustomStringConvertible {
    /// No connection, or one that broke.
    case unreachable(String)
    /// The server did not prove itself.
    case unverified(String)
    /// The name stands for an address that is not to be reached.
    case refusedAddress(String)
    /// An answer other than 200.
    case status(Int)
    /// An answer that names another place, with its host if it has one; it is not followed.
    case redirect(Int, host: String?)
    case tooLarge
    case timeout

    package var description: String {
        switch self {
        case .unreachable(let reason): "the server cannot be reached: \(reason)"
        case .unverified(let reason): "the server did not prove itself: \(reason)"
        case .refusedAddress(let address): "the host has the address \(address), which is not to be reached"
        case .status(let code): "the server answered \(code)"
        case .redirect(let code, let host?): "the server answered \(code) towards `\(host)`, which is not followed"
        case .redirect(let code, nil): "the server answered \(code), which is not followed"
        case .tooLarge: "the document is too large"
        case .timeout: "the server did not answer in time"
        }
    }
}
