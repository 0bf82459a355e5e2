import GRPCCore
import Logging
import Synchronization
import WorkloadAPI

/// One StreamSecrets call: requests come from Envoy, views from the node agent, and each may need a response.
final class SecretStream: Sendable {
    private struct State {
        var session = SecretSession()
        var view: (any SecretView)?
        /// Whether the view was the base of a response; a later request needs a look at the caller as it is then.
        var isViewUsed = false
    }

    private let state = Mutex(State())
    private let wakes = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    private let assembly: SecretAssembly
    private let logger: Logger
    private let randomBytes: @Sendable (Int) -> [UInt8]

    /// Bytes of a nonce.
    private static let nonceLength = 8
    /// How much of Envoy's reason goes into the log, in characters.
    private static let shownReason = 300

    init(assembly: SecretAssembly, logger: Logger, randomBytes: @escaping @Sendable (Int) -> [UInt8]) {
        self.assembly = assembly
        self.logger = logger
        self.randomBytes = randomBytes
    }

    /// Serves until Envoy ends the stream, or throws what it is refused for.
    func run(
        _ requests: RPCAsyncSequence<DiscoveryRequest, any Error>,
        _ views: AsyncThrowingStream<any SecretView, any Error>,
        _ writer: RPCWriter<DiscoveryResponse>
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                for try await request in requests { try self.receive(request) }
            }
            group.addTask {
                for try await view in views { self.renew(view) }
            }
            group.addTask {
                for await _ in self.wakes.stream { try await self.respond(writer) }
            }
            try await group.next()
        }
    }

    private func receive(_ request: DiscoveryRequest) throws(WorkloadAPIError) {
        let (receipt, needsResponse): (SecretSession.Receipt, Bool)
        do throws(SecretSession.Refusal) {
            (receipt, needsResponse) = try state.withLock { state throws(SecretSession.Refusal) in
                (try state.session.receive(request), state.session.needsResponse)
            }
        } catch {
            throw .invalidArgument(error.description)
        }
        switch receipt {
        case .rejection(let reason):
            logger.warning(
                "Envoy did not take the secrets it was sent", metadata: ["reason": "\(reason.prefix(Self.shownReason))"]
            )
        case .stale:
            logger.debug("a request of Envoy was overtaken by a response")
        case .subscription, .acknowledgement:
            break
        }
        if needsResponse { wakes.continuation.yield() }
    }

    private func renew(_ view: any SecretView) {
        state.withLock { state in
            state.view = view
            state.isViewUsed = false
        }
        wakes.continuation.yield()
    }

    private func respond(_ writer: RPCWriter<DiscoveryResponse>) async throws {
        let now = state.withLock { state in
            defer { if state.session.names != nil, state.view != nil { state.isViewUsed = true } }
            return (state.session.names, state.session.node, state.view, state.isViewUsed)
        }
        guard let names = now.0, var view = now.2 else { return }
        if now.3 { view = try await view.refreshed() }
        let resources = try await assembly.resources(names: names, node: now.1, view: view)
        let nonce = SecretAssembly.hex(randomBytes(Self.nonceLength))
        let response = state.withLock { state -> DiscoveryResponse? in
            // Asked for something else meanwhile: that request has its own turn.
            guard state.session.names == names else { return nil }
            return state.session.respond(resources, nonce: nonce)
        }
        if let response { try await writer.write(response) }
    }
}
