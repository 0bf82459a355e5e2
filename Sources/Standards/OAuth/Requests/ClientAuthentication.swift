import JOSE

/// How a client says in its request who it is (RFC 6749 §2.3, RFC 7521 §4.2). Nothing is checked yet, and a certificate
/// of the connection may say more.
package struct ClientAuthentication: Sendable {
    /// The parameter `client_id`. With `Basic` it repeats the identifier there.
    package let clientID: String?
    package let credential: Credential

    /// What the client shows.
    package enum Credential: Sendable {
        /// Nothing in the request: the connection's certificate, or a grant that speaks for itself.
        case none
        /// `client_secret_basic`
        case basic(BasicCredentials)
        /// `client_secret_post`
        case post(secret: SecretText)
        /// `private_key_jwt`, a JWT-SVID or a federated assertion.
        case assertion(AssertionType, SecretText)
    }

    /// The types of assertions that are understood (RFC 7523 §2.2, draft-ietf-oauth-spiffe-client-auth).
    package enum AssertionType: String, Sendable, CaseIterable {
        case jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        case jwtSPIFFE = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
    }

    /// Longest identifier, in bytes: a SPIFFE ID or a URL has to fit.
    package static let maximumIDBytes = 2048
    /// Longest secret, in bytes.
    package static let maximumSecretBytes = 1024

    /// Reads the methods of one request, of which there may be one (RFC 6749 §2.3).
    ///
    /// - Parameter authorization: the value of the header field `Authorization`, if there is one.
    package init(form: FormParameters, authorization: String?) throws(ClientAuthenticationError) {
        let clientID = form["client_id"]
        if let clientID, !clientID.isPrintableASCII(limit: Self.maximumIDBytes) { throw .badClientID }
        let secret = form["client_secret"]
        let assertion = try Self.assertion(form)
        let methods = [authorization != nil, secret != nil, assertion != nil].filter { $0 }.count
        guard methods <= 1 else { throw .severalMethods }
        self.clientID = clientID
        if let authorization {
            credential = .basic(try BasicCredentials(authorization: authorization, clientID: clientID))
        } else if let secret {
            guard clientID != nil else { throw .missingClientID }
            guard secret.isPrintableASCII(limit: Self.maximumSecretBytes) else { throw .badSecret }
            credential = .post(secret: SecretText(secret))
        } else if let assertion {
            credential = .assertion(assertion.type, assertion.text)
        } else {
            credential = .none
        }
    }

    /// Real clients send the line feed at the end of a file along with the token.
    private static func assertion(
        _ form: FormParameters
    ) throws(ClientAuthenticationError) -> (type: AssertionType, text: SecretText)? {
        let text = form["client_assertion"]?.trimmingASCIIWhitespace ?? ""
        guard let name = form["client_assertion_type"] else {
            guard form["client_assertion"] == nil else { throw .missingAssertionType }
            return nil
        }
        guard !text.isEmpty else { throw .missingAssertion }
        guard let type = AssertionType.allCases.first(where: { $0.rawValue.hasSameBytes(as: name) }) else {
            throw .unsupportedAssertionType(name)
        }
        return (type, SecretText(text))
    }
}

/// The credentials of `Authorization: Basic` (RFC 7617), read in both ways in which clients write them.
package struct BasicCredentials: Sendable {
    /// Identifier and secret in one reading.
    package struct Candidate: Sendable {
        package let clientID: String
        package let secret: SecretText
    }

    /// One or two readings: first the standard's, identifier and secret each encoded as in forms (RFC 6749 §2.3.1), then
    /// the text as it stands, as authlib and requests-oauthlib send it. Whoever checks tries both, always.
    /// INVARIANT: not empty.
    package let candidates: [Candidate]

    private static let maximumBytes = 8192

    /// - Parameter clientID: the parameter `client_id`; a reading that contradicts it is none.
    init(authorization: String, clientID: String?) throws(ClientAuthenticationError) {
        let bytes = Array(authorization.utf8)
        guard bytes.count <= Self.maximumBytes else { throw .badBasicCredentials }
        let scheme = bytes.prefix { $0 != UInt8(ascii: " ") }
        guard ByteClass.equalsIgnoringCase(scheme, "basic") else { throw .unsupportedScheme }
        let token = bytes[scheme.endIndex...].drop { $0 == UInt8(ascii: " ") }
        guard let text = try? Base64.decode(token), String(validating: text, as: UTF8.self) != nil,
            let colon = text.firstIndex(of: UInt8(ascii: ":"))
        else { throw .badBasicCredentials }
        let (id, secret) = (text[..<colon], text[(colon + 1)...])
        var candidates: [Candidate] = []
        if let decodedID = try? FormText.decode(id), let decodedSecret = try? FormText.decode(secret) {
            candidates += Self.candidate(decodedID, decodedSecret)
        }
        if [UInt8(ascii: "%"), UInt8(ascii: "+")].contains(where: text.contains) {
            candidates += Self.candidate(String(decoding: id, as: UTF8.self), String(decoding: secret, as: UTF8.self))
        }
        guard !candidates.isEmpty else { throw .badBasicCredentials }
        if let clientID { candidates.removeAll { !$0.clientID.hasSameBytes(as: clientID) } }
        guard !candidates.isEmpty else { throw .contradictingClientID }
        self.candidates = candidates
    }

    private static func candidate(_ id: String, _ secret: String) -> [Candidate] {
        guard id.isPrintableASCII(limit: ClientAuthentication.maximumIDBytes),
            secret.isPrintableASCII(limit: ClientAuthentication.maximumSecretBytes)
        else { return [] }
        return [Candidate(clientID: id, secret: SecretText(secret))]
    }
}

/// Why it cannot be told how a client authenticates.
package enum ClientAuthenticationError: OAuthRefusal, Sendable, Equatable, CustomStringConvertible {
    case severalMethods
    case badClientID
    /// A secret without `client_id`.
    case missingClientID
    /// `client_id` is not the one of the `Basic` credentials.
    case contradictingClientID
    case badSecret
    case badBasicCredentials
    /// `Authorization` with another scheme than `Basic`.
    case unsupportedScheme
    case missingAssertion
    case missingAssertionType
    case unsupportedAssertionType(String)

    package var code: OAuthErrorCode {
        switch self {
        case .severalMethods, .badClientID, .missingClientID, .contradictingClientID, .missingAssertion,
            .missingAssertionType:
            .invalidRequest
        case .badSecret, .badBasicCredentials, .unsupportedScheme, .unsupportedAssertionType: .invalidClient
        }
    }

    package var description: String {
        switch self {
        case .severalMethods: "the client authenticates in several ways at once"
        case .badClientID: "`client_id` is not printable ascii, or too long"
        case .missingClientID: "`client_secret` needs `client_id`"
        case .contradictingClientID: "`client_id` contradicts the credentials"
        case .badSecret: "`client_secret` is not printable ascii, or too long"
        case .badBasicCredentials: "the basic credentials cannot be read"
        case .unsupportedScheme: "the scheme of `Authorization` is not supported here"
        case .missingAssertion: "`client_assertion` is missing"
        case .missingAssertionType: "`client_assertion_type` is missing"
        case .unsupportedAssertionType(let name): "assertion type `\(name.truncatedForMessage)` is not supported"
        }
    }
}
