import GRPCCore

/// Turns the token that the stream carries into the call's peer, before any other interceptor and any handler.
struct PeerInterceptor: ServerInterceptor {
    let registry: PeerRegistry

    func intercept<Input: Sendable, Output: Sendable>(
        request: StreamingServerRequest<Input>,
        context: ServerContext,
        next:
            @Sendable (StreamingServerRequest<Input>, ServerContext) async throws
            -> StreamingServerResponse<Output>
    ) async throws -> StreamingServerResponse<Output> {
        let tokens = Array(request.metadata[stringValues: registry.headerName])
        guard tokens.count == 1, let token = tokens.first, let peer = registry.peer(for: token) else {
            // Only when the connection closed in between: each stream gets exactly one token.
            throw RPCError(code: .unavailable, message: "the connection is closed")
        }
        var request = request
        request.metadata.removeAllValues(forKey: registry.headerName)
        var context = context
        context.transportSpecific = PeerContext(peer: peer)

        let bareRequest = request
        let peerContext = context
        let response = try await ConnectionPeer.$current.withValue(peer) {
            try await next(bareRequest, peerContext)
        }
        // A streaming handler's body runs later, in its producer, where the task local would be gone.
        switch response.accepted {
        case .success(let contents):
            let produce = contents.producer
            return StreamingServerResponse(metadata: contents.metadata) { writer in
                try await ConnectionPeer.$current.withValue(peer) { try await produce(writer) }
            }
        case .failure:
            return response
        }
    }
}
