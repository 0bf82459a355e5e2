package import GRPCCore
package import Logging
import PeerRPC
import WorkloadAPI

/// Envoy's secret discovery service in front of a ``SecretDiscoveryHandler``. It needs no security header:
/// no Envoy sends one unless told to, and SPIRE asks for none.
package struct SecretDiscoveryService: Envoy_Service_Secret_V3_SecretDiscoveryService.SimpleServiceProtocol {
    private let handler: any SecretDiscoveryHandler
    private let assembly: SecretAssembly
    private let logger: Logger
    private let randomBytes: @Sendable (Int) -> [UInt8]

    /// The full name, as health and reflection tell it.
    package static let name = "envoy.service.secret.v3.SecretDiscoveryService"

    package init(
        _ handler: any SecretDiscoveryHandler, names: SecretNames, logger: Logger,
        randomBytes: @escaping @Sendable (Int) -> [UInt8]
    ) {
        self.handler = handler
        assembly = SecretAssembly(names: names)
        self.logger = logger
        self.randomBytes = randomBytes
    }

    package func streamSecrets(
        request: RPCAsyncSequence<Envoy_Service_Discovery_V3_DiscoveryRequest, any Error>,
        response: RPCWriter<Envoy_Service_Discovery_V3_DiscoveryResponse>, context: ServerContext
    ) async throws {
        let views = try await handler.secrets(for: peer(context))
        let stream = SecretStream(assembly: assembly, logger: logger, randomBytes: randomBytes)
        try await context.untilCancelled { try await stream.run(request, views, response) }
    }

    package func fetchSecrets(
        request: Envoy_Service_Discovery_V3_DiscoveryRequest, context: ServerContext
    ) async throws -> Envoy_Service_Discovery_V3_DiscoveryResponse {
        let names: Set<String>
        do throws(SecretSession.Refusal) {
            names = try SecretSession.check(request)
        } catch {
            throw WorkloadAPIError.invalidArgument(error.description)
        }
        for try await view in try await handler.secrets(for: peer(context)) {
            return SecretSession.response(
                try await assembly.resources(names: names, node: request.node, view: view))
        }
        throw WorkloadAPIError.unavailable("there are no secrets now")
    }

    package func deltaSecrets(
        request: RPCAsyncSequence<Envoy_Service_Discovery_V3_DeltaDiscoveryRequest, any Error>,
        response: RPCWriter<Envoy_Service_Discovery_V3_DeltaDiscoveryResponse>, context: ServerContext
    ) async throws {
        throw WorkloadAPIError.unimplemented("incremental discovery is not offered: use api_type GRPC")
    }

    private func peer(_ context: ServerContext) throws(WorkloadAPIError) -> ConnectionPeer {
        guard let peer = context.connectionPeer else { throw .unavailable("the caller is not known") }
        return peer
    }
}
