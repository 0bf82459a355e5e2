package import JOSE
import OAuth
package import SPIFFE
import Synchronization

/// The keys of the operator's external issuers, fetched when they are needed and kept for a while.
///
/// The keys of two issuers never meet: whoever asks for a key says whose, and gets it from that issuer's set alone.
/// Callers who need the same keys at the same time share one fetch, which runs in the first caller's task.
package final class IssuerKeyring: Sendable {
    package typealias Fetch =
        @Sendable (IssuerDocumentRequest) async throws(IssuerDocumentError) -> IssuerDocument

    /// The most issuers of a keyring.
    package static let maximumIssuers = 256
    /// The most callers that wait for one issuer.
    static let maximumWaiters = 1024
    /// How many fetches in a row may end with their callers before the floor holds for them too.
    static let maximumGivenUp = 3

    // INVARIANT: the key is the value's `issuer`, which is ASCII.
    private let issuers: [String: TrustedIssuer]
    private let times: IssuerKeyTimes
    private let now: @Sendable () -> UnixTime
    private let observe: @Sendable (IssuerKeyReport) -> Void
    private let fetch: Fetch
    // Guards what is known of each issuer, by its name; an issuer that was never asked for has no state.
    let states = Mutex<[String: IssuerKeyState]>([:])

    /// - Parameters:
    ///   - observe: is told of every fetch, for the operator's log.
    ///   - fetch: gets a document after the rules of the request, within a time of its own.
    package init(
        _ issuers: [TrustedIssuer], times: IssuerKeyTimes = IssuerKeyTimes(),
        now: @escaping @Sendable () -> UnixTime, observe: @escaping @Sendable (IssuerKeyReport) -> Void,
        fetch: @escaping Fetch
    ) throws(IssuerKeyringError) {
        guard issuers.count <= Self.maximumIssuers else { throw .tooManyIssuers }
        var known: [String: TrustedIssuer] = [:]
        for issuer in issuers {
            guard known.updateValue(issuer, forKey: issuer.issuer) == nil else { throw .twice(issuer.issuer) }
        }
        self.issuers = known
        self.times = times
        self.now = now
        self.observe = observe
        self.fetch = fetch
    }

    /// The trusted issuer with exactly this name.
    package func issuer(named name: String) -> TrustedIssuer? {
        // Swift takes canonically equivalent texts for equal: the Kelvin sign for a K.
        issuers[name].flatMap { $0.issuer.hasSameBytes(as: name) ? $0 : nil }
    }

    /// The keys of one issuer that may have signed an assertion; never none. More than one only where the issuer gave
    /// one ID to several.
    ///
    /// - Parameter keyID: the assertion's `kid`; without one the issuer has to have exactly one key that fits.
    package func keys(
        of issuer: TrustedIssuer, keyID: String?, algorithm: JWSAlgorithm
    ) async throws(IssuerKeyError) -> [JWSVerificationKey] {
        // The rules are those of the keyring, whatever the caller brings.
        guard let issuer = self.issuer(named: issuer.issuer) else { throw .unknownIssuer }
        guard issuer.algorithms.contains(algorithm) else { throw .algorithmNotAllowed(algorithm) }
        guard keyID.map({ (1...IssuerKeys.maximumKeyIDBytes).contains($0.utf8.count) }) ?? true else {
            throw .badKeyID
        }
        if case .fixed(let keys) = issuer.keySource {
            return try IssuerKeyState.keys(keys.candidates(keyID: keyID, algorithm: algorithm), else: .noSuchKey)
        }
        var mayFetch = true
        while true {
            let step = states.withLock { [now = now()] states in
                states[issuer.issuer, default: IssuerKeyState()]
                    .step(keyID: keyID, algorithm: algorithm, mayFetch: mayFetch, now: now, times: times)
            }
            switch step {
            case .answer(let keys): return keys
            case .refuse(let error): throw error
            case .fetch(let start):
                await refresh(issuer, at: start)
                mayFetch = false
            case .wait:
                switch await wait(for: issuer) {
                case .finished: mayFetch = false
                // The fetch ended with its caller: this one may be the next to fetch.
                case .givenUp: break
                case .cancelled: throw .cancelled
                case .full: throw .busy
                }
            }
        }
    }

    // MARK: waiting for another's fetch

    private func wait(for issuer: TrustedIssuer) async -> IssuerKeyState.WaitEnd {
        let number = states.withLock { $0[issuer.issuer, default: IssuerKeyState()].nextWaiter() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // A fetch may have ended, or this task, since the step was chosen.
                let end = states.withLock {
                    $0[issuer.issuer, default: IssuerKeyState()].add(
                        continuation, number: number, isCancelled: Task.isCancelled)
                }
                if let end { continuation.resume(returning: end) }
            }
        } onCancel: {
            let waiter = states.withLock { $0[issuer.issuer]?.waiters.removeValue(forKey: number) }
            waiter?.resume(returning: .cancelled)
        }
    }

    // MARK: one fetch

    private func refresh(_ issuer: TrustedIssuer, at start: UnixTime) async {
        let result: Result<FetchedKeys, IssuerKeyError>
        do throws(IssuerKeyError) {
            let (keys, lifetime) = try await load(issuer)
            result = .success(FetchedKeys(keys: keys, fetchedAt: start, lifetime: lifetime))
        } catch {
            // A caller who has gone says nothing about the issuer.
            result = .failure(Task.isCancelled ? .cancelled : error)
        }
        let (waiters, keepsOldKeys) = states.withLock { [now = now()] states in
            states[issuer.issuer, default: IssuerKeyState()].end(result, now: now, times: times)
        }
        let end: IssuerKeyState.WaitEnd
        switch result {
        case .success(let fetched):
            observe(.refreshed(issuer: issuer.issuer, passedOver: fetched.keys.passedOver))
            end = .finished
        case .failure(.cancelled): end = .givenUp
        case .failure(let error):
            observe(.failed(issuer: issuer.issuer, error, keepsOldKeys: keepsOldKeys))
            end = .finished
        }
        for waiter in waiters { waiter.resume(returning: end) }
    }

    /// The issuer's keys and how long they are fresh, in seconds.
    private func load(_ issuer: TrustedIssuer) async throws(IssuerKeyError) -> (keys: IssuerKeys, lifetime: Int64) {
        let url: WebURL
        switch issuer.keySource {
        case .fixed(let keys): return (keys, times.longestLifetime)
        case .url(let named): url = named
        case .discovery: url = try await discover(issuer)
        }
        let document: IssuerDocument
        do throws(IssuerDocumentError) {
            document = try await fetch(
                IssuerDocumentRequest(url, of: issuer, maximumBytes: IssuerKeys.maximumBytes))
        } catch {
            throw .keys(error)
        }
        do throws(IssuerKeysError) {
            let keys = try IssuerKeys(parsing: document.bytes, algorithms: issuer.algorithms)
            return (keys, times.lifetime(cacheControl: document.cacheControl))
        } catch {
            throw .malformedKeys(error)
        }
    }

    /// Where the issuer's metadata say that its keys are.
    private func discover(_ issuer: TrustedIssuer) async throws(IssuerKeyError) -> WebURL {
        let nothingThere = IssuerKeyError.metadata(.status(404))
        for location in try IssuerDiscovery.locations(of: issuer) {
            do throws(IssuerKeyError) {
                let document = try await metadata(at: location, of: issuer)
                return try IssuerDiscovery.keysURL(in: document.bytes, of: issuer)
            } catch {
                guard error == nothingThere else { throw error }
            }
        }
        throw nothingThere
    }

    private func metadata(
        at location: WebURL, of issuer: TrustedIssuer
    ) async throws(IssuerKeyError) -> IssuerDocument {
        do throws(IssuerDocumentError) {
            return try await fetch(
                IssuerDocumentRequest(location, of: issuer, maximumBytes: IssuerDiscovery.maximumBytes))
        } catch {
            throw .metadata(error)
        }
    }
}

/// What the operator may want to know of a fetch. Without the documents themselves, which others wrote.
package enum IssuerKeyReport: Sendable, Equatable {
    /// New keys, and how many did not count.
    case refreshed(issuer: String, passedOver: IssuerKeys.PassedOver)
    /// No new keys; the old ones may serve on.
    case failed(issuer: String, IssuerKeyError, keepsOldKeys: Bool)
}

/// Why there is no keyring for these issuers.
package enum IssuerKeyringError: Error, Sendable, Equatable, CustomStringConvertible {
    case tooManyIssuers
    case twice(String)

    package var description: String {
        switch self {
        case .tooManyIssuers: "there are more than \(IssuerKeyring.maximumIssuers) issuers"
        case .twice(let issuer): "the issuer `\(issuer.truncatedForMessage)` is there twice"
        }
    }
}
