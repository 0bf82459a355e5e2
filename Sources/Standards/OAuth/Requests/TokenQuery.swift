import JOSE

/// A request about one token: introspection (RFC 7662 §2.1) and revocation (RFC 7009 §2.1) have the same parameters.
package struct TokenQuery: Sendable {
    package let token: SecretText
    /// What the client takes the token for; only a hint, and nil if it is none that we know.
    package let hint: Hint?
    package let client: ClientAuthentication

    /// The values of `token_type_hint` (RFC 7009 §4.1.2).
    package enum Hint: String, Sendable, CaseIterable {
        case accessToken = "access_token"
        case refreshToken = "refresh_token"
    }

    /// Reads a request whose form was read without repeatable names.
    ///
    /// - Parameter authorization: the value of the header field `Authorization`, if there is one.
    package init(form: FormParameters, authorization: String?) throws(TokenRequestError) {
        guard let token = form["token"] else { throw .missingParameter("token") }
        self.token = SecretText(token)
        hint = form["token_type_hint"].flatMap { name in
            Hint.allCases.first { $0.rawValue.hasSameBytes(as: name) }
        }
        do {
            client = try ClientAuthentication(form: form, authorization: authorization)
        } catch {
            throw .client(error)
        }
    }
}
