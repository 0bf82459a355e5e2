import AgentDirectory
import AgentRegistry
import Approvals
import Attestation
import AuditTrail
import Authentication
import ControlPlaneAPI
import GRPCCore
import Issuance
package import Logging
package import Observability
import PeerHTTP
import PeerRPC
import PeerTLS
import Registry
package import SPIFFE
import SQLiteStorage
import Synchronization
import TokenService
import WebFetch

/// The control plane of one trust domain: authority, registry, audit log, and the APIs in front of them.
package struct ControlPlane: Sendable {
    /// What the world outside the process is to this one; handed in, so that tests decide it.
    package struct World: Sendable {
        package var now: @Sendable () -> UnixTime
        package var randomBytes: @Sendable (Int) -> [UInt8]
        package var sleep: @Sendable (Duration) async throws -> Void

        package init(
            now: @escaping @Sendable () -> UnixTime, randomBytes: @escaping @Sendable (Int) -> [UInt8],
            sleep: @escaping @Sendable (Duration) async throws -> Void
        ) {
            self.now = now
            self.randomBytes = randomBytes
            self.sleep = sleep
        }
    }

    private let configuration: ControlPlaneConfiguration
    private let version: String
    private let logger: Logger
    private let logLevel: LogLevelSwitch
    private let world: World
    private let stop = StopSignal()

    package init(
        configuration: ControlPlaneConfiguration, version: String, logger: Logger, logLevel: LogLevelSwitch,
        world: World
    ) {
        self.configuration = configuration
        self.version = version
        self.logger = logger
        self.logLevel = logLevel
        self.world = world
    }

    /// Makes ``run(ready:)`` drain and return.
    package func shutDown() {
        stop.request()
    }

    /// Opens the data directory and serves.
    ///
    /// Returns after ``shutDown()`` or cancellation of the task. The audit log stops last, so that everything that
    /// happens on the way down is in it.
    /// - Parameter ready: called once every listener accepts connections.
    package func run(ready: @escaping @Sendable (Serving) async throws -> Void) async throws {
        let data = try await DataDirectory.open(configuration.dataDirectory, world: world)
        defer { data.close() }
        let log = try await AuditLog.open(
            store: data.auditStore, signer: data.checkpointSigner(origin: configuration.logOrigin),
            origin: configuration.logOrigin, now: world.now, randomBytes: world.randomBytes)
        try data.writeVerifierKey(log.vkey)
        // Among the callers: it gathers who comes back from the last commit by letting them run first.
        let recording = Task(executorPreference: EventLoopExecutor.any) { try await log.run() }
        do {
            try await serve(data, log, ready: ready)
        } catch {
            log.stop()
            _ = await recording.result
            throw error
        }
        log.stop()
        _ = await recording.result
    }

    private func serve(
        _ data: DataDirectory, _ log: AuditLog, ready: @escaping @Sendable (Serving) async throws -> Void
    ) async throws {
        let registry = try await Registry.open(
            trustDomain: configuration.trustDomain, stores: data.registryStores, audit: log, now: world.now,
            randomBytes: world.randomBytes,
            options: Registry.Options(requireParent: configuration.requireParent))
        let authorities = try await Authorities.open(
            trustDomain: configuration.trustDomain, keyStore: try data.keyStore(), store: data.authorityStore,
            audit: log,
            options: Authorities.Options(
                x509Lifetime: configuration.authorityTTL, jwtLifetime: configuration.authorityTTL,
                tokenLifetime: configuration.authorityTTL),
            upstream: configuration.upstream.map { files in
                DiskUpstreamAuthority { () throws(UpstreamError) in try files.read() }
            },
            now: world.now, randomBytes: world.randomBytes)
        let revocations = try await RevocationRegister.open(
            trustDomain: configuration.trustDomain, store: data.revocationStore, audit: log, now: world.now,
            randomBytes: world.randomBytes)
        let directory = try await AgentDirectory.open(
            trustDomain: configuration.trustDomain, jwtIssuer: configuration.jwtIssuer, store: data.directoryStore,
            audit: log, now: world.now, randomBytes: world.randomBytes)
        let approvals = try await ApprovalRegister.open(
            store: data.approvalStore, directory: { directory.snapshot }, audit: log, now: world.now,
            randomBytes: world.randomBytes)
        let judge = CardJudge(trustDomain: configuration.trustDomain) { authorities.cardKeys }
        let agents = try await AgentRegistry.open(
            store: data.agentRegistryStore, audit: log, judge: { judge.judge($0) },
            barred: { BarredAgents.barred(directory: directory, revocations: revocations) },
            nameHolder: { directory.snapshot.agent(named: $0.text)?.spiffeID }, now: world.now,
            randomBytes: world.randomBytes)
        let issuer = Issuer(
            authorities: authorities, audit: log,
            defaults: IssuanceDefaults(
                x509TTL: configuration.x509SVIDTTL, jwtTTL: configuration.jwtSVIDTTL,
                witTTL: configuration.witSVIDTTL,
                nodeTTL: configuration.nodeSVIDTTL,
                jwtIssuer: configuration.jwtIssuer, claims: configuration.claims),
            revocations: revocations, now: world.now, randomBytes: world.randomBytes)
        let webCertificates = try WebCertificateFiles(configuration.webCertificates)
        let clientAuthorities = try configuration.clientAuthorities.map { try ClientAuthorityFile($0) }
        let identity = try await ServerIdentity.open(
            issuer: issuer, names: configuration.certificateNames,
            webCertificates: webCertificates.certificates, now: world.now, randomBytes: world.randomBytes)
        let federation = try FederationKeeper(
            configuration, registry: registry, authorities: authorities, revocations: revocations, log: log,
            world: world, logger: logger)
        let refusals = RefusalRecorder(log: log, now: world.now, sleep: world.sleep)
        let parts = Parts(
            registry: registry, directory: directory, approvals: approvals, agents: agents,
            authorities: authorities, issuer: issuer,
            identity: identity, webCertificates: webCertificates, clientAuthorities: clientAuthorities,
            federation: federation, log: log, refusals: refusals,
            intake: SpoolIntake(log: log, cursors: data.spoolCursors), revocations: revocations,
            publisher: RevocationPublisher(
                register: revocations, issuer: issuer, audit: log, now: world.now, randomBytes: world.randomBytes),
            clients: VerifiedClients(trustDomain: configuration.trustDomain) { authorities.x509Bundle })
        _ = try await log.record(lifecycleEvent(.serverStart, "start"))
        do {
            try await runListeners(parts, ready: ready)
        } catch {
            try? await recordStop(log)
            throw error
        }
        try await recordStop(log)
    }

    /// Everything that the listeners stand on.
    private struct Parts: Sendable {
        let registry: Registry
        let directory: AgentDirectory
        let approvals: ApprovalRegister
        let agents: AgentRegistry
        let authorities: Authorities
        let issuer: Issuer
        let identity: ServerIdentity
        let webCertificates: WebCertificateFiles
        let clientAuthorities: ClientAuthorityFile?
        let federation: FederationKeeper
        let log: AuditLog
        let refusals: RefusalRecorder
        let intake: SpoolIntake
        let revocations: RevocationRegister
        let publisher: RevocationPublisher
        let clients: VerifiedClients
    }

    private func runListeners(
        _ parts: Parts, ready: @escaping @Sendable (Serving) async throws -> Void
    ) async throws {
        let addresses = Addresses()
        let health = HealthService()
        let authorizer = makeAuthorizer(parts)
        let authorization = AuthorizationInterceptor(
            authorizer: authorizer, refusals: parts.refusals,
            limits: RateLimits(configuration.rateLimits, now: world.now, sleep: world.sleep))
        let nodeAPI = PeerServer.tls(
            host: configuration.bindAddress, port: configuration.nodeAPIPort,
            // SPIRE's server ends connections after three minutes too: agents then see new servers and certificates.
            limits: .with {
                $0.maximumAge = .seconds(180)
                $0.maximumConnections = configuration.connectionLimits.total
                $0.maximumConnectionsPerSource = configuration.connectionLimits.perSource
            },
            context: { parts.identity.nodeAPIContext }, verifyClient: { authorizer.verify($0, world.now()) != nil },
            services: nodeServices(parts, addresses),
            interceptors: [.apply(authorization, to: .all)]
        )
        let admin = PeerServer.unixSocket(
            path: configuration.resolvedAdminSocketPath, access: .owner,
            services: adminServices(parts, health, addresses),
            interceptors: [.apply(authorization, to: .all)]
        )
        let https = HTTPSListener(
            address: configuration.bindAddress, port: configuration.httpsPort, identity: parts.identity.live,
            verifier: PeerVerifier(
                bundle: { parts.authorities.verificationBundle(of: $0) }, authorizer: .anyVerified, now: world.now),
            log: parts.log, authorities: parts.authorities,
            discovery: try OIDCDiscovery(configuration, authorities: parts.authorities),
            tokens: try tokenEndpoints(parts, addresses), approvals: try approvalEndpoints(parts),
            revocation: globalTokenRevocation(parts, addresses),
            signals: try signalEndpoint(parts, addresses), agents: registryEndpoints(parts, addresses), logger: logger,
            listening: { port in addresses.setHTTPS(host: configuration.bindAddress, port: port) })
        let listeners = Listeners(nodeAPI: nodeAPI, admin: admin, https: https)
        // Only the listeners come to an end by themselves: at the stop request, drained. The rest is cancelled then.
        try await withThrowingTaskGroup(of: Bool.self) { group in
            addLoops(parts, to: &group)
            group.addTask {
                guard let port = await nodeAPI.listeningPort, await admin.waitUntilListening() else { return false }
                addresses.setNodeAPI("\(configuration.bindAddress):\(port)")
                while addresses.https == nil { try await world.sleep(.milliseconds(2)) }
                health.setAll(.serving)
                try await ready(Serving(configuration, addresses, parts.authorities, parts.registry))
                return false
            }
            group.addTask {
                try await listeners.run(until: stop) { health.setAll(.notServing) }
                return true
            }
            defer { group.cancelAll() }
            while let haveListenersEnded = try await group.next(), !haveListenersEnded {}
        }
    }

    /// What goes on beside the listeners until it is cancelled.
    private func addLoops(_ parts: Parts, to group: inout ThrowingTaskGroup<Bool, any Error>) {
        group.addTask {
            try await parts.refusals.run()
            return false
        }
        group.addTask {
            await parts.authorities.run(sleep: world.sleep) { error in
                logger.error("an authority did not take its turn", metadata: ["error": "\(error)"])
            }
            return false
        }
        group.addTask {
            await parts.identity.run(authorities: parts.authorities, sleep: world.sleep, logger: logger)
            return false
        }
        group.addTask {
            await parts.federation.run()
            return false
        }
        group.addTask {
            await parts.webCertificates.run(sleep: world.sleep, logger: logger)
            return false
        }
        group.addTask {
            await parts.clientAuthorities?.run(sleep: world.sleep, logger: logger)
            return false
        }
        group.addTask {
            await BarredAgents(
                directory: parts.directory, registry: parts.registry, authorities: parts.authorities,
                revocations: parts.revocations, logger: logger, randomBytes: world.randomBytes
            ).run(sleep: world.sleep)
            return false
        }
        group.addTask {
            for await _ in parts.directory.changes() { parts.agents.noteBarred() }
            return false
        }
        group.addTask {
            for await _ in parts.revocations.changes() { parts.agents.noteBarred() }
            return false
        }
        group.addTask {
            await prune(parts)
            return false
        }
    }

    private func makeAuthorizer(_ parts: Parts) -> Authorizer {
        let clients = parts.clients
        return Authorizer(
            trustDomain: configuration.trustDomain, registry: parts.registry, now: world.now,
            randomBytes: world.randomBytes,
            verify: { clients.verify($0, at: $1) }, revocations: parts.revocations)
    }

    private func nodeServices(_ parts: Parts, _ addresses: Addresses) -> [any RegistrableRPCService] {
        spireServices(parts) + [
            PushService(
                registry: parts.registry, authorities: parts.authorities, revocations: parts.revocations,
                heartbeat: .seconds(configuration.pushHeartbeat), sleep: world.sleep),
            SpoolService(intake: parts.intake),
            RevocationSnapshotService(publisher: parts.publisher),
            RevocationService(register: parts.revocations, authorities: parts.authorities),
            TokenAuthorityService(authorities: parts.authorities, revocations: parts.revocations),
            DirectoryService(directory: parts.directory),
            agentCardService(parts, addresses),
            approvalService(parts),
            agentRegistryService(parts, addresses),
            LogService(log: parts.log),
        ]
    }

    private func adminServices(
        _ parts: Parts, _ health: HealthService, _ addresses: Addresses
    ) -> [any RegistrableRPCService] {
        spireServices(parts) + [
            health,
            RevocationService(register: parts.revocations, authorities: parts.authorities),
            TokenAuthorityService(authorities: parts.authorities, revocations: parts.revocations),
            DirectoryService(directory: parts.directory),
            agentCardService(parts, addresses),
            approvalService(parts),
            agentRegistryService(parts, addresses),
            LogService(log: parts.log),
            LoggerService(level: logLevel, log: parts.log),
            DebugService(
                registry: parts.registry, authorities: parts.authorities, identity: parts.identity,
                startedAt: world.now(), now: world.now),
            ServerInfoService(
                version: version, trustDomain: configuration.trustDomain, names: tokenServiceNames(addresses),
                addresses: addresses, startedAt: world.now(), now: world.now),
        ]
    }

    /// SPIRE's server API: the same services on both listeners; the table decides who may call what.
    private func spireServices(_ parts: Parts) -> [any RegistrableRPCService] {
        [
            AgentService(
                registry: parts.registry, issuer: parts.issuer, trustDomain: configuration.trustDomain,
                refusals: parts.refusals, x509pop: x509popVerifier(parts), randomBytes: world.randomBytes),
            EntryService(registry: parts.registry),
            SVIDService(
                registry: parts.registry, issuer: parts.issuer),
            BundleService(
                registry: parts.registry, authorities: parts.authorities, trustDomain: configuration.trustDomain),
            TrustDomainService(registry: parts.registry, keeper: parts.federation),
            LocalAuthorityService(authorities: parts.authorities),
        ]
    }

    /// What the token service is called; nothing until the port is known.
    private func tokenServiceNames(_ addresses: Addresses) -> @Sendable () -> TokenServiceNames? {
        { [configuration] in addresses.httpsPort.map { configuration.tokenServiceNames(httpsPort: $0) } }
    }

    /// The token service and what stands in front of it.
    private func tokenEndpoints(_ parts: Parts, _ addresses: Addresses) throws -> TokenEndpoints {
        let names = tokenServiceNames(addresses)
        let keys = FederatedTokenKeys(authorities: parts.authorities, registry: parts.registry)
        let clients = parts.clients
        return TokenEndpoints(
            service: TokenService(
                directory: { parts.directory.snapshot }, authorities: parts.authorities,
                revocations: parts.revocations, approvals: parts.approvals, audit: parts.log,
                refusals: parts.refusals,
                trust: ClientTrust(
                    jwtAuthorities: { keys.keys(of: $0) }, issuers: try issuerKeys(configuration.trustedIssuers),
                    certificates: parts.clientAuthorities?.judgement,
                    verifiedSVID: { [world] in clients.verify($0, at: world.now()) }),
                grantTrust: try GrantTrust(
                    configuration.grantIssuers, own: configuration.trustDomain, keyring: issuerKeys),
                clientNames: try ForeignClientNames(
                    configuration.foreignClientNames, own: configuration.trustDomain),
                names: names, now: world.now,
                randomBytes: world.randomBytes),
            metadata: TokenMetadata(configuration, authorities: parts.authorities, names: names),
            limiter: RateLimiter(
                perSecond: configuration.rateLimits.tokens, now: world.now, sleep: world.sleep),
            verifyPeer: { [world] in clients.verify($0.chain, at: world.now()) },
            randomBytes: world.randomBytes)
    }

    /// The keys of issuers outside, each list for its own purpose: who may authenticate clients may not thereby approve, vouch or
    /// end anybody.
    private func issuerKeys(_ issuers: [TrustedIssuer]) throws(IssuerKeyringError) -> IssuerKeyring {
        let documents = IssuerDocuments()
        return try IssuerKeyring(
            issuers, now: world.now, observe: { [logger] in logger.report($0) },
            fetch: { request throws(IssuerDocumentError) in try await documents.get(request) })
    }

    private func agentCardService(_ parts: Parts, _ addresses: Addresses) -> AgentCardService {
        AgentCardService(
            registry: parts.registry, directory: parts.directory, issuer: parts.issuer,
            names: tokenServiceNames(addresses), now: world.now)
    }

    private func approvalService(_ parts: Parts) -> ApprovalService {
        ApprovalService(
            register: parts.approvals, directory: parts.directory, people: configuration.socketApprovers,
            now: world.now)
    }

    /// Approvals over HTTP; nil where no identity provider signs people in.
    private func approvalEndpoints(_ parts: Parts) throws -> ApprovalEndpoints? {
        guard !configuration.approverIssuers.isEmpty else { return nil }
        let keys = try issuerKeys(configuration.approverIssuers.map(\.issuer))
        return ApprovalEndpoints(
            register: parts.approvals, directory: parts.directory,
            tokens: ApproverTokens(issuers: configuration.approverIssuers, keys: keys, now: world.now),
            refusals: parts.refusals,
            limiter: RateLimiter(perSecond: configuration.rateLimits.tokens, now: world.now, sleep: world.sleep),
            now: world.now, randomBytes: world.randomBytes)
    }

    /// Ends a subject for whoever may ask from outside.
    private func subjectRevocation(_ parts: Parts, _ addresses: Addresses) -> SubjectRevocation {
        SubjectRevocation(
            directory: parts.directory, registry: parts.registry, authorities: parts.authorities,
            revocations: parts.revocations, names: tokenServiceNames(addresses), jwtIssuer: configuration.jwtIssuer)
    }

    private func globalTokenRevocation(_ parts: Parts, _ addresses: Addresses) -> GlobalTokenRevocation {
        let clients = parts.clients
        return GlobalTokenRevocation(
            revocation: subjectRevocation(parts, addresses), registry: parts.registry, revocations: parts.revocations,
            refusals: parts.refusals,
            limiter: RateLimiter(perSecond: configuration.rateLimits.tokens, now: world.now, sleep: world.sleep),
            now: world.now, verifyPeer: { [world] in clients.verify($0.chain, at: world.now()) },
            randomBytes: world.randomBytes)
    }

    /// Nothing where the operator listens to nobody.
    private func signalEndpoint(_ parts: Parts, _ addresses: Addresses) throws -> SignalEndpoint? {
        guard !configuration.signalIssuers.isEmpty else { return nil }
        let receiver = SignalReceiver(
            configuration.signalIssuers, keyring: try issuerKeys(configuration.signalIssuers.map(\.issuer)),
            revocation: subjectRevocation(parts, addresses),
            audit: parts.log, refusals: parts.refusals, names: tokenServiceNames(addresses),
            limiter: RateLimiter(perSecond: SignalReceiver.tokensPerSecond, now: world.now, sleep: world.sleep),
            now: world.now, randomBytes: world.randomBytes, logger: logger)
        return SignalEndpoint(
            receiver: receiver,
            limiter: RateLimiter(perSecond: configuration.rateLimits.tokens, now: world.now, sleep: world.sleep))
    }

    /// The agent registry for agents and for those who look for them.
    private func registryEndpoints(_ parts: Parts, _ addresses: Addresses) -> RegistryEndpoints {
        let clients = parts.clients
        return RegistryEndpoints(
            agents: parts.agents,
            access: RegistryAccess(
                registry: parts.registry, revocations: parts.revocations, refusals: parts.refusals,
                limiter: RateLimiter(perSecond: configuration.rateLimits.tokens, now: world.now, sleep: world.sleep),
                now: world.now, verifyPeer: { [world] in clients.verify($0.chain, at: world.now()) },
                randomBytes: world.randomBytes),
            trustDomain: configuration.trustDomain, names: tokenServiceNames(addresses),
            watchers: RegistryEndpoints.Watchers(), sleep: world.sleep)
    }

    private func agentRegistryService(_ parts: Parts, _ addresses: Addresses) -> AgentRegistryService {
        AgentRegistryService(
            agents: parts.agents, people: configuration.socketApprovers, trustDomain: configuration.trustDomain,
            names: tokenServiceNames(addresses),
            fetcher: CardFetch(
                verifier: { [world] id in
                    PeerVerifier(
                        bundle: { parts.authorities.verificationBundle(of: $0) }, authorizer: .oneOf([id]),
                        now: world.now)
                },
                isRevoked: { parts.revocations.revoked.revocation(of: $0) != nil }),
            sleep: world.sleep)
    }

    private func x509popVerifier(_ parts: Parts) -> X509PoPVerifier? {
        let trust: X509PoPVerifier.Trust
        switch configuration.x509pop {
        case nil: return nil
        case .externalPKI(let authorities): trust = .externalPKI(authorities: authorities)
        case .spiffe(let prefix):
            trust = .spiffe(prefix: prefix) {
                parts.authorities.verificationBundle(of: configuration.trustDomain)
            }
        }
        return X509PoPVerifier(trust: trust, trustDomain: configuration.trustDomain, now: world.now)
    }

    /// Removes what has expired, every ten seconds until the task is cancelled.
    private func prune(_ parts: Parts) async {
        while !Task.isCancelled {
            do { try await world.sleep(.seconds(10)) } catch { return }
            do throws(RegistryError) {
                try await parts.registry.pruneExpired()
            } catch {
                logger.error("cannot prune the registry", metadata: ["error": "\(error)"])
            }
            do throws(RevocationRegisterError) {
                try await parts.revocations.prune()
            } catch {
                logger.error("cannot prune the revocations", metadata: ["error": "\(error)"])
            }
            do throws(DirectoryError) {
                try await parts.directory.pruneGrants()
            } catch {
                logger.error("cannot prune the agent directory", metadata: ["error": "\(error)"])
            }
            do throws(ApprovalError) {
                try await parts.approvals.prune()
            } catch {
                logger.error("cannot prune the approvals", metadata: ["error": "\(error)"])
            }
        }
    }

    private func recordStop(_ log: AuditLog) async throws {
        _ = try await log.record(lifecycleEvent(.serverStop, "stop"))
    }

    private func lifecycleEvent(_ type: EventType, _ action: String) -> AuditEvent {
        AuditEvent(
            type: type, agent: .internal(),
            resource: AuditEvent.ResourceField(kind: "control-plane", id: configuration.trustDomain.name),
            decision: AuditEvent.DecisionField(action: action, result: .none),
            correlation: AuditEvent.CorrelationField(requestID: Hex.encode(world.randomBytes(16))))
    }
}

extension Logger {
    /// Tells of a fetch of an outside issuer's keys.
    fileprivate func report(_ report: IssuerKeyReport) {
        switch report {
        case .refreshed(let issuer, let passedOver):
            info("read the keys of an issuer", metadata: ["issuer": "\(issuer)", "secret": "\(passedOver.secret)"])
        case .failed(let issuer, let error, let keepsOldKeys):
            warning(
                "cannot read the keys of an issuer",
                metadata: ["issuer": "\(issuer)", "error": "\(error)", "keepsOldKeys": "\(keepsOldKeys)"])
        }
    }
}

extension Authorities {
    /// The roots that certificates of a trust domain verify with here: ours, for our own domain only.
    func verificationBundle(of domain: TrustDomain) -> X509Bundle? {
        domain == trustDomain ? x509Bundle : nil
    }
}
