package import Logging
package import PeerTLS
import ServiceLifecycle
import Synchronization
package import WorkloadAPI

/// Keeps a ``LiveIdentity`` equal to what the Workload API says, for as long as ``run()`` runs.
///
/// While the Workload API is away the last identity stays in use; when it says that there is none, the identity is
/// withdrawn at once and no handshake begins any more.
package final class X509Source: Service {
    /// Where the source stands.
    package enum Status: Sendable {
        /// Nothing has come yet.
        case waiting
        /// This identity is in use.
        case ready(TLSIdentity)
        /// The workload has no identity any more; the source goes on asking.
        case withdrawn
        /// The Workload API's answer was final; the source has stopped.
        case ended(WorkloadAPIError)
    }

    private struct State {
        var status = Status.waiting
        var lastFailure: WorkloadAPIError?
        var observers: [Int: AsyncStream<Status>.Continuation] = [:]
        var nextObserver = 0
    }

    /// The identity for handshakes; empty while there is none.
    package let live: LiveIdentity
    /// The connection to the Workload API, which ``run()`` keeps.
    package let client: WorkloadAPIClient

    private let selection: IdentitySelection
    private let environment: SourceEnvironment
    private let logger: Logger
    private let state = Mutex(State())

    package init(
        client: WorkloadAPIClient, selection: IdentitySelection = .first, applicationProtocols: [String] = ["http/1.1"],
        environment: SourceEnvironment, logger: Logger
    ) {
        self.client = client
        self.selection = selection
        self.environment = environment
        self.logger = logger
        self.live = LiveIdentity(applicationProtocols: applicationProtocols)
    }

    /// The identity in use; `nil` while there is none.
    package var current: TLSIdentity? { live.current }

    /// Where the source stands now.
    package var status: Status { state.withLock { $0.status } }

    /// What went wrong last; `nil` after an update.
    package var lastFailure: WorkloadAPIError? { state.withLock { $0.lastFailure } }

    /// The status now and after each change; a slow reader gets the newest only. Ends when the source has stopped.
    package var updates: AsyncStream<Status> {
        let (stream, continuation) = AsyncStream.makeStream(of: Status.self, bufferingPolicy: .bufferingNewest(1))
        state.withLock { state in
            continuation.yield(state.status)
            if case .ended = state.status {
                continuation.finish()
                return
            }
            let number = state.nextObserver
            state.nextObserver += 1
            state.observers[number] = continuation
            continuation.onTermination = { [weak self] _ in
                self?.state.withLock { $0.observers[number] = nil }
            }
        }
        return stream
    }

    /// Returns as soon as there is an identity.
    package func waitUntilReady(within limit: Duration) async throws(X509SourceError) -> TLSIdentity {
        if let current { return current }
        let sleep = environment.sleep
        let updates = updates
        let outcome = await withTaskGroup(of: Result<TLSIdentity, X509SourceError>?.self) { group in
            group.addTask {
                for await status in updates {
                    switch status {
                    case .ready(let identity): return .success(identity)
                    case .ended(let error): return .failure(.ended(error))
                    case .waiting, .withdrawn: continue
                    }
                }
                return nil
            }
            group.addTask {
                do {
                    try await sleep(limit)
                } catch {
                    return .failure(.cancelled)
                }
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
        switch outcome {
        case .success(let identity): return identity
        case .failure(let error): throw error
        case nil: throw Task.isCancelled ? .cancelled : .timedOut(limit, last: lastFailure)
        }
    }

    /// Follows the Workload API until the task is cancelled, a graceful shutdown begins, or it answers InvalidArgument.
    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { [client = self.client] in
                    try? await client.run()
                }
                group.addTask { await self.follow() }
                // The connection alone has nothing to do: the end of following is the end.
                await group.next()
                group.cancelAll()
            }
        }
        let observers = state.withLock { state in
            defer { state.observers = [:] }
            return state.observers.values
        }
        for observer in observers { observer.finish() }
        if case .ended(let error) = status { throw X509SourceError.ended(error) }
    }

    private func follow() async {
        var backoff = Backoff()
        while !Task.isCancelled {
            do {
                for try await context in client.streamX509Contexts() {
                    try take(context)
                    backoff.reset()
                }
                guard !Task.isCancelled else { return }
                failed(.unavailable("the Workload API has ended the stream"))
            } catch {
                guard !Task.isCancelled else { return }
                let failure = error as? WorkloadAPIError ?? .unavailable("the identity cannot be loaded")
                failed(failure)
                // Only a wrong request is final (SPIFFE Workload Endpoint §6).
                if case .invalidArgument = failure { return set(.ended(failure)) }
            }
            guard (try? await environment.sleep(backoff.wait(environment.randomFraction()))) != nil else { return }
        }
    }

    private func take(_ context: WorkloadX509Context) throws {
        guard let selected = selection.select(from: context.svids) else { return withdraw() }
        let identity = try TLSIdentity(selected, federated: context.federatedBundles)
        try live.replace(identity)
        state.withLock { $0.lastFailure = nil }
        set(.ready(identity))
        logger.debug(
            "identity updated",
            metadata: [
                "spiffe_id": "\(identity.svid.id)", "serial": "\(identity.svid.leaf.serialNumber)",
                "expires_at": "\(identity.svid.expiresAt)",
            ])
    }

    private func failed(_ failure: WorkloadAPIError) {
        state.withLock { $0.lastFailure = failure }
        if case .permissionDenied = failure { withdraw() }
        logger.debug("Workload API failed", metadata: ["error": "\(failure)"])
    }

    private func withdraw() {
        live.withdraw()
        if case .withdrawn = status { return }
        set(.withdrawn)
        logger.warning("identity withdrawn")
    }

    private func set(_ status: Status) {
        let observers = state.withLock { state in
            state.status = status
            return state.observers.values
        }
        for observer in observers { observer.yield(status) }
    }
}

/// Why there is no identity to work with.
package enum X509SourceError: Error, Equatable, CustomStringConvertible {
    /// None came in time.
    case timedOut(Duration, last: WorkloadAPIError?)
    /// The Workload API's answer was final.
    case ended(WorkloadAPIError)
    /// The waiting task was cancelled.
    case cancelled

    package var description: String {
        switch self {
        case .timedOut(let limit, let last?): "no identity within \(limit): \(last)"
        case .timedOut(let limit, nil): "no identity within \(limit)"
        case .ended(let error): "there will be no identity: \(error)"
        case .cancelled: "waiting for an identity was cancelled"
        }
    }
}
