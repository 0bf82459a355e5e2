import CredentialClient
import Glibc
public import Logging
import PeerTLS
public import SPIFFE
public import ServiceLifecycle
package import WorkloadAPI

/// This agent's own identity, kept fresh from the Workload API while ``run()`` runs.
///
/// Put it into the `ServiceGroup` (or the `services` of a Hummingbird `Application`), hand it to servers and clients, and
/// forget about certificates: each new connection uses the newest one, established connections go on.
public final class AgentIdentity: Service {
    /// What becomes of an identity over time.
    public enum State: Sendable {
        /// None has come yet.
        case waiting
        /// This one is in use.
        case ready(AgentSVID)
        /// It was taken away: nothing new begins in its name. The source goes on asking for one.
        case withdrawn
    }

    let source: X509Source
    let now: @Sendable () -> UnixTime
    let revocations: RevocationSource
    /// What proofs for single requests are made and judged with.
    let proofs: WITSource
    private let tokens: JWTSource

    /// How long a node agent may be without news of revocations before nobody is believed any more.
    public static let defaultRevocationLimit: Duration = .seconds(30)

    /// Takes the Workload API's address from `SPIFFE_ENDPOINT_SOCKET`.
    /// - Parameters:
    ///   - hint: which identity to take if the agent has several; the default one without it.
    ///   - revocationLimit: new connections are refused when it was last known so long ago what is revoked; `nil` for
    ///     no limit. It means nothing where the Workload API is not AgentShield's.
    public static func fromEnvironment(
        hint: String? = nil, revocationLimit: Duration? = AgentIdentity.defaultRevocationLimit,
        logger: Logger = AgentIdentity.silentLogger
    ) throws(AgentShieldError) -> AgentIdentity {
        guard let value = getenv(WorkloadEndpoint.environmentVariable) else {
            throw .badAddress(WorkloadEndpointError.notSet.description)
        }
        return try AgentIdentity(
            address: String(cString: value), hint: hint, revocationLimit: revocationLimit, logger: logger)
    }

    /// Takes the path of the Workload API's socket.
    public convenience init(
        socketPath: String, hint: String? = nil, revocationLimit: Duration? = AgentIdentity.defaultRevocationLimit,
        logger: Logger = AgentIdentity.silentLogger
    ) {
        self.init(
            endpoint: .unix(path: socketPath), hint: hint, revocationLimit: revocationLimit, logger: logger,
            now: WallClock.now)
    }

    /// Takes the Workload API's address: `unix:///path` or `tcp://address:port`.
    public convenience init(
        address: String, hint: String? = nil, revocationLimit: Duration? = AgentIdentity.defaultRevocationLimit,
        logger: Logger = AgentIdentity.silentLogger
    ) throws(AgentShieldError) {
        let endpoint: WorkloadEndpoint
        do {
            endpoint = try WorkloadEndpoint(address)
        } catch {
            throw .badAddress(error.description)
        }
        self.init(
            endpoint: endpoint, hint: hint, revocationLimit: revocationLimit, logger: logger, now: WallClock.now)
    }

    /// With a clock of one's own, for tests.
    package init(
        endpoint: WorkloadEndpoint, hint: String? = nil,
        revocationLimit: Duration? = AgentIdentity.defaultRevocationLimit, logger: Logger = AgentIdentity.silentLogger,
        now: @escaping @Sendable () -> UnixTime
    ) {
        let client = WorkloadAPIClient(endpoint: endpoint)
        let environment = SourceEnvironment(now: now)
        self.now = now
        let selection: IdentitySelection = hint.map { .hint($0) } ?? .first
        source = X509Source(client: client, selection: selection, environment: environment, logger: logger)
        revocations = RevocationSource(
            source: source,
            limit: revocationLimit.map {
                $0.components.seconds * 1000 + $0.components.attoseconds / 1_000_000_000_000_000
            },
            environment: environment, logger: logger)
        tokens = JWTSource(client: client, environment: environment)
        proofs = WITSource(client: client, selection: selection, environment: environment, logger: logger)
    }

    /// The identity now; `nil` before the first one and after it was withdrawn.
    public var current: AgentSVID? { source.current.map { AgentSVID($0.svid) } }

    /// The identity now and after each change; a slow reader gets the newest only.
    public var updates: AsyncStream<State> {
        let (stream, continuation) = AsyncStream.makeStream(of: State.self, bufferingPolicy: .bufferingNewest(1))
        let task = Task { [updates = source.updates] in
            for await status in updates {
                switch status {
                case .waiting: continuation.yield(.waiting)
                case .ready(let identity): continuation.yield(.ready(AgentSVID(identity.svid)))
                case .withdrawn, .ended: continuation.yield(.withdrawn)
                }
            }
            continuation.finish()
        }
        continuation.onTermination = { _ in task.cancel() }
        return stream
    }

    /// Waits for the first identity, but no longer than `limit`.
    @discardableResult
    public func waitUntilReady(within limit: Duration = .seconds(30)) async throws(AgentShieldError) -> AgentSVID {
        do {
            return AgentSVID(try await source.waitUntilReady(within: limit).svid)
        } catch {
            throw .noIdentity(error.description)
        }
    }

    /// A JWT-SVID for these audiences, for where mutual TLS does not reach. A bearer token: never log it.
    public func token(audience: String...) async throws(AgentShieldError) -> String {
        do {
            return try await tokens.fetch(audience: audience).token
        } catch {
            throw .noIdentity(error.description)
        }
    }

    /// Keeps the identity fresh until the task is cancelled or a graceful shutdown begins.
    public func run() async throws {
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { [revocations] in await revocations.follow() }
                group.addTask { [tokens] in await tokens.follow() }
                group.addTask { [proofs] in await proofs.follow() }
                group.addTask { [source] in try await source.run() }
                defer { group.cancelAll() }
                // Following ends with its task only: the first to end is the source.
                try await group.next()
            }
        } catch let error as X509SourceError {
            throw AgentShieldError.noIdentity(error.description)
        }
    }

    /// A logger that says nothing.
    public static let silentLogger = Logger(label: "agentshield", factory: { _ in SwiftLogNoOpLogHandler() })

    /// The identity for a handshake that begins now.
    func usable() throws(AgentShieldError) -> TLSIdentity {
        guard let identity = source.current else {
            if case .withdrawn = source.status { throw .identityWithdrawn }
            throw .noIdentity("there is no identity yet")
        }
        guard now() < identity.svid.expiresAt else { throw .identityExpired }
        return identity
    }

    func verifier(_ rule: PeerRule) -> PeerVerifier {
        PeerVerifier(identity: source.live, authorizer: rule.authorizer, revocations: revocations, now: now)
    }
}

/// What an agent may know about its own certificate.
public struct AgentSVID: Sendable, Hashable {
    /// Who the agent is.
    public let id: SPIFFEID
    /// The certificate's serial number in lower-case hexadecimal.
    public let serialNumber: String
    /// When the certificate ends, in seconds since 1970.
    public let expiresAt: Int64

    init(_ svid: X509SVID) {
        id = svid.id
        serialNumber = svid.leaf.serialNumber.hex
        expiresAt = svid.expiresAt.seconds
    }
}
