/// How to get an access token; a scheme has one flow (A2A 1.0.1 §4.5.7).
///
/// Token exchange, JWT bearer grants and DPoP have no flow here: what an agent takes of them, only an extension can say.
public enum OAuthFlows: Sendable, Equatable, ProtoJSONMessage {
    /// With a person at a browser.
    case authorizationCode(AuthorizationCode)
    /// With the client's own credentials.
    case clientCredentials(ClientCredentials)
    /// Deprecated: tokens come by way of the browser.
    case implicit(Implicit)
    /// Deprecated: the client learns the person's password.
    case password(Password)
    /// With a person at another device.
    case deviceCode(DeviceCode)
    /// A flow that version 1.0 does not know, or none.
    case unknown

    /// With a person at a browser (A2A 1.0.1 §4.5.8).
    public struct AuthorizationCode: Sendable, Equatable, ProtoJSONMessage {
        /// Where the person goes; REQUIRED.
        public var authorizationURL: String
        /// Where the client redeems the code; REQUIRED.
        public var tokenURL: String
        /// Where the client renews tokens.
        public var refreshURL: String?
        /// What each scope is for; REQUIRED.
        public var scopes: ProtoMap<String>
        /// Whether the client must use PKCE (RFC 7636).
        public var isPKCERequired: Bool

        /// A flow.
        public init(
            authorizationURL: String, tokenURL: String, refreshURL: String? = nil, scopes: ProtoMap<String>,
            isPKCERequired: Bool = false
        ) {
            self.authorizationURL = authorizationURL
            self.tokenURL = tokenURL
            self.refreshURL = refreshURL
            self.scopes = scopes
            self.isPKCERequired = isPKCERequired
        }

        package init(reading fields: FieldReader) throws(FieldViolation) {
            authorizationURL = try fields.string("authorizationUrl")
            tokenURL = try fields.string("tokenUrl")
            refreshURL = try fields.text("refreshUrl")
            scopes = try ProtoMap(reading: "scopes", of: fields)
            isPKCERequired = try fields.bool("pkceRequired")
        }

        package func write(to fields: inout FieldWriter) {
            fields.write("authorizationUrl", authorizationURL)
            fields.write("tokenUrl", tokenURL)
            fields.writeIfPresent("refreshUrl", refreshURL)
            fields.write("scopes", scopes)
            fields.writeIfTrue("pkceRequired", isPKCERequired)
        }
    }

    /// With the client's own credentials (A2A 1.0.1 §4.5.9).
    public struct ClientCredentials: Sendable, Equatable, ProtoJSONMessage {
        /// Where the client gets a token; REQUIRED.
        public var tokenURL: String
        /// Where the client renews tokens.
        public var refreshURL: String?
        /// What each scope is for; REQUIRED.
        public var scopes: ProtoMap<String>

        /// A flow.
        public init(tokenURL: String, refreshURL: String? = nil, scopes: ProtoMap<String>) {
            self.tokenURL = tokenURL
            self.refreshURL = refreshURL
            self.scopes = scopes
        }

        package init(reading fields: FieldReader) throws(FieldViolation) {
            tokenURL = try fields.string("tokenUrl")
            refreshURL = try fields.text("refreshUrl")
            scopes = try ProtoMap(reading: "scopes", of: fields)
        }

        package func write(to fields: inout FieldWriter) {
            fields.write("tokenUrl", tokenURL)
            fields.writeIfPresent("refreshUrl", refreshURL)
            fields.write("scopes", scopes)
        }
    }

    /// Deprecated: tokens come by way of the browser.
    public struct Implicit: Sendable, Equatable, ProtoJSONMessage {
        /// Where the person goes.
        public var authorizationURL: String?
        /// Where the client renews tokens.
        public var refreshURL: String?
        /// What each scope is for.
        public var scopes: ProtoMap<String>

        /// A flow.
        public init(authorizationURL: String? = nil, refreshURL: String? = nil, scopes: ProtoMap<String> = [:]) {
            self.authorizationURL = authorizationURL
            self.refreshURL = refreshURL
            self.scopes = scopes
        }

