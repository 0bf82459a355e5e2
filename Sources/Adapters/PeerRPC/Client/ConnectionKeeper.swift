import GRPCCore
import NIOCore
import NIOPosix

/// Keeps one connection to the server, and gives calls their streams on it. Runs on its event loop alone.
///
/// INVARIANT: whoever waits is answered: by a connection, by a failure, or by the end.
final class ConnectionKeeper {
    private enum Phase {
        /// Nobody keeps connections yet; calls wait for that.
        case unstarted
        /// Between two attempts, or in one.
        case connecting
        case ready(ClientConnection)
        case ended
    }

    private struct Waiting {
        let call: ClientCall
        let request: CallRequest
        let promise: EventLoopPromise<Void>
    }

    /// How long a connection lasts that is worth another one at once.
    private static let goodLife = TimeAmount.seconds(1)

    private let settings: PeerClientSettings
    private let loop: any EventLoop
    private let finished: EventLoopPromise<Void>
    private var phase = Phase.unstarted
    private var waiting: [Waiting] = []
    /// Also those that only finish their calls, and those that are not ready yet.
    private var connections: [ObjectIdentifier: ClientConnection] = [:]
    private var pause: Scheduled<Void>?
    /// Attempts in a row that brought no connection, or one that did not last.
    private var failures = 0
    private var begun = NIODeadline.now()
    private var lastFailure: RPCError?
    private var isAborted = false

    init(_ settings: PeerClientSettings, _ loop: any EventLoop) {
        self.settings = settings
        self.loop = loop
        finished = loop.makePromise()
    }

    deinit {
        finished.succeed()
    }

    // MARK: its life

    /// Connects, from now on; the future is complete when all connections have ended for good.
    func start() -> EventLoopFuture<Void> {
        if case .unstarted = phase { connect() }
        return finished.futureResult
    }

    /// No more calls; connections end with the last of theirs.
    func shutDown() {
        if case .ended = phase { return }
        phase = .ended
        pause?.cancel()
        let error = RPCError(code: .unavailable, message: "the client is closed")
        for call in take(where: { _ in true }) { call.promise.fail(error) }
        for connection in connections.values { connection.drain() }
        finishIfDone()
    }

    /// Ends everything now.
    func abort() {
        isAborted = true
        shutDown()
        for connection in connections.values { connection.close() }
    }

    private func finishIfDone() {
        if case .ended = phase, connections.isEmpty { finished.succeed() }
    }

    // MARK: connecting

    private func connect() {
        phase = .connecting
        begun = .now()
        let keeper = NIOLoopBound(self, eventLoop: loop)
        ClientConnection.open(settings, loop) { connection in
            keeper.value.connections[ObjectIdentifier(connection)] = connection
            return !keeper.value.isEnded
        } onEnd: { connection in
            keeper.value.ended(connection)
        } onRetire: { connection in
            keeper.value.retired(connection)
        }.whenComplete { result in
            switch result {
            case .success(let connection): keeper.value.connected(connection.value)
            case .failure(let error): keeper.value.failed(error)
            }
        }
    }

    private var isEnded: Bool { if case .ended = phase { true } else { false } }

    private func connected(_ connection: ClientConnection) {
        guard !isEnded else { return isAborted ? connection.close() : connection.drain() }
        phase = .ready(connection)
        lastFailure = nil
        for waiting in take(where: { _ in true }) { connection.open(waiting.call, waiting.request, waiting.promise) }
    }

    private func failed(_ error: any Error) {
        guard !isEnded else { return }
        let failure = RPCError(
            code: .unavailable,
            message: RPCError.cannotConnect + "\(settings.target): \(ConnectFailure.describe(error))",
            cause: error)
        lastFailure = failure
        for call in take(where: { !$0.request.waitsForReady }) { call.promise.fail(failure) }
        connectLater()
    }

    /// Later each time.
    private func connectLater() {
        connect(at: begun + settings.pauses.pause(afterFailure: failures))
        failures += 1
    }

    /// The connection takes no more calls: another one is needed.
    private func retired(_ connection: ClientConnection) {
        guard case .ready(let current) = phase, current === connection else { return }
        phase = .connecting
        // A server that takes connections and ends them at once is no better than one that takes none.
        guard NIODeadline.now() - begun >= Self.goodLife else { return connectLater() }
        failures = 0
        connect(at: .now() + settings.pauses.pauseAfterConnection())
    }

    private func ended(_ connection: ClientConnection) {
        connections[ObjectIdentifier(connection)] = nil
        retired(connection)
        finishIfDone()
    }

    private func connect(at time: NIODeadline) {
        let keeper = NIOLoopBound(self, eventLoop: loop)
        pause = loop.scheduleTask(deadline: time) {
            guard case .connecting = keeper.value.phase else { return }
            keeper.value.connect()
        }
    }

    // MARK: calls

    /// Opens the stream of a call once there is a connection. The promise fails when there is none.
    func open(_ call: ClientCall, _ request: CallRequest, _ promise: EventLoopPromise<Void>) {
        switch phase {
        case .ready(let connection): connection.open(call, request, promise)
        case .ended: promise.fail(RPCError(code: .unavailable, message: "the client is closed"))
        case .unstarted, .connecting:
            if let lastFailure, !request.waitsForReady {
                promise.fail(lastFailure)
            } else {
                waiting.append(Waiting(call: call, request: request, promise: promise))
            }
        }
    }

    /// A call does not wait any longer; it answers its promise itself.
    func giveUp(_ call: ClientCall) {
        _ = take(where: { $0.call === call })
    }

    private func take(where isTaken: (Waiting) -> Bool) -> [Waiting] {
        let taken = waiting.filter(isTaken)
        waiting.removeAll(where: isTaken)
        return taken
    }
}
