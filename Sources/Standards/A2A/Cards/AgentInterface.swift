/// Where an agent is called, and how (A2A 1.0.1 §4.4.6).
public struct AgentInterface: Sendable, Equatable, ProtoJSONMessage {
    /// How the protocol's operations go over the wire: one of three words, or the URI of a binding of somebody's own.
    public struct ProtocolBinding: RawRepresentable, Sendable, Hashable, ExpressibleByStringLiteral {
        /// The word or URI.
        public let rawValue: String

        /// JSON-RPC 2.0 over HTTP.
        public static let jsonRPC: ProtocolBinding = "JSONRPC"
        /// gRPC over HTTP/2.
        public static let grpc: ProtocolBinding = "GRPC"
        /// Paths and methods of HTTP with JSON bodies.
        public static let httpJSON: ProtocolBinding = "HTTP+JSON"

        /// A binding by its word or URI.
        public init(rawValue: String) { self.rawValue = rawValue }
        /// A binding by its word or URI.
        public init(stringLiteral value: String) { self.init(rawValue: value) }
    }

    /// The absolute URL; REQUIRED.
    public var url: String
    /// How it is called; REQUIRED.
    public var protocolBinding: ProtocolBinding
    /// An opaque routing word that clients repeat in every request.
    public var tenant: String?
    /// The version of the protocol as major and minor number, such as `1.0`; REQUIRED.
    public var protocolVersion: String

    /// An interface.
    public init(
        url: String, protocolBinding: ProtocolBinding, tenant: String? = nil, protocolVersion: String = "1.0"
    ) {
        self.url = url
        self.protocolBinding = protocolBinding
        self.tenant = tenant
        self.protocolVersion = protocolVersion
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        url = try fields.string("url")
        protocolBinding = ProtocolBinding(rawValue: try fields.string("protocolBinding"))
        tenant = try fields.text("tenant")
        protocolVersion = try fields.string("protocolVersion")
    }

    package func write(to fields: inout FieldWriter) {
        fields.write("url", url)
        fields.write("protocolBinding", protocolBinding.rawValue)
        fields.writeIfPresent("tenant", tenant)
        fields.write("protocolVersion", protocolVersion)
    }
}
