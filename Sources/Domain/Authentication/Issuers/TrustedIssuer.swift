package import JOSE
package import OAuth

/// An issuer outside that the operator trusts to say who a client is. Only such issuers are ever asked for keys.
package struct TrustedIssuer: Sendable, Equatable {
    /// Where the issuer's keys come from.
    package enum KeySource: Sendable, Equatable {
        /// From the `jwks_uri` of the issuer's own metadata.
        case discovery
        /// From a URL that the operator names; the metadata are not asked.
        case url(WebURL)
        /// From the operator, for good; nobody is asked.
        case fixed(IssuerKeys)
    }

    /// The authorities that the issuer's servers are verified with.
    package enum Roots: Sendable, Hashable {
        /// What the operating system trusts.
        case system
        /// Certificates in PEM.
        case pem([UInt8])
    }

    /// Longest name of an issuer, in bytes.
    package static let maximumIssuerBytes = 1024

    /// The issuer's name as it stands in its assertions, compared byte by byte.
    package let issuer: String
    package let url: WebURL
    package let keySource: KeySource
    package let roots: Roots
    /// Whether the issuer's servers may have addresses of private networks and of this machine.
    package let allowsPrivateAddresses: Bool
    /// Whether URLs of this machine may be `http`.
    package let allowsLoopbackHTTP: Bool
    /// What the issuer may sign with.
    package let algorithms: [JWSAlgorithm]
    /// How long from now its assertions may last at most, in seconds; nil leaves it to the server.
    package let maximumAssertionLifetime: Int64?
    /// Whether it transmits signals: the metadata of transmitters are asked first then.
    package let transmitsSignals: Bool

    /// - Parameters:
    ///   - issuer: an `https` URL without query and fragment, exactly as it stands in assertions.
    ///   - jwksURI: where the keys are, if the issuer's metadata shall not be asked.
    ///   - jwks: a key set, if nobody shall be asked. It and `jwksURI` exclude each other.
    package init(
        issuer: String, jwksURI: String? = nil, jwks: [UInt8]? = nil, roots: Roots = .system,
        allowsPrivateAddresses: Bool = false, allowsLoopbackHTTP: Bool = false,
        algorithms: [JWSAlgorithm] = JWSAlgorithm.allCases, maximumAssertionLifetime: Int64? = nil,
        transmitsSignals: Bool = false
    ) throws(TrustedIssuerError) {
        guard issuer.utf8.count <= Self.maximumIssuerBytes, let url = try? WebURL(issuer), !url.hasFragment,
            url.query == nil,
            url.isSecure || (allowsLoopbackHTTP && url.isOfThisMachine)
        else { throw .badIssuer }
        guard !algorithms.isEmpty else { throw .noAlgorithm }
        guard maximumAssertionLifetime.map({ $0 > 0 }) ?? true else { throw .badLifetime }
        self.issuer = issuer
        self.url = url
        self.roots = roots
        self.allowsPrivateAddresses = allowsPrivateAddresses
        self.allowsLoopbackHTTP = allowsLoopbackHTTP
        self.algorithms = algorithms
        self.maximumAssertionLifetime = maximumAssertionLifetime
        self.transmitsSignals = transmitsSignals
        switch (jwksURI, jwks) {
        case (nil, nil): keySource = .discovery
        case (let text?, nil):
            guard let keysURL = try? WebURL(text), !keysURL.hasFragment,
                keysURL.isSecure || (allowsLoopbackHTTP && keysURL.isOfThisMachine)
            else { throw .badKeysURL }
            keySource = .url(keysURL)
        case (nil, let document?): keySource = .fixed(try Self.fixedKeys(document, algorithms))
        case (_?, _?): throw .twoKeySources
        }
    }

    /// Whether a URL that the issuer's own metadata name may be asked: `http` only where the issuer itself is `http`.
    package func permits(_ discovered: WebURL) -> Bool {
        !discovered.hasFragment && (discovered.isSecure || (!url.isSecure && discovered.isOfThisMachine))
    }

    /// What assertions of this issuer have to be like.
    ///
    /// - Parameter maximumLifetime: what holds where the issuer has no limit of its own.
    package func assertionPolicy(audiences: [String], maximumLifetime: Int64? = 3600) -> ClientAssertionPolicy {
        ClientAssertionPolicy(
            kind: .federated, audiences: audiences,
            maximumLifetime: maximumAssertionLifetime ?? maximumLifetime, algorithms: algorithms)
    }

    /// What an operator wrote is refused where what a peer sends would be passed over.
    private static func fixedKeys(
        _ document: [UInt8], _ algorithms: [JWSAlgorithm]
    ) throws(TrustedIssuerError) -> IssuerKeys {
        let keys: IssuerKeys
        do {
            keys = try IssuerKeys(parsing: document, algorithms: algorithms)
        } catch {
            throw .badKeys(error)
        }
        guard keys.passedOver.secret == 0 else { throw .secretKeys }
        guard !keys.isEmpty else { throw .noKeys }
        return keys
    }
}

extension WebURL {
    /// Whether the host is a name or an address of this machine, as one writes it.
    var isOfThisMachine: Bool { ["127.0.0.1", "[::1]", "localhost"].contains(host) }
}

/// Why the configuration of an issuer is refused.
package enum TrustedIssuerError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Not an `https` URL without query and fragment; `http` is for this machine, and only when it is allowed.
    case badIssuer
    case badKeysURL
    case noAlgorithm
    case badLifetime
    case twoKeySources
    case badKeys(IssuerKeysError)
    /// The key set has private or symmetric keys.
    case secretKeys
    case noKeys

    package var description: String {
        switch self {
        case .badIssuer: "the issuer is not an `https` url without query and fragment"
        case .badKeysURL: "the url of the keys is not an `https` url without fragment"
        case .noAlgorithm: "the issuer has no algorithm"
        case .badLifetime: "the longest life of an assertion is not a positive number of seconds"
        case .twoKeySources: "the issuer has both a url of its keys and keys"
        case .badKeys(let error): error.description
        case .secretKeys: "the key set has private or symmetric keys"
        case .noKeys: "the key set has no key that the issuer's algorithms can use"
        }
    }
}
