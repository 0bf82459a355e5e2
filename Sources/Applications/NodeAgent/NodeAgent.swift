import Attestation
import AuditTrail
import ControlPlaneAPI
import Crypto
package import Logging
package import Observability
import PeerRPC
package import SPIFFE
import SecretDiscovery
import Synchronization
import WorkloadAPI

/// The node agent: attests its node, follows the entries that the node may serve, and serves the Workload API.
package final class NodeAgent: Sendable {
    private let configuration: NodeAgentConfiguration
    private let logger: Logger
    private let logLevel: LogLevelSwitch
    private let now: @Sendable () -> UnixTime
    private let randomBytes: @Sendable (Int) -> [UInt8]
    private let sleep: @Sendable (Duration) async throws -> Void
    private let stop = Signal()
    private let hasRun = Atomic<Bool>(false)

    /// How often streams look whether their process is still there.
    private static let processCheck = Duration.seconds(5)
    /// How long the last delivery of audit records may take.
    private static let farewell = Duration.seconds(2)

    /// An agent that has not started; clock, randomness and sleeping are handed in.
    package init(
        configuration: NodeAgentConfiguration, logger: Logger, logLevel: LogLevelSwitch,
        now: @escaping @Sendable () -> UnixTime,
        randomBytes: @escaping @Sendable (Int) -> [UInt8],
        sleep: @escaping @Sendable (Duration) async throws -> Void
    ) {
        self.configuration = configuration
        self.logger = logger
        self.logLevel = logLevel
        self.now = now
        self.randomBytes = randomBytes
        self.sleep = sleep
    }

    /// Runs until ``shutDown()`` or until the task is cancelled, then drains and returns.
    ///
    /// `ready` is called once, when the Workload API accepts calls and entries, bundles and first SVIDs are there. While
    /// the server is away the agent waits for it.
    /// - Throws: `NodeAgentError`.
    package func run(ready: @escaping @Sendable () async -> Void) async throws {
        guard !hasRun.exchange(true, ordering: .relaxed) else { throw NodeAgentError.alreadyRan }
        let store = IdentityStore(
            directory: try AgentDirectory(path: configuration.dataDirectory), trustDomain: configuration.trustDomain)
        // A wrong socket directory is found before a join token is spent.
        do throws(SocketError) {
            try SocketDirectory.prepare(path: configuration.workloadSocketPath, access: .everyone)
        } catch {
            throw NodeAgentError.workloadSocket(error.description)
        }
        if let path = configuration.adminSocketPath {
            guard path != configuration.workloadSocketPath else {
                throw NodeAgentError.adminSocket("`\(path)` is the socket of the Workload API")
            }
            do throws(SocketError) {
                try SocketDirectory.prepare(path: path, access: .owner)
            } catch {
                throw NodeAgentError.adminSocket(error.description)
            }
        }
        let spool: AuditSpool
        do throws(SpoolError) {
            spool = try AuditSpool.open(
                directory: store.directory.path(of: "spool"), limitBytes: configuration.auditSpoolLimit, now: now,
                randomBytes: randomBytes)
        } catch {
            throw NodeAgentError.auditSpool("`\(store.directory.path(of: "spool"))`: \(error.description)")
        }
        let audit = AgentAudit(spool: spool, policy: configuration.auditPolicy, logger: logger)
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(try await serve(store, audit, ready))
        } catch {
            outcome = error is CancellationError ? .success(()) : .failure(error)
        }
        await spool.close()
        try outcome.get()
    }

    /// Ends ``run(ready:)`` when calls under way are done.
    package func shutDown() { stop.fire() }

    private func serve(
        _ store: IdentityStore, _ audit: AgentAudit, _ ready: @escaping @Sendable () async -> Void
    ) async throws {
        let attestation = NodeAttestation(
            configuration: configuration, store: store, logger: logger, now: now, randomBytes: randomBytes,
            sleep: sleep)
        let revocations = RevocationHolder(
            directory: store.directory, trustDomain: configuration.trustDomain,
            limit: configuration.revocationLimit.map { $0.components.seconds * 1000 }, logger: logger, now: now)
        let shared = Shared(
            revocations: revocations,
            cache: AgentCache(
                bundle: TrustBundle(trustDomain: configuration.trustDomain),
                x509Limit: configuration.x509CacheLimit, jwtLimit: configuration.jwtCacheLimit),
            syncSignal: Signal(), signSignal: Signal())
        let tokens = TokenSource(
            cache: shared.cache, syncSignal: shared.syncSignal, logger: logger, now: now)
        let randomBytes = randomBytes
        let wits = WITSource(
            cache: shared.cache, syncSignal: shared.syncSignal, logger: logger, now: now,
            random: { RandomFraction.draw(randomBytes) })
        let credentials = Credentials(tokens: tokens, wits: wits)
        let health = HealthService(services: ["SpiffeWorkloadAPI", SecretDiscoveryService.name])
        let cgroups = await WorkloadAttestation.offLoop { [instance] in LaunchCgroups.open(instance: instance) }
        logger.info("launches are told apart", metadata: ["by": cgroups == nil ? "lineage" : "cgroup"])
        let server = workloadServer(shared, credentials, audit, health, LaunchTable(cgroups: cgroups))
        let admin = adminServer(shared, audit, startedAt: now())

        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                do {
                    try await server.run()
                } catch let error as SocketError {
                    throw NodeAgentError.workloadSocket(error.description)
                }
            }
            if let admin {
                // Ends with the group: what is asked here has nothing to drain.
                group.addTask {
                    do {
                        try await admin.run()
                    } catch let error as SocketError {
                        throw NodeAgentError.adminSocket(error.description)
                    }
                }
            }
            group.addTask { [self] in
                try await live(attestation, shared, credentials, audit, health) {
                    if let admin { guard await admin.waitUntilListening() else { return } }
                    guard await server.waitUntilListening() else { return }
                    await ready()
                }
            }
            group.addTask { [self] in
                _ = try await stop.wait()
                health.setAll(.notServing)
                await recordStop(shared, audit)
                server.beginGracefulShutdown()
                // The server's own end comes first when its calls are done.
                try await Task.sleep(for: .seconds(60))
            }
            group.addTask { [self] in
                try await ExpiryLoop(cache: shared.cache, now: now, sleep: sleep).run()
            }
            group.addTask { [self] in
                while true {
                    try await sleep(Self.processCheck)
                    shared.cache.remindFollowers()
                }
            }
            group.addTask { [self] in
                while true {
                    try await sleep(Self.witCheck)
                    shared.cache.remindOfWITs(at: now())
                }
            }
            group.addTask { [self] in
                while true {
                    try await sleep(RefusalLimit.interval)
                    await audit.endInterval()
                }
            }
            // The first end is the agent's end: the server's after a shutdown, or an error.
            try await group.next()
        }
        await WorkloadAttestation.offLoop { cgroups?.close() }
    }

    /// Tells node agents of one machine apart, by the socket that only one of them can have.
    private var instance: String {
        var hash = SHA256()
        hash.update(data: Array(configuration.workloadSocketPath.utf8))
        return HexText.encode(hash.finalize().prefix(8))
    }

    /// Records an orderly stop and gives the spool a moment to empty; what stays is shipped at the next start.
    private func recordStop(_ shared: Shared, _ audit: AgentAudit) async {
        guard let id = shared.standing.withLock({ $0 }) else { return }
        await audit.note(WorkloadEvents.life(.agentStop, id: id, requestID: HexText.encode(randomBytes(16))))
        for _ in 0..<Self.lastShipmentTurns {
            guard await audit.spool.pendingCount() > 0 else { return }
            do { try await sleep(.milliseconds(25)) } catch { return }
        }
    }

    /// How often an agent that stops looks whether its spool is empty: two seconds in all.
    private static let lastShipmentTurns = 80

    /// How often it is looked whether a WIT-SVID is to be replaced.
    private static let witCheck = Duration.seconds(1)

    /// What is signed when a workload asks for it.
    private struct Credentials: Sendable {
        let tokens: TokenSource
        let wits: WITSource
    }

    /// What stays while identities come and go.
    private final class Shared: Sendable {
        /// The agent's own ID once it is attested.
        let standing = Mutex<SPIFFEID?>(nil)
        /// What holds the agent's present identity.
        let connection = Mutex<ServerConnection?>(nil)
        let revocations: RevocationHolder
        let revocationSignal = Signal()
        let cache: AgentCache
        let syncSignal: Signal
        let signSignal: Signal

        init(revocations: RevocationHolder, cache: AgentCache, syncSignal: Signal, signSignal: Signal) {
            self.revocations = revocations
            self.cache = cache
            self.syncSignal = syncSignal
            self.signSignal = signSignal
        }
    }

    /// The server for the agent's own user, when it is configured.
    private func adminServer(_ shared: Shared, _ audit: AgentAudit, startedAt: UnixTime) -> PeerServer? {
        guard let path = configuration.adminSocketPath else { return nil }
        return PeerServer.unixSocket(
            path: path, access: .owner,
            services: [
                AgentLoggerService(level: logLevel, audit: audit, randomBytes: randomBytes),
                AgentDebugService(
                    cache: shared.cache, identity: { shared.connection.withLock { $0 }?.identity },
                    startedAt: startedAt, now: now),
            ])
    }

    private func workloadServer(
        _ shared: Shared, _ credentials: Credentials, _ audit: AgentAudit, _ health: HealthService,
        _ launches: LaunchTable
    ) -> PeerServer {
        let attestation = WorkloadAttestation(
            attestor: UnixWorkloadAttestor(
                discoverWorkloadPath: configuration.discoverWorkloadPath,
                workloadSizeLimit: configuration.workloadSizeLimit,
                systemd: configuration.discoverSystemdUnit ? SystemdUnits() : nil, launches: launches, now: now))
        let service = WorkloadService(
            configuration: configuration, cache: shared.cache, revocations: shared.revocations,
            tokens: credentials.tokens, wits: credentials.wits, attestation: attestation,
            audit: audit, signSignal: shared.signSignal,
            callerLimit: CallerLimit(callsPerSecond: configuration.callsPerSecond), logger: logger, now: now,
            randomBytes: randomBytes, sleep: sleep)
        let launch = LaunchService(
            launches: launches, attestation: attestation, cache: shared.cache, audit: audit, logger: logger,
            randomBytes: randomBytes, sleep: sleep)
        let reflection = ServerReflection(
            services: [
                "SpiffeWorkloadAPI", SecretDiscoveryService.name,
                Agentshield_Workload_V1_Revocation.descriptor.fullyQualifiedService,
                Agentshield_Agent_V1_Launch.descriptor.fullyQualifiedService,
            ],
            descriptorSets: [workloadAPIDescriptors, secretDiscoveryDescriptors])
        return PeerServer.unixSocket(
            path: configuration.workloadSocketPath, access: .everyone,
            limits: .with { $0.grace = .seconds(2) },
            services: [
                WorkloadAPIService(service), RevocationWatchService(service), launch,
                SecretDiscoveryService(
                    service, names: configuration.secretNames, logger: logger, randomBytes: randomBytes),
                health, ReflectionService(reflection), ReflectionAlphaService(reflection),
            ],
            interceptors: [
                .apply(RefusalInterceptor(audit: audit, randomBytes: randomBytes), to: .all),
                .apply(WorkloadHeaderInterceptor(), to: .all),
            ])
    }

    /// Lives with one identity after the other.
    private func live(
        _ attestation: NodeAttestation, _ shared: Shared, _ credentials: Credentials, _ audit: AgentAudit,
        _ health: HealthService, _ ready: @escaping @Sendable () async -> Void
    ) async throws {
        var standing = try await attestation.stand()
        let firstReady = Atomic<Bool>(false)
        var patience = BackOff(initial: .milliseconds(100), cap: .seconds(30))
        while true {
            shared.standing.withLock { $0 = standing.identity.id }
            await audit.note(
                WorkloadEvents.life(.agentStart, id: standing.identity.id, requestID: HexText.encode(randomBytes(16))))
            let began = now()
            do {
                return try await live(standing, attestation, shared, credentials, audit) {
                    health.setAll(.serving)
                    if !firstReady.exchange(true, ordering: .relaxed) { await ready() }
                }
            } catch let replaced as NodeReplaced {
                await noteEnd(of: standing, "replaced", audit)
                standing = replaced.standing
            } catch is TrustLost {
                await noteEnd(of: standing, "trustLost", audit)
                standing = try await attestation.rebootstrap(standing)
            } catch let refusal as NodeRefused {
                await noteEnd(of: standing, refusal.reason.rawValue, audit)
                // Two nodes with one certificate would put each other out as fast as they can.
                if now().seconds(since: began) >= Self.longLife { patience.succeeded() }
                standing = try await replacement(for: standing, refusal, attestation, &patience)
            }
        }
    }

    /// Seconds after which an identity is not taken to be fought over.
    private static let longLife: Int64 = 60

    private func noteEnd(of standing: NodeAttestation.Standing, _ reason: String, _ audit: AgentAudit) async {
        await audit.note(
            WorkloadEvents.life(
                .agentStop, id: standing.identity.id, requestID: HexText.encode(randomBytes(16)), reason: reason))
    }

    /// A new identity in the place of one that the server refuses or that has ended; a banned node gets none.
    private func replacement(
        for standing: NodeAttestation.Standing, _ refusal: NodeRefused, _ attestation: NodeAttestation,
        _ patience: inout BackOff
    ) async throws -> NodeAttestation.Standing {
        let id = standing.identity.id
        do {
            guard refusal.reason != .banned else { throw NodeAgentError.banned(id) }
            guard let proof = attestation.proof(besides: standing.identity) else {
                throw NodeAgentError.identityRefused(id, refusal.reason)
            }
            if proof.canRepeat { try await sleep(patience.failed(random: RandomFraction.draw(randomBytes))) }
            return try await attestation.attest(
                proof, isStart: false, mistrustedSince: standing.trust.refusedSince)
        } catch NodeAgentError.banned {
            try attestation.store.removeIdentity()
            throw NodeAgentError.banned(id)
        }
    }

    private func live(
        _ standing: NodeAttestation.Standing, _ attestation: NodeAttestation, _ shared: Shared,
        _ credentials: Credentials,
        _ audit: AgentAudit, _ ready: @escaping @Sendable () async -> Void
    ) async throws {
        let connection = try ServerConnection(
            endpoint: NodeAPIClient.Endpoint(host: configuration.serverHost, port: configuration.serverPort),
            identity: standing.identity, trust: standing.trust, sleep: sleep)
        let parts = AgentParts(
            configuration: configuration, cache: shared.cache, connection: connection, trust: standing.trust,
            attestation: attestation, store: attestation.store, audit: audit, logger: logger, now: now,
            randomBytes: randomBytes, sleep: sleep,
            syncSignal: shared.syncSignal, signSignal: shared.signSignal, renewSignal: Signal(), push: PushState(),
            revocations: shared.revocations, revocationSignal: shared.revocationSignal)
        shared.connection.withLock { $0 = connection }
        _ = shared.cache.replace(bundle: standing.bundle, federated: [:])
        credentials.tokens.use(connection)
        credentials.wits.use(connection)
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask { await connection.run() }
            group.addTask {
                let sync = SyncLoop(parts: parts)
                try await sync.first()
                await RevocationLoop(parts: parts).first()
                // Workloads are served from now on; what they ask for is signed before what is signed ahead.
                shared.cache.setReady()
                try await SignLoop(parts: parts).pass()
                await ready()
                try await withThrowingTaskGroup(of: Void.self) { loops in
                    defer { loops.cancelAll() }
                    loops.addTask { try await sync.run() }
                    loops.addTask { try await SignLoop(parts: parts).run() }
                    loops.addTask { try await RevocationLoop(parts: parts).run() }
                    loops.addTask { try await PushLoop(parts: parts).run() }
                    loops.addTask { await self.postStatus(connection) }
                    while try await loops.next() != nil {}
                }
            }
            group.addTask { try await RenewalLoop(parts: parts).run() }
            if attestation.mayRebootstrap { group.addTask { try await TrustWatch(parts: parts).run() } }
            group.addTask {
                try await SpoolShipper(
                    audit: audit, connection: connection, logger: parts.logger, randomBytes: parts.randomBytes,
                    sleep: parts.sleep
                ).run()
            }
            try await group.next()
        }
    }

    private func postStatus(_ connection: ServerConnection) async {
        do {
            try await connection.call { try await $0.postStatus(version: configuration.agentVersion) }
        } catch {
            logger.debug("status not posted", metadata: ["reason": "\(error)"])
        }
    }
}
