import JOSE

/// A request to the token endpoint, well-formed; whether it is granted is not decided here. Unknown parameters are
/// ignored (RFC 6749 §3.2) and stay readable in `form` for profiles that know them.
package struct TokenRequest: Sendable {
    package let grant: Grant
    package let client: ClientAuthentication
    /// What is asked for; nil leaves it to the server.
    package let scope: Scope?
    /// RFC 8707 §2, in their order.
    package let resources: [ResourceIndicator]
    /// RFC 9396 §6
    package let authorizationDetails: AuthorizationDetails?
    package let form: FormParameters

    /// What the client presents for a token.
    package enum Grant: Sendable {
        /// RFC 6749 §4.4
        case clientCredentials
        /// RFC 8693
        case tokenExchange(TokenExchange)
        /// RFC 7523 §2.1
        case jwtBearer(assertion: SecretText)
        /// CIBA Core 1.0 §10.1: what a person has approved.
        case backchannel(requestID: SecretText)
    }

    /// The values of `grant_type`.
    package enum GrantType: String, Sendable, CaseIterable {
        case clientCredentials = "client_credentials"
        case tokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
        case jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        case backchannel = "urn:openid:params:grant-type:ciba"
    }

    /// Longest name of an audience, in bytes.
    package static let maximumAudienceBytes = 2048

    /// Reads a request whose form was read with `FormParameters.repeatableInTokenRequests`.
    ///
    /// - Parameter authorization: the value of the header field `Authorization`, if there is one.
    package init(form: FormParameters, authorization: String?) throws(TokenRequestError) {
        guard let name = form["grant_type"] else { throw .missingParameter("grant_type") }
        guard let type = GrantType.allCases.first(where: { $0.rawValue.hasSameBytes(as: name) }) else {
            throw .unsupportedGrantType(name)
        }
        // Only token exchange may repeat it; elsewhere RFC 6749 §3.2 holds.
        guard type == .tokenExchange || form.all("audience").count <= 1 else { throw .repeatedAudience }
        let common = try Common(form: form, authorization: authorization)
        client = common.client
        scope = common.scope
        resources = common.resources
        authorizationDetails = common.authorizationDetails
        switch type {
        case .clientCredentials:
            grant = .clientCredentials
        case .tokenExchange:
            grant = .tokenExchange(try TokenExchange(form: form))
        case .jwtBearer:
            grant = .jwtBearer(assertion: try Self.token("assertion", of: form))
        case .backchannel:
            grant = .backchannel(requestID: try Self.token("auth_req_id", of: form))
        }
        self.form = form
    }

    /// What requests for tokens and for approvals have in common.
    struct Common {
        let client: ClientAuthentication
        let scope: Scope?
        let resources: [ResourceIndicator]
        let authorizationDetails: AuthorizationDetails?

        init(form: FormParameters, authorization: String?) throws(TokenRequestError) {
            do {
                client = try ClientAuthentication(form: form, authorization: authorization)
            } catch {
                throw .client(error)
            }
            scope = try TokenRequest.scope(form)
            resources = try TokenRequest.resources(form)
            authorizationDetails = try TokenRequest.details(form)
        }
    }

    /// A token that has to be there, without white space at its ends.
    fileprivate static func token(_ name: String, of form: FormParameters) throws(TokenRequestError) -> SecretText {
        guard let text = form[name]?.trimmingASCIIWhitespace, !text.isEmpty else { throw .missingParameter(name) }
        return SecretText(text)
    }

    private static func scope(_ form: FormParameters) throws(TokenRequestError) -> Scope? {
        guard let text = form["scope"] else { return nil }
        do {
            return try Scope(text)
        } catch {
            throw .scope(error)
        }
    }

    private static func resources(_ form: FormParameters) throws(TokenRequestError) -> [ResourceIndicator] {
        var resources: [ResourceIndicator] = []
        for text in form.all("resource") {
            do {
                resources.append(try ResourceIndicator(text))
            } catch {
                throw .resource(error)
            }
        }
        return resources
    }

    private static func details(_ form: FormParameters) throws(TokenRequestError) -> AuthorizationDetails? {
        guard let text = form["authorization_details"] else { return nil }
        do {
            return try AuthorizationDetails(parsing: text)
        } catch {
            throw .authorizationDetails(error)
        }
    }
}

/// The parameters of a token exchange (RFC 8693 §2.1).
package struct TokenExchange: Sendable {
    /// On whose behalf.
    package let subject: TypedToken
    /// Who acts; nil if the client itself does, or nobody says so.
    package let actor: TypedToken?
    package let requestedType: TokenType?
    /// Names of services, in their order; `resource` has the others.
    package let audiences: [String]

    /// A token and what it is said to be.
    package struct TypedToken: Sendable {
        package let token: SecretText
        package let type: TokenType
    }

    fileprivate init(form: FormParameters) throws(TokenRequestError) {
        subject = TypedToken(
            token: try TokenRequest.token("subject_token", of: form),
            type: try Self.type("subject_token_type", of: form))
        if form["actor_token"] != nil {
            actor = TypedToken(
                token: try TokenRequest.token("actor_token", of: form),
                type: try Self.type("actor_token_type", of: form))
        } else {
            // RFC 8693 §2.1: MUST NOT be included otherwise.
            guard form["actor_token_type"] == nil else { throw .actorTypeWithoutActor }
            actor = nil
        }
        requestedType =
            form["requested_token_type"] == nil ? nil : try Self.type("requested_token_type", of: form)
        audiences = form.all("audience")
        guard audiences.allSatisfy({ $0.isPrintableASCII(limit: TokenRequest.maximumAudienceBytes) }) else {
            throw .badAudience
        }
    }

    private static func type(_ name: String, of form: FormParameters) throws(TokenRequestError) -> TokenType {
        guard let text = form[name] else { throw .missingParameter(name) }
        do {
            return try TokenType(text)
        } catch {
            throw .badTokenType(name)
        }
    }
}

/// Why a token request is refused before anybody asks whether it may be granted.
package enum TokenRequestError: OAuthRefusal, Sendable, Equatable, CustomStringConvertible {
    case missingParameter(String)
    case unsupportedGrantType(String)
    case client(ClientAuthenticationError)
    case scope(Scope.ParseError)
    case resource(ResourceIndicator.ParseError)
    case authorizationDetails(AuthorizationDetailsError)
    /// More than one `audience` outside token exchange.
    case repeatedAudience
    case badAudience
    /// A parameter that names a type of token is no URI.
    case badTokenType(String)
    /// `actor_token_type` without `actor_token`.
    case actorTypeWithoutActor

    package var code: OAuthErrorCode {
        switch self {
        case .missingParameter, .repeatedAudience, .badTokenType, .actorTypeWithoutActor: .invalidRequest
        case .unsupportedGrantType: .unsupportedGrantType
        case .client(let error): error.code
        case .scope: .invalidScope
        case .resource, .badAudience: .invalidTarget
        case .authorizationDetails: .invalidAuthorizationDetails
        }
    }

    package var description: String {
        switch self {
        case .missingParameter(let name): "parameter `\(name)` is missing"
        case .unsupportedGrantType(let name): "grant type `\(name.truncatedForMessage)` is not supported"
        case .client(let error): error.description
        case .scope(let error): error.description
        case .resource(let error): error.description
        case .authorizationDetails(let error): error.description
        case .repeatedAudience: "parameter `audience` is there twice"
        case .badAudience: "an audience is not printable ascii, or too long"
        case .badTokenType(let name): "parameter `\(name)` is no uri"
        case .actorTypeWithoutActor: "`actor_token_type` needs `actor_token`"
        }
    }
}
