/// A way to prove oneself to an agent (A2A 1.0.1 §4.5.1).
public enum SecurityScheme: Sendable, Equatable, ProtoJSONMessage {
    /// A secret in a header, a cookie or the query.
    case apiKey(APIKey)
    /// A scheme of HTTP authentication.
    case httpAuth(HTTPAuth)
    /// An access token of OAuth 2.0.
    case oauth2(OAuth2)
    /// A token of an OpenID provider.
    case openIDConnect(OpenIDConnect)
    /// A client certificate.
    case mutualTLS(MutualTLS)
    /// A kind that version 1.0 does not know.
    case unknown

    /// A secret in a header, a cookie or the query (A2A 1.0.1 §4.5.2).
    public struct APIKey: Sendable, Equatable, ProtoJSONMessage {
        /// For people.
        public var description: String?
        /// `query`, `header` or `cookie`; REQUIRED.
        public var location: String
        /// The name of the parameter, header or cookie; REQUIRED.
        public var name: String

        /// A scheme.
        public init(description: String? = nil, location: String, name: String) {
            self.description = description
            self.location = location
            self.name = name
        }

        package init(reading fields: FieldReader) throws(FieldViolation) {
            description = try fields.text("description")
            location = try fields.string("location")
            name = try fields.string("name")
        }

        package func write(to fields: inout FieldWriter) {
            fields.writeIfPresent("description", description)
            fields.write("location", location)
            fields.write("name", name)
        }
    }

    /// A scheme of HTTP authentication (A2A 1.0.1 §4.5.3).
    public struct HTTPAuth: Sendable, Equatable, ProtoJSONMessage {
        /// For people.
        public var description: String?
        /// The name of the scheme, such as `Bearer`; REQUIRED.
        public var scheme: String
        /// What a bearer token looks like, such as `JWT`.
        public var bearerFormat: String?

        /// A scheme.
        public init(description: String? = nil, scheme: String, bearerFormat: String? = nil) {
            self.description = description
            self.scheme = scheme
            self.bearerFormat = bearerFormat
        }

        package init(reading fields: FieldReader) throws(FieldViolation) {
            description = try fields.text("description")
            scheme = try fields.string("scheme")
            bearerFormat = try fields.text("bearerFormat")
        }

        package func write(to fields: inout FieldWriter) {
            fields.writeIfPresent("description", description)
            fields.write("scheme", scheme)
            fields.writeIfPresent("bearerFormat", bearerFormat)
        }
    }

    /// An access token of OAuth 2.0 (A2A 1.0.1 §4.5.4).
    public struct OAuth2: Sendable, Equatable, ProtoJSONMessage {
        /// For people.
        public var description: String?
        /// How to get a token; REQUIRED.
        public var flows: OAuthFlows
        /// The authorization server's metadata (RFC 8414).
        public var metadataURL: String?

        /// A scheme.
        public init(description: String? = nil, flows: OAuthFlows, metadataURL: String? = nil) {
            self.description = description
            self.flows = flows
            self.metadataURL = metadataURL
        }

        package init(reading fields: FieldReader) throws(FieldViolation) {
            description = try fields.text("description")
            flows = try fields.message("flows") ?? .unknown
            metadataURL = try fields.text("oauth2MetadataUrl")
        }

        package func write(to fields: inout FieldWriter) {
            fields.writeIfPresent("description", description)
            fields.write("flows", flows)
            fields.writeIfPresent("oauth2MetadataUrl", metadataURL)
        }
    }

    /// A token of an OpenID provider (A2A 1.0.1 §4.5.5).
    public struct OpenIDConnect: Sendable, Equatable, ProtoJSONMessage {
        /// For people.
        public var description: String?
        /// The provider's configuration; REQUIRED.
        public var url: String

        /// A scheme.
        public init(description: String? = nil, url: String) {
            self.description = description
            self.url = url
        }

        package init(reading fields: FieldReader) throws(FieldViolation) {
            description = try fields.text("description")
            url = try fields.string("openIdConnectUrl")
        }

        package func write(to fields: inout FieldWriter) {
            fields.writeIfPresent("description", description)
            fields.write("openIdConnectUrl", url)
        }
    }

    /// A client certificate (A2A 1.0.1 §4.5.6). Whose certificates are taken, only an extension can say.
    public struct MutualTLS: Sendable, Equatable, ProtoJSONMessage {
        /// For people.
        public var description: String?

        /// A scheme; without a description some verifiers of signatures lose it.
        public init(description: String? = nil) {
            self.description = description
        }

        package init(reading fields: FieldReader) throws(FieldViolation) {
            description = try fields.text("description")
        }

        package func write(to fields: inout FieldWriter) {
            fields.writeIfPresent("description", description)
        }
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        var schemes: [SecurityScheme] = []
        if let scheme: APIKey = try fields.message("apiKeySecurityScheme") { schemes.append(.apiKey(scheme)) }
        if let scheme: HTTPAuth = try fields.message("httpAuthSecurityScheme") { schemes.append(.httpAuth(scheme)) }
        if let scheme: OAuth2 = try fields.message("oauth2SecurityScheme") { schemes.append(.oauth2(scheme)) }
        if let scheme: OpenIDConnect = try fields.message("openIdConnectSecurityScheme") {
            schemes.append(.openIDConnect(scheme))
        }
        if let scheme: MutualTLS = try fields.message("mtlsSecurityScheme") { schemes.append(.mutualTLS(scheme)) }
        guard schemes.count <= 1 else { throw FieldViolation(fields.path, "must have one kind of scheme") }
        self = schemes.first ?? .unknown
    }

    package func write(to fields: inout FieldWriter) {
        switch self {
        case .apiKey(let scheme): fields.write("apiKeySecurityScheme", scheme)
        case .httpAuth(let scheme): fields.write("httpAuthSecurityScheme", scheme)
        case .oauth2(let scheme): fields.write("oauth2SecurityScheme", scheme)
        case .openIDConnect(let scheme): fields.write("openIdConnectSecurityScheme", scheme)
        case .mutualTLS(let scheme): fields.write("mtlsSecurityScheme", scheme)
        case .unknown: break
        }
    }
}
