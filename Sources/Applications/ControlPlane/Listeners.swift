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
            group.addTask { try await nodeAPI.run() }
            group.addTask { try await admin.run() }
            group.addTask { try await https.run() }
            group.addTask {
                await stop.requested()
                guard stop.isRequested else { return }
                draining()
                nodeAPI.beginGracefulShutdown()
                admin.beginGracefulShutdown()
                await https.beginGracefulShutdown()
            }
            defer { group.cancelAll() }
            // All four end by themselves once the request has come; the first error ends the others.
            try await group.waitForAll()
        }
    }
}
