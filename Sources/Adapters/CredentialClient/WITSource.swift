package import JOSE
package import Logging
package import SPIFFE
import Synchronization
package import WorkloadAPI

/// Follows the workload's WIT-SVID with its key, and the WIT bundles, from the moment that somebody first wants them: a workload that
/// proves nothing by such a token has none issued.
package final class WITSource: Sendable {
    /// A token with the key that it names.
    package struct Identity: Sendable {
        package let id: SPIFFEID
        package let token: String
        package let key: JWSSigningKey
        package let expiresAt: UnixTime
    }

    private struct State {
        var isWanted = false
        var identity: Identity?
        var bundles: [TrustDomain: [WITAuthority]]?
        var observers: [Int: AsyncStream<Void>.Continuation] = [:]
        var nextObserver = 0
        var lastFailure: WorkloadAPIError?
    }

    private let client: WorkloadAPIClient
    private let selection: IdentitySelection
    private let environment: SourceEnvironment
    private let logger: Logger
    // Guards what is known; never held across a call.
    private let state = Mutex(State())

    /// - Parameter client: a client that somebody else runs.
    package init(
        client: WorkloadAPIClient, selection: IdentitySelection, environment: SourceEnvironment, logger: Logger
    ) {
        self.client = client
        self.selection = selection
        self.environment = environment
        self.logger = logger
    }

    /// Has tokens and bundles followed from now on.
    package func want() { change { $0.isWanted = true } }

    /// The token in use; nil while there is none that has not ended.
    package var identity: Identity? {
        let time = environment.now()
        return state.withLock { $0.identity }.flatMap { time < $0.expiresAt ? $0 : nil }
    }

    /// The keys of a trust domain; nil for one without a bundle.
    package func authorities(of trustDomain: TrustDomain) -> [WITAuthority]? {
        state.withLock { $0.bundles?[trustDomain] }
    }

    /// Whether the bundles have come.
    package var hasBundles: Bool { state.withLock { $0.bundles != nil } }

    /// The token in use, waited for no longer than `limit` where none has come yet.
    package func waitForIdentity(within limit: Duration) async throws(WorkloadAPIError) -> Identity {
        await wait(within: limit) { self.identity != nil }
        guard let identity else {
            throw state.withLock { $0.lastFailure } ?? .unavailable("there is no WIT-SVID yet")
        }
        return identity
    }

    /// Waits for the bundles, but no longer than `limit`.
    package func waitForBundles(within limit: Duration) async { await wait(within: limit) { self.hasBundles } }

    private func wait(within limit: Duration, until condition: @escaping @Sendable () -> Bool) async {
        want()
        guard !condition() else { return }
        let changes = changes
        let sleep = environment.sleep
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in changes where condition() { return }
            }
            group.addTask { try? await sleep(limit) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Follows until the task is cancelled.
    package func follow() async {
        if !state.withLock({ $0.isWanted }) {
            for await _ in changes where state.withLock({ $0.isWanted }) { break }
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await self.keep { [client = self.client] in
                    for try await svids in client.streamWITSVIDs() { try self.take(svids) }
                } forget: {
                    $0.identity = nil
                }
            }
            group.addTask {
                await self.keep { [client = self.client] in
                    for try await bundles in client.streamWITBundles() { try self.take(bundles) }
                } forget: {
                    $0.bundles = [:]
                }
            }
        }
    }

    /// Follows one stream, again and again. What it has brought stays in use while the Workload API is away, and is forgotten when
    /// that says that there is none any more.
    private func keep(
        _ stream: @Sendable () async throws -> Void, forget: @Sendable (inout State) -> Void
    ) async {
        var backoff = Backoff()
        while !Task.isCancelled {
            let began = environment.now()
            var failure = WorkloadAPIError.unavailable("the Workload API has ended the stream")
            do {
                try await stream()
            } catch {
                failure = error as? WorkloadAPIError ?? .unavailable("the WIT-SVID cannot be loaded")
            }
            guard !Task.isCancelled else { return }
            logger.debug("WIT-SVIDs are not to be had", metadata: ["error": "\(failure)"])
            change { state in
                state.lastFailure = failure
                if case .permissionDenied = failure { forget(&state) }
            }
            if case .unimplemented = failure {
                // A Workload API without WIT-SVIDs, which may have some one day.
                guard (try? await environment.sleep(.seconds(60))) != nil else { return }
            }
            // A stream that has held for a while had brought something.
            if environment.now().milliseconds(since: began) > 1000 { backoff.reset() }
            guard (try? await environment.sleep(backoff.wait(environment.randomFraction()))) != nil else { return }
        }
    }

    private func take(_ svids: WorkloadWITSVIDs) throws(WorkloadAPIError) {
        guard let selected = selection.select(from: svids.svids) else {
            return change { $0.identity = nil }
        }
        let token: UnverifiedWITSVID
        do {
            token = try UnverifiedWITSVID(parsing: selected.token)
        } catch {
            throw .malformedResponse("the Workload API sent an unusable WIT-SVID: \(error)")
        }
        guard token.unverifiedID == selected.id, let key = WITSVID.privateKey(jwk: selected.privateKey),
            token.confirmationKey.algorithm == .es256,
            token.confirmationKey.derSPKI == [UInt8](key.publicKey.derRepresentation)
        else { throw .malformedResponse("the Workload API sent a WIT-SVID without its key") }
        let identity = Identity(
            id: selected.id, token: selected.token, key: JWSSigningKey(p256: key, keyID: ""),
            expiresAt: token.expiresAt)
        change {
            $0.identity = identity
            $0.lastFailure = nil
        }
    }

    private func take(_ bundles: WorkloadWITBundles) throws(WorkloadAPIError) {
        // Of a bundle that cannot be read no key is known to be good.
        let authorities = bundles.bundles.mapValues { (try? WITAuthority.parse(jwks: $0)) ?? [] }
        change { $0.bundles = authorities }
    }

    private func change(_ body: (inout State) -> Void) {
        let observers = state.withLock { state in
            body(&state)
            return state.observers.values
        }
        for observer in observers { observer.yield() }
    }

    /// One element now and after each change.
    private var changes: AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        state.withLock { state in
            let number = state.nextObserver
            state.nextObserver += 1
            state.observers[number] = continuation
            continuation.onTermination = { [weak self] _ in
                self?.state.withLock { $0.observers[number] = nil }
            }
        }
        continuation.yield()
        return stream
    }
}
