/// The claims of a JSON Web Token (RFC 7519 §4.1), read strictly: a registered claim of the wrong type refuses all.
package struct JWTClaims: Sendable, Equatable {
    /// All claims.
    package let json: JSONObject

    /// Whom the token is about (`sub`).
    package let subject: String?

    /// Who issued it (`iss`).
    package let issuer: String?

    /// Whom it is for (`aud`); empty if the claim is missing or an empty array.
    package let audience: [String]

    /// From when on it is refused (`exp`), seconds since 1970.
    package let expiration: Int64?

    /// Until when it is refused (`nbf`), seconds since 1970.
    package let notBefore: Int64?

    /// When it was issued (`iat`), seconds since 1970.
    package let issuedAt: Int64?

    /// The token's own ID (`jti`).
    package let jwtID: String?

    /// The seconds that a NumericDate may have: from 1970 to the end of the year 9999.
    package static let allowedDates: ClosedRange<Int64> = 0...253_402_300_799

    /// Reads the payload of a token whose signature has been verified.
    package init(parsing payload: [UInt8], limits: JSONLimits = .default) throws(JWTError) {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: payload, limits: limits)
        } catch {
            throw .invalidPayload(error)
        }
        guard case .object(let object) = value else { throw .payloadIsNotAnObject }
        try self.init(json: object)
    }

    /// Reads claims from their object.
    package init(json: JSONObject) throws(JWTError) {
        self.json = json
        subject = try Self.string("sub", of: json)
        issuer = try Self.string("iss", of: json)
        jwtID = try Self.string("jti", of: json)
        audience = try Self.audience(of: json)
        expiration = try Self.date("exp", of: json)
        notBefore = try Self.date("nbf", of: json)
        issuedAt = try Self.date("iat", of: json)
    }

    private static func string(_ claim: String, of json: JSONObject) throws(JWTError) -> String? {
        guard let value = json[claim] else { return nil }
        guard case .string(let string) = value else { throw .wrongType(claim: claim) }
        return string
    }

    private static func audience(of json: JSONObject) throws(JWTError) -> [String] {
        guard let value = json["aud"] else { return [] }
        if case .string(let string) = value { return [string] }
        guard let strings = value.stringArrayValue else { throw .wrongType(claim: "aud") }
        return strings
    }

    /// A NumericDate (RFC 7519 §2) in whole seconds; fractions are cut downwards.
    private static func date(_ claim: String, of json: JSONObject) throws(JWTError) -> Int64? {
        guard let value = json[claim] else { return nil }
        guard case .number(let number) = value else { throw .wrongType(claim: claim) }
        guard let seconds = number.int64 ?? Int64(exactly: number.double.rounded(.down)),
            allowedDates.contains(seconds)
        else { throw .dateOutOfRange(claim: claim) }
        return seconds
    }
}
