import PeerRPC

/// The three listeners, which start together and drain together.
struct Listeners: Sendable {
    let nodeAPI: PeerServer
    let admin: PeerServer
    let https: HTTPSListener

    /// Serves until the stop request, then takes no new connections, lets calls end within their grace, and returns.
    /// - Parameter draining: called when the request comes.
    func run(until stop: StopSignal, draining: @escaping @Sendable () -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await last("node API", stop, nodeAPI.run) }
            group.addTask { try await last("admin socket", stop, admin.run) }
            group.addTask { try await last("HTTPS listener", stop, https.run) }
            group.addTask {
                await stop.requested()
                guard stop.isRequested else { return }
                draining()
                nodeAPI.beginGracefulShutdown()
                admin.beginGracefulShutdown()
                await https.beginGracefulShutdown()
            }
            defer { group.cancelAll() }
            // All four end by themselves once the request has come; the first error ends the others at once, for which
            // `waitForAll` would wait.
            while try await group.next() != nil {}
        }
    }

    /// A listener that ends before the stop request is a failure of the whole: half a control plane must not stay.
    private func last(
        _ name: String, _ stop: StopSignal, _ run: @Sendable () async throws -> Void
    ) async throws {
        try await run()
        guard stop.isRequested else { throw ListenerEnded(name: name) }
    }
}

/// A listener has ended that nobody had stopped.
struct ListenerEnded: Error, CustomStringConvertible {
    let name: String

    var description: String { "the \(name) ended unexpectedly" }
}
