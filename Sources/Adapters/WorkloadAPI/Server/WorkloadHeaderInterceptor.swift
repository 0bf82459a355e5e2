package import GRPCCore

/// Demands the header that proves that the caller means the Workload API (SPIFFE Workload Endpoint §3): a request that
/// somebody was tricked into sending does not have it. Other services on the socket need none.
package struct WorkloadHeaderInterceptor: ServerInterceptor {
    /// Name of the header; its only value is `true`.
    package static let header = "workload.spiffe.io"

    package init() {}

    package func intercept<Input: Sendable, Output: Sendable>(
        request: StreamingServerRequest<Input>,
        context: ServerContext,
        next:
            @Sendable (StreamingServerRequest<Input>, ServerContext) async throws
            -> StreamingServerResponse<Output>
    ) async throws -> StreamingServerResponse<Output> {
        let guarded = [Workload_SpiffeWorkloadAPI.descriptor, Agentshield_Workload_V1_Revocation.descriptor]
        guard guarded.contains(context.descriptor.service) else {
            return try await next(request, context)
        }
        let values = Array(request.metadata[stringValues: Self.header])
        guard values == ["true"] else {
            throw RPCError(code: .invalidArgument, message: "security header missing from request")
        }
        return try await next(request, context)
    }
}
