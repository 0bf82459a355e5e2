public import A2A
package import PeerRPC

/// How a client reaches agents, by binding.
public struct A2AConnections: Sendable {
    /// What protects a connection for gRPC, by the server's host.
    package typealias GRPCSecurity = @Sendable (GRPCTarget) throws -> PeerClientSettings.Security

    private let http: any A2AHTTPTransport
    private let grpc: GRPCSecurity?
    private let grpcMetadata: @Sendable () async throws -> [(name: String, value: String)]

    /// Connections for JSON-RPC and HTTP+JSON.
    public init(http: any A2AHTTPTransport) {
        self.init(http: http, grpc: nil)
    }

    /// Connections for all bindings.
    /// - Parameter metadata: what goes with every call over gRPC, such as `authorization`.
    package init(
        http: any A2AHTTPTransport, grpc: GRPCSecurity?,
        metadata: @escaping @Sendable () async throws -> [(name: String, value: String)] = { [] }
    ) {
        self.http = http
        self.grpc = grpc
        grpcMetadata = metadata
    }

    /// A client of an agent over the interface of its card that suits both: the first that there are connections for, or the
    /// first of the bindings that are preferred.
    public func client(
        of card: AgentCard, preferring preference: [AgentInterface.ProtocolBinding]? = nil,
        settings: A2AClient.Settings = A2AClient.Settings()
    ) throws(A2AClientError) -> A2AClient {
        let spoken = AgentCard.spokenBindings.filter { $0 != .grpc || grpc != nil }
        return try client(of: card.interface(preferring: preference, of: spoken), settings: settings)
    }

    /// A client of an agent over one of its interfaces.
    public func client(
        of interface: AgentInterface, settings: A2AClient.Settings = A2AClient.Settings()
    ) throws(A2AClientError) -> A2AClient {
        let wire = BindingSettings(extensions: settings.extensions, maximumAnswerBytes: settings.maximumAnswerBytes)
        let binding: any ClientBinding
        switch interface.protocolBinding {
        case .jsonRPC: binding = JSONRPCBinding(url: interface.url, transport: http, settings: wire)
        case .httpJSON: binding = HTTPJSONBinding(url: interface.url, transport: http, settings: wire)
        case .grpc:
            guard let grpc else { throw .noInterface(versions: []) }
            let target = try GRPCTarget(interface.url)
            do {
                binding = GRPCBinding(
                    target.peerTarget, security: try grpc(target), settings: wire, metadata: grpcMetadata)
            } catch let error as A2AClientError {
                throw error
            } catch {
                throw .unusableAddress(interface.url.shown(upTo: 256))
            }
        default: throw .noInterface(versions: [])
        }
        return A2AClient(interface: interface, binding: binding, settings: settings)
    }
}
