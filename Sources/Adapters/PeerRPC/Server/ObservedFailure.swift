package import GRPCCore

extension ServerContext {
    /// Runs the rest of a call and tells `note` of the error that it ends with, whether that comes before the answer
    /// or in the middle of it. The error stays the caller's answer.
    package func observingFailure<Output: Sendable>(
        _ note: @escaping @Sendable (RPCError) async -> Void,
        of call: () async throws -> StreamingServerResponse<Output>
    ) async throws -> StreamingServerResponse<Output> {
        let response: StreamingServerResponse<Output>
        do {
            response = try await call()
        } catch {
            if let status = Self.status(of: error) { await note(status) }
            throw error
        }
        switch response.accepted {
        case .success(let contents):
            let produce = contents.producer
            return StreamingServerResponse(metadata: contents.metadata) { writer in
                do {
                    return try await produce(writer)
                } catch {
                    if let status = Self.status(of: error) { await note(status) }
                    throw error
                }
            }
        case .failure(let error):
            await note(error)
            return response
        }
    }

    /// The status that a caller gets for `error`; nil if the error has none of its own.
    private static func status(of error: any Error) -> RPCError? {
        if let error = error as? RPCError { return error }
        guard let error = error as? any RPCErrorConvertible else { return nil }
        return RPCError(error)
    }
}

extension RPCError {
    /// Whether the caller's own request is at fault: what it sent is malformed, beyond a limit, or not for this server.
    package var blamesTheRequest: Bool {
        [.invalidArgument, .outOfRange, .failedPrecondition, .resourceExhausted].contains(code)
    }
}
