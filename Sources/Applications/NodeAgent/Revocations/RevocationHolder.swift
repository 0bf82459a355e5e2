import Logging
import Revocation
import SPIFFE
import Synchronization

/// What the node agent knows of revocations: verified, kept over restarts, and followed by local verifiers.
final class RevocationHolder: Sendable {
    /// Name of the stored snapshot in the agent's directory.
    static let fileName = "revocations.jws"
    /// Most streams of verifiers at once.
    static let maximumObservers = 20_000

    private struct State {
        var held: HeldRevocations
        var token: [UInt8]
        var lists: [[UInt8]] = []
        var observers: [UInt64: Signal] = [:]
        var nextObserver: UInt64 = 0
    }

    private let directory: AgentDirectory
    private let limit: Int64?
    private let now: @Sendable () -> UnixTime
    private let logger: Logger
    private let state: Mutex<State>

    /// Begins with what an earlier run has verified and stored. It counts at once; nothing older is taken any more. If it
    /// cannot be read, nothing rests on what is held before the control plane has told it anew.
    /// - Parameter limit: milliseconds without news after which nothing may rest on it; nil for no limit.
    init(
        directory: AgentDirectory, trustDomain: TrustDomain, limit: Int64?, logger: Logger,
        now: @escaping @Sendable () -> UnixTime
    ) {
        self.directory = directory
        self.limit = limit
        self.now = now
        self.logger = logger
        let (memory, token) = Self.remembered(directory, trustDomain)
        if case .damaged = memory {
            logger.error(
                "the stored revocations are damaged; no token is validated before the control plane has sent them anew",
                metadata: ["file": "\(directory.path(of: Self.fileName))"])
        }
        state = Mutex(State(held: HeldRevocations(startedAt: now(), memory: memory), token: token))
    }

    private static func remembered(
        _ directory: AgentDirectory, _ trustDomain: TrustDomain
    ) -> (HeldRevocations.Memory, token: [UInt8]) {
        do throws(NodeAgentError) {
            guard let token = try directory.read(fileName) else { return (.none, []) }
            guard let snapshot = try? SignedRevocations.readStored(token), snapshot.trustDomain == trustDomain else {
                return (.damaged, [])
            }
            return (.snapshot(snapshot), token)
        } catch {
            return (.damaged, [])
        }
    }

    /// The newest snapshot that was verified.
    var snapshot: RevocationSnapshot? { state.withLock { $0.held.snapshot } }

    /// CRLs in DER for those who read nothing else.
    var revocationLists: [[UInt8]] { state.withLock(\.lists) }

    /// Whether decisions may rest on what is held.
    var isFresh: Bool { state.withLock { $0.held.isFresh(at: now(), limit: limit) } }

    /// Whether everything with this ID is revoked.
    func revokes(_ id: SPIFFEID) -> Bool { state.withLock { $0.held.snapshot?.revoked.revokes(id) ?? false } }

    /// What local verifiers are told.
    var message: (token: [UInt8], age: Int64?, isOffered: Bool) {
        state.withLock { state in
            (state.token, state.held.age(at: now()), state.held.isOffered)
        }
    }

    /// Takes what the control plane just sent: verified, not older than what is held, stored, and then in force.
    func take(_ token: [UInt8], lists: [[UInt8]], bundle: X509Bundle) throws(RevocationError) -> HeldRevocations.Change
    {
        let time = now()
        let snapshot = try SignedRevocations.verify(token, bundle: bundle, at: time)
        let change = try state.withLock { state throws(RevocationError) in
            let change = try state.held.take(snapshot, confirmedAt: time)
            if state.held.snapshot == snapshot { state.token = token }
            state.lists = lists
            return change
        }
        do throws(NodeAgentError) {
            // What cannot be read makes way as well.
            if (try? directory.read(Self.fileName)) != token { try directory.replace(Self.fileName, with: token) }
        } catch {
            // In force all the same: only the memory of a restart is shorter.
            logger.error("the revocations cannot be stored", metadata: ["reason": "\(error)"])
        }
        tellObservers()
        return change
    }

    /// The control plane named the number of its newest state; whether that is the one held.
    func confirm(sequence: Int64) -> Bool {
        let isHeld = state.withLock { state in
            guard state.held.snapshot?.sequence == sequence else { return false }
            state.held.confirm(at: now())
            return true
        }
        if isHeld { tellObservers() }
        return isHeld
    }

    /// The control plane has no revocations.
    func notOffered() {
        state.withLock { $0.held.notOffered() }
        tellObservers()
    }

    /// Follows every change and every sign of life; `nil` when too many do.
    func observe() -> RevocationObserver? {
        let signal = Signal()
        let number: UInt64? = state.withLock { state in
            guard state.observers.count < Self.maximumObservers else { return nil }
            let number = state.nextObserver
            state.nextObserver += 1
            state.observers[number] = signal
            return number
        }
        return number.map { RevocationObserver(holder: self, number: $0, signal: signal) }
    }

    fileprivate func forget(_ number: UInt64) { state.withLock { _ = $0.observers.removeValue(forKey: number) } }

    private func tellObservers() {
        let observers = state.withLock { Array($0.observers.values) }
        for observer in observers { observer.fire() }
    }
}

/// One stream's place among those who follow revocations; gone with its last reference.
final class RevocationObserver: Sendable {
    let signal: Signal
    private let holder: RevocationHolder
    private let number: UInt64

    fileprivate init(holder: RevocationHolder, number: UInt64, signal: Signal) {
        self.holder = holder
        self.number = number
        self.signal = signal
    }

    deinit { holder.forget(number) }
}