        package init(reading fields: FieldReader) throws(FieldViolation) {
            authorizationURL = try fields.text("authorizationUrl")
            refreshURL = try fields.text("refreshUrl")
            scopes = try ProtoMap(reading: "scopes", of: fields)
        }

        package func write(to fields: inout FieldWriter) {
            fields.writeIfPresent("authorizationUrl", authorizationURL)
            fields.writeIfPresent("refreshUrl", refreshURL)
            fields.writeUnlessEmpty("scopes", scopes)
        }
    }

    /// Deprecated: the client learns the person's password.
    public struct Password: Sendable, Equatable, ProtoJSONMessage {
        /// Where the client gets a token.
        public var tokenURL: String?
        /// Where the client renews tokens.
        public var refreshURL: String?
        /// What each scope is for.
        public var scopes: ProtoMap<String>

        /// A flow.
        public init(tokenURL: String? = nil, refreshURL: String? = nil, scopes: ProtoMap<String> = [:]) {
            self.tokenURL = tokenURL
            self.refreshURL = refreshURL
            self.scopes = scopes
        }

        package init(reading fields: FieldReader) throws(FieldViolation) {
            tokenURL = try fields.text("tokenUrl")
            refreshURL = try fields.text("refreshUrl")
            scopes = try ProtoMap(reading: "scopes", of: fields)
        }

        package func write(to fields: inout FieldWriter) {
            fields.writeIfPresent("tokenUrl", tokenURL)
            fields.writeIfPresent("refreshUrl", refreshURL)
            fields.writeUnlessEmpty("scopes", scopes)
        }
    }

    /// With a person at another device (A2A 1.0.1 §4.5.10).
    public struct DeviceCode: Sendable, Equatable, ProtoJSONMessage {
        /// Where the client gets the code that the person enters; REQUIRED.
        public var deviceAuthorizationURL: String
        /// Where the client gets a token; REQUIRED.
        public var tokenURL: String
        /// Where the client renews tokens.
        public var refreshURL: String?
        /// What each scope is for; REQUIRED.
        public var scopes: ProtoMap<String>

        /// A flow.
        public init(
            deviceAuthorizationURL: String, tokenURL: String, refreshURL: String? = nil, scopes: ProtoMap<String>
        ) {
            self.deviceAuthorizationURL = deviceAuthorizationURL
            self.tokenURL = tokenURL
            self.refreshURL = refreshURL
            self.scopes = scopes
        }

        package init(reading fields: FieldReader) throws(FieldViolation) {
            deviceAuthorizationURL = try fields.string("deviceAuthorizationUrl")
            tokenURL = try fields.string("tokenUrl")
            refreshURL = try fields.text("refreshUrl")
            scopes = try ProtoMap(reading: "scopes", of: fields)
        }

        package func write(to fields: inout FieldWriter) {
            fields.write("deviceAuthorizationUrl", deviceAuthorizationURL)
            fields.write("tokenUrl", tokenURL)
            fields.writeIfPresent("refreshUrl", refreshURL)
            fields.write("scopes", scopes)
        }
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        var flows: [OAuthFlows] = []
        if let flow: AuthorizationCode = try fields.message("authorizationCode") {
            flows.append(.authorizationCode(flow))
        }
        if let flow: ClientCredentials = try fields.message("clientCredentials") {
            flows.append(.clientCredentials(flow))
        }
        if let flow: Implicit = try fields.message("implicit") { flows.append(.implicit(flow)) }
        if let flow: Password = try fields.message("password") { flows.append(.password(flow)) }
        if let flow: DeviceCode = try fields.message("deviceCode") { flows.append(.deviceCode(flow)) }
        guard flows.count <= 1 else { throw FieldViolation(fields.path, "must have one flow") }
        self = flows.first ?? .unknown
    }

    package func write(to fields: inout FieldWriter) {
        switch self {
        case .authorizationCode(let flow): fields.write("authorizationCode", flow)
        case .clientCredentials(let flow): fields.write("clientCredentials", flow)
        case .implicit(let flow): fields.write("implicit", flow)
        case .password(let flow): fields.write("password", flow)
        case .deviceCode(let flow): fields.write("deviceCode", flow)
        case .unknown: break
        }
    }
}
