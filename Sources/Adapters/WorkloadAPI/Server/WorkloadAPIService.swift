package import GRPCCore
import JOSE
import PeerRPC
import SPIFFE
import SwiftProtobuf

/// The generated service in front of a ``WorkloadAPIHandler``.
package struct WorkloadAPIService: Workload_SpiffeWorkloadAPI.SimpleServiceProtocol {
    private let handler: any WorkloadAPIHandler

    /// Most audiences of one token.
    package static let maximumAudiences = 64
    /// Longest audience, in bytes.
    package static let maximumAudienceLength = 2048
    /// Longest token that is validated, in bytes.
    package static let maximumTokenLength = 16 * 1024

    package init(_ handler: any WorkloadAPIHandler) {
        self.handler = handler
    }

    package func fetchX509SVID(
        request: Workload_X509SVIDRequest, response: RPCWriter<Workload_X509SVIDResponse>, context: ServerContext
    ) async throws {
        let states = try await handler.x509Contexts(for: peer(context))
        try await send(states, to: response, context) { Workload_X509SVIDResponse($0) }
    }

    package func fetchX509Bundles(
        request: Workload_X509BundlesRequest, response: RPCWriter<Workload_X509BundlesResponse>,
        context: ServerContext
    ) async throws {
        let states = try await handler.x509Bundles(for: peer(context))
        try await send(states, to: response, context) { Workload_X509BundlesResponse($0) }
    }

    package func fetchJWTBundles(
        request: Workload_JWTBundlesRequest, response: RPCWriter<Workload_JWTBundlesResponse>,
        context: ServerContext
    ) async throws {
        let states = try await handler.jwtBundles(for: peer(context))
        try await send(states, to: response, context) { Workload_JWTBundlesResponse($0) }
    }

    package func fetchJWTSVID(
        request: Workload_JWTSVIDRequest, context: ServerContext
    ) async throws -> Workload_JWTSVIDResponse {
        let peer = try peer(context)
        guard !request.audience.isEmpty else { throw WorkloadAPIError.invalidArgument("audience must be specified") }
        guard request.audience.count <= Self.maximumAudiences else {
            throw WorkloadAPIError.invalidArgument("more than \(Self.maximumAudiences) audiences")
        }
        for audience in request.audience { try check(audience) }
        let id = try requestedID(request.spiffeID)
        let svids = try await handler.jwtSVIDs(for: peer, audience: request.audience, id: id)
        return .with { $0.svids = svids.map(Workload_JWTSVID.init) }
    }

    package func validateJWTSVID(
        request: Workload_ValidateJWTSVIDRequest, context: ServerContext
    ) async throws -> Workload_ValidateJWTSVIDResponse {
        let peer = try peer(context)
        guard !request.audience.isEmpty else { throw WorkloadAPIError.invalidArgument("audience must be specified") }
        guard !request.svid.isEmpty else { throw WorkloadAPIError.invalidArgument("svid must be specified") }
        guard request.svid.utf8.count <= Self.maximumTokenLength else {
            throw WorkloadAPIError.invalidArgument("the token is longer than \(Self.maximumTokenLength) bytes")
        }
        try check(request.audience)
        let validation = try await handler.validateJWTSVID(for: peer, token: request.svid, audience: request.audience)
        return .with {
            $0.spiffeID = validation.id.string
            $0.claims = Google_Protobuf_Struct(validation.claims)
        }
    }

    package func fetchWITSVID(
        request: Workload_WITSVIDRequest, response: RPCWriter<Workload_WITSVIDResponse>, context: ServerContext
    ) async throws {
        let peer = try peer(context)
        let states = try await handler.witSVIDs(for: peer, id: try requestedID(request.spiffeID))
        try await send(states, to: response, context) { Workload_WITSVIDResponse($0) }
    }

    package func fetchWITBundles(
        request: Workload_WITBundlesRequest, response: RPCWriter<Workload_WITBundlesResponse>, context: ServerContext
    ) async throws {
        let states = try await handler.witBundles(for: peer(context))
        try await send(states, to: response, context) { Workload_WITBundlesResponse($0) }
    }

    /// The identity that a request names; nil when it names none.
    private func requestedID(_ text: String) throws(WorkloadAPIError) -> SPIFFEID? {
        guard !text.isEmpty else { return nil }
        do {
            return try SPIFFEID(text)
        } catch {
            throw .invalidArgument("invalid requested SPIFFE ID: \(error)")
        }
    }

    private func peer(_ context: ServerContext) throws(WorkloadAPIError) -> ConnectionPeer {
        guard let peer = context.connectionPeer else { throw .unavailable("the caller is not known") }
        return peer
    }

    private func check(_ audience: String) throws(WorkloadAPIError) {
        guard !audience.isEmpty else { throw .invalidArgument("an audience must not be empty") }
        guard audience.utf8.count <= Self.maximumAudienceLength else {
            throw .invalidArgument("an audience is longer than \(Self.maximumAudienceLength) bytes")
        }
    }

    /// Sends each state that differs from the one before.
    private func send<State: Sendable & Equatable, Message: Sendable>(
        _ states: AsyncThrowingStream<State, any Error>, to writer: RPCWriter<Message>, _ context: ServerContext,
        _ message: @escaping @Sendable (State) -> Message
    ) async throws {
        try await context.untilCancelled {
            var last: State?
            for try await state in states where state != last {
                try await writer.write(message(state))
                last = state
            }
        }
    }
}
