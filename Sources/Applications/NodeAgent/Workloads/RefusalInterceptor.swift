import GRPCCore
import PeerRPC
import SPIFFE

/// Records calls whose own request is at fault: without the Workload API's header, malformed, or with a token that is
/// not valid. Callers without an identity are recorded by the service, which knows the process better.
struct RefusalInterceptor: ServerInterceptor {
    let audit: AgentAudit
    let randomBytes: @Sendable (Int) -> [UInt8]

    func intercept<Input: Sendable, Output: Sendable>(
        request: StreamingServerRequest<Input>, context: ServerContext,
        next:
            @Sendable (StreamingServerRequest<Input>, ServerContext) async throws
            -> StreamingServerResponse<Output>
    ) async throws -> StreamingServerResponse<Output> {
        let method = context.descriptor.method
        let process = context.connectionPeer?.process
        return try await context.observingFailure { error in
            guard error.blamesTheRequest else { return }
            await audit.refused(
                // The word of the code alone: messages quote what was sent.
                WorkloadEvents.refused(
                    process, method: method, reason: error.code.description,
                    requestID: HexText.encode(randomBytes(16))),
                source: WorkloadEvents.source(process), kind: "\(method) \(error.code.description)")
        } of: {
            try await next(request, context)
        }
    }
}
