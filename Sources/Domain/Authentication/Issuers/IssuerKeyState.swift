import JOSE
import SPIFFE

/// Keys as they were fetched.
struct FetchedKeys: Sendable {
    let keys: IssuerKeys
    /// When the fetch began.
    let fetchedAt: UnixTime
    /// How long they are fresh, in seconds.
    let lifetime: Int64

    func isFresh(_ now: UnixTime) -> Bool { (0..<lifetime).contains(now.seconds(since: fetchedAt)) }

    /// A clock that was put back a little does not take the keys away; one that was put back far does.
    func isUsable(_ now: UnixTime, maximumAge: Int64) -> Bool {
        now.seconds(since: fetchedAt).magnitude < maximumAge.magnitude
    }
}

/// What is known of one issuer, and who waits for more: the rules of the keyring, without its tasks.
struct IssuerKeyState: Sendable {
    /// What a caller has to do.
    enum Step: Sendable {
        case answer([JWSVerificationKey])
        case refuse(IssuerKeyError)
        /// This caller fetches, from this moment on.
        case fetch(UnixTime)
        case wait
    }

    /// How waiting ends.
    enum WaitEnd: Sendable {
        /// The fetch is over, well or badly.
        case finished
        /// The caller who fetched has gone.
        case givenUp
        /// The one who waits has gone.
        case cancelled
        /// Too many wait already.
        case full
    }

    private var fetched: FetchedKeys?
    private var lastAttempt: UnixTime?
    /// Why the last fetch failed.
    private var failure: IssuerKeyError?
    /// How many fetches in a row ended with their callers.
    private var givenUp = 0
    private var isFetching = false
    private var waiterNumber: UInt64 = 0
    var waiters: [UInt64: CheckedContinuation<WaitEnd, Never>] = [:]

    /// Chooses what a caller does; it is already written down when the caller is to fetch.
    ///
    /// - Parameter mayFetch: whether the caller has neither fetched nor waited for a whole fetch yet.
    mutating func step(
        keyID: String?, algorithm: JWSAlgorithm, mayFetch: Bool, now: UnixTime, times: IssuerKeyTimes
    ) -> Step {
        let usable = fetched.flatMap { $0.isUsable(now, maximumAge: times.maximumAge) ? $0 : nil }
        let candidates = usable?.keys.candidates(keyID: keyID, algorithm: algorithm) ?? .none
        let isFresh = usable?.isFresh(now) ?? false
        if isFresh || isFetching || !mayFetch, case .keys(let keys) = candidates { return .answer(keys) }
        if isFresh || !mayFetch, case .keyIDRequired = candidates { return .refuse(.keyIDRequired) }
        if mayFetch {
            if isFetching { return .wait }
            if isAttemptDue(now, times) {
                isFetching = true
                lastAttempt = now
                return .fetch(now)
            }
        }
        do throws(IssuerKeyError) {
            return .answer(try Self.keys(candidates, else: failure ?? (fetched == nil ? .cancelled : .noSuchKey)))
        } catch {
            return .refuse(error)
        }
    }

    /// Writes down how a fetch ended.
    ///
    /// - Returns: who waits for it, and whether older keys serve on.
    mutating func end(
        _ result: Result<FetchedKeys, IssuerKeyError>, now: UnixTime, times: IssuerKeyTimes
    ) -> (waiters: [CheckedContinuation<WaitEnd, Never>], keepsOldKeys: Bool) {
        isFetching = false
        if case .failure(.cancelled) = result { givenUp += 1 } else { givenUp = 0 }
        switch result {
        case .success(let fetched):
            self.fetched = fetched
            failure = nil
        case .failure(.cancelled): break
        case .failure(let error):
            failure = error
            if let old = fetched, !old.isUsable(now, maximumAge: times.maximumAge) { fetched = nil }
        }
        let all = Array(waiters.values)
        waiters = [:]
        return (all, fetched != nil)
    }

    /// A number for a caller who is going to wait.
    mutating func nextWaiter() -> UInt64 {
        waiterNumber &+= 1
        return waiterNumber
    }

    /// Lets a caller wait, unless there is nothing to wait for.
    mutating func add(
        _ waiter: CheckedContinuation<WaitEnd, Never>, number: UInt64, isCancelled: Bool
    ) -> WaitEnd? {
        if isCancelled { return .cancelled }
        guard isFetching else { return .givenUp }
        guard waiters.count < IssuerKeyring.maximumWaiters else { return .full }
        waiters[number] = waiter
        return nil
    }

    static func keys(
        _ candidates: IssuerKeys.Candidates, else error: IssuerKeyError
    ) throws(IssuerKeyError) -> [JWSVerificationKey] {
        switch candidates {
        case .keys(let keys): return keys
        case .keyIDRequired: throw .keyIDRequired
        case .none: throw error
        }
    }

    private func isAttemptDue(_ now: UnixTime, _ times: IssuerKeyTimes) -> Bool {
        guard let lastAttempt else { return true }
        let elapsed = now.seconds(since: lastAttempt)
        // A clock that was put back must not keep the issuer unasked.
        if elapsed < 0 || elapsed >= times.floor { return true }
        return (1..<IssuerKeyring.maximumGivenUp).contains(givenUp)
    }
}
