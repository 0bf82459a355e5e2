import AuditTrail
import GRPCCore
import PeerRPC

/// Runs the authorizer before every handler, and records every refusal: its own, and requests that handlers find at fault.
struct AuthorizationInterceptor: ServerInterceptor {
    let authorizer: Authorizer
    let refusals: RefusalRecorder
    let limits: RateLimits

    func intercept<Input: Sendable, Output: Sendable>(
        request: StreamingServerRequest<Input>, context: ServerContext,
        next:
            @Sendable (StreamingServerRequest<Input>, ServerContext) async throws
            -> StreamingServerResponse<Output>
    ) async throws -> StreamingServerResponse<Output> {
        let method = context.descriptor.fullyQualifiedMethod
        guard let peer = context.connectionPeer else {
            throw RPCError(code: .permissionDenied, message: "the connection's peer is unknown")
        }
        let caller: AuthorizedCaller
        do {
            caller = try await authorizer.authorize(peer, method: method)
        } catch let refused as NodeRefused {
            record(refused.refusal.rawValue, method, peer)
            throw PermissionDeniedReason.error(for: refused.refusal)
        } catch {
            record((error as? RPCError)?.code.description ?? "unknown", method, peer)
            throw error
        }
        var context = context
        let requestRefusals = RequestRefusals(recorder: refusals, method: method, caller: caller)
        context.transportSpecific = CallerContext(caller: caller, refusals: requestRefusals, limits: limits)
        let authorized = context
        return try await authorized.observingFailure(requestRefusals.note) {
            try await next(request, authorized)
        }
    }

    private func record(_ reason: String, _ method: String, _ peer: ConnectionPeer) {
        refusals.record(
            .refusal(
                of: method, reason: reason, agent: authorizer.auditField(of: peer),
                requestID: Hex.encode(authorizer.randomBytes(16))),
            source: peer.sourceHost, kind: method)
    }
}
