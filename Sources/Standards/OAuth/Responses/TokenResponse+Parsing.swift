package import JOSE

extension TokenResponse {
    /// Longest answer that is read, in bytes.
    package static let maximumBytes = 64 * 1024

    /// Reads the body of a successful answer (RFC 6749 §5.1). A kind of use that is not known here refuses it
    /// (RFC 6749 §7.1); that the use is the one that was asked for is the caller's check.
    package init(parsing body: some Collection<UInt8>) throws(TokenResponseError) {
        let json = try Self.object(body)
        guard let token = json["access_token"]?.stringValue, token.isPrintableASCII(limit: Self.maximumBytes) else {
            throw .badMember("access_token")
        }
        guard let name = json["token_type"]?.stringValue else { throw .badMember("token_type") }
        guard let use = Use.allCases.first(where: { ByteClass.equalsIgnoringCase(name.utf8, $0.rawValue) }) else {
            throw .unknownUse(name)
        }
        self.init(
            token: SecretText(token), use: use, expiresIn: try Self.lifetime(json), scope: try Self.scope(json),
            issuedTokenType: try Self.issuedTokenType(json),
            authorizationDetails: try Self.details(json),
            otherMembers: JSONObject(
                json.members
                    .filter { member in !Self.knownMembers.contains { $0.hasSameBytes(as: member.name) } }
                    .map { ($0.name, $0.value) }))
    }

    private static let knownMembers = [
        "access_token", "token_type", "expires_in", "scope", "issued_token_type", "authorization_details",
    ]

    fileprivate static func object(_ body: some Collection<UInt8>) throws(TokenResponseError) -> JSONObject {
        do {
            return try JSONObject(parsing: body, limits: JSONLimits(maximumBytes: maximumBytes, maximumDepth: 16))
        } catch {
            throw .json(error)
        }
    }

    /// A number, or its digits as text, as some servers write it.
    private static func lifetime(_ json: JSONObject) throws(TokenResponseError) -> Int64? {
        guard let value = json["expires_in"] else { return nil }
        let text = value.stringValue
        if let text, text.isEmpty || !text.utf8.allSatisfy(ByteClass.isDigit) { throw .badMember("expires_in") }
        guard let seconds = value.int64Value ?? text.flatMap({ Int64($0) }), JWTClaims.allowedDates.contains(seconds)
        else { throw .badMember("expires_in") }
        return seconds
    }

    private static func scope(_ json: JSONObject) throws(TokenResponseError) -> Scope? {
        guard let value = json["scope"] else { return nil }
        guard let text = value.stringValue else { throw .badMember("scope") }
        if text.isEmpty { return .empty }
        do {
            return try Scope(text)
        } catch {
            throw .badMember("scope")
        }
    }

    private static func issuedTokenType(_ json: JSONObject) throws(TokenResponseError) -> TokenType? {
        guard let value = json["issued_token_type"] else { return nil }
        guard let text = value.stringValue else { throw .badMember("issued_token_type") }
        do {
            return try TokenType(text)
        } catch {
            throw .badMember("issued_token_type")
        }
    }

    private static func details(_ json: JSONObject) throws(TokenResponseError) -> AuthorizationDetails? {
        guard let value = json["authorization_details"] else { return nil }
        do {
            return try AuthorizationDetails(json: value)
        } catch {
            throw .badMember("authorization_details")
        }
    }
}

/// An error that another server answered (RFC 6749 §5.2). Its texts are that server's, and are cut for logs.
package struct ReceivedError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The code as it came.
    package let name: String
    /// The code, if it is one of the standards'.
    package var code: OAuthErrorCode? {
        OAuthErrorCode.allCases.first { $0.rawValue.hasSameBytes(as: name) }
    }
    /// How long to wait between two questions, in seconds (RFC 8628 §3.2), if the answer says so.
    package let interval: Int64?

    /// Reads the body of an answer that is no success.
    package init(parsing body: some Collection<UInt8>) throws(TokenResponseError) {
        let json = try TokenResponse.object(body)
        guard let name = json["error"]?.stringValue, name.isPrintableASCII(limit: 256) else {
            throw .badMember("error")
        }
        self.name = name
        interval = json["interval"]?.int64Value.flatMap { JWTClaims.allowedDates.contains($0) ? $0 : nil }
    }

    package var description: String { "the server answered `\(name.truncatedForMessage)`" }
}

/// Why an answer of a token endpoint cannot be used.
package enum TokenResponseError: Error, Sendable, Equatable, CustomStringConvertible {
    case json(JSONParseError)
    /// A member is missing, of another type, or of a value that it cannot have.
    case badMember(String)
    /// `token_type` is not known here.
    case unknownUse(String)

    package var description: String {
        switch self {
        case .json(let error): error.description
        case .badMember(let name): "member `\(name)` of the answer is missing or malformed"
        case .unknownUse(let name): "token type `\(name.truncatedForMessage)` is not known"
        }
    }
}
