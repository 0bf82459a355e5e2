import AuditTrail
import BundleEndpointClient
import Issuance
import JOSE
import Logging
import Registry
import SPIFFE
import Synchronization

/// Keeps the bundles of federated trust domains as their endpoints publish them.
///
/// Each relationship has its own turn: at the refresh hint of its bundle, within bounds and never later than the hint;
/// after a failure in growing steps. A relationship from the configuration wins over a stored one of the same domain.
final class FederationKeeper: Sendable {
    /// What is remembered of one relationship between two turns.
    private struct Turn: Sendable {
        let relationship: FederationRelationship
        var nextAt: UnixTime
        /// How long before `nextAt` the turn was set, in milliseconds.
        var pause: Int64 = 0
        var failures = 0
        var isRunning = false
        /// The last failure that was recorded; the same one again is not.
        var complaint: String?

        /// More time left than there was at first means that the clock was put back: then it is time too.
        func isDue(_ now: UnixTime) -> Bool {
            let left = nextAt.milliseconds - now.milliseconds
            return !isRunning && (left <= 0 || left > pause)
        }
    }

    private let configured: [TrustDomain: FederationRelationship]
    private let webRoots: BundleEndpointClient.WebRoots
    private let registry: Registry
    private let authorities: Authorities
    private let log: AuditLog
    private let world: ControlPlane.World
    private let logger: Logger
    private let client: BundleEndpointClient
    // Guards the turns, by trust domain.
    private let turns = Mutex<[TrustDomain: Turn]>([:])

    init(
        _ configuration: ControlPlaneConfiguration, registry: Registry, authorities: Authorities,
        revocations: RevocationRegister, log: AuditLog, world: ControlPlane.World, logger: Logger
    ) throws {
        var configured: [TrustDomain: FederationRelationship] = [:]
        for relationship in configuration.federation {
            guard relationship.trustDomain != configuration.trustDomain else { throw RegistryError.ownTrustDomain }
            configured[relationship.trustDomain] = relationship
        }
        self.configured = configured
        webRoots = try configuration.federationWebRoots.map { .pem(try WebCertificateFiles.contents($0)) } ?? .system
        self.registry = registry
        self.authorities = authorities
        self.log = log
        self.world = world
        self.logger = logger
        // Endpoints of other trust domains are not in the register: it answers for its own alone.
        client = BundleEndpointClient(
            now: world.now, isRevoked: { revocations.revoked.revocation(of: $0) != nil })
    }

    /// Where the bundle of this trust domain is fetched from.
    func relationship(_ trustDomain: TrustDomain) -> FederationRelationship? {
        configured[trustDomain] ?? registry.federationRelationship(trustDomain)
    }

    /// Takes every turn until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                for relationship in due() {
                    group.addTask { _ = try? await self.takeTurn(relationship) }
                }
                do { try await world.sleep(.seconds(1)) } catch { break }
            }
            group.cancelAll()
        }
    }

    /// Fetches the bundle of one trust domain now.
    func refresh(_ trustDomain: TrustDomain) async throws(FederationError) {
        guard let relationship = relationship(trustDomain) else { throw .noRelationship }
        _ = due(only: trustDomain)
        try await takeTurn(relationship)
    }

    // MARK: turns

    /// The relationships whose turn it is, marked as running. Forgets those that are gone, and begins changed ones anew.
    private func due(only trustDomain: TrustDomain? = nil) -> [FederationRelationship] {
        var current = configured
        for relationship in registry.federationRelationships() where current[relationship.trustDomain] == nil {
            current[relationship.trustDomain] = relationship
        }
        let now = world.now()
        return turns.withLock { turns in
            turns = turns.filter { current[$0.key] == $0.value.relationship }
            var due: [FederationRelationship] = []
            for (domain, relationship) in current {
                var turn = turns[domain] ?? Turn(relationship: relationship, nextAt: now)
                if trustDomain.map({ $0 == domain }) ?? turn.isDue(now) {
                    turn.isRunning = true
                    due.append(relationship)
                }
                turns[domain] = turn
            }
            return due
        }
    }

    private func takeTurn(_ relationship: FederationRelationship) async throws(FederationError) {
        do throws(FederationError) {
            let bundle = try await fetch(relationship)
            end(relationship, failure: nil, delay: FederationSchedule.delay(hint: bundle.refreshHint, spread: spread()))
        } catch {
            let hasBundle = registry.federatedBundle(relationship.trustDomain) != nil
            let failures = turns.withLock { ($0[relationship.trustDomain]?.failures ?? 0) + 1 }
            let isNew = end(
                relationship, failure: error.description,
                delay: FederationSchedule.delay(failures: failures, hasBundle: hasBundle, spread: spread()))
            if isNew, !Task.isCancelled { await complain(error, relationship) }
            throw error
        }
    }

    /// - Returns: whether the failure is another than the one before.
    @discardableResult
    private func end(_ relationship: FederationRelationship, failure: String?, delay: Duration) -> Bool {
        let now = world.now()
        return turns.withLock { turns in
            guard var turn = turns[relationship.trustDomain], turn.relationship == relationship else {
                return failure != nil
            }
            turn.isRunning = false
            turn.pause = Int64(delay / .milliseconds(1))
            turn.nextAt = UnixTime(milliseconds: now.milliseconds + turn.pause)
            turn.failures = failure == nil ? 0 : turn.failures + 1
            let isNew = turn.complaint != failure
            turn.complaint = failure
            turns[relationship.trustDomain] = turn
            return isNew
        }
    }

    /// A number between 0 and 1.
    private func spread() -> Double {
        Double(world.randomBytes(2).reduce(0) { $0 << 8 | Int($1) }) / 65535
    }

    // MARK: one fetch

    /// Fetches, judges and stores; nothing is written when nothing has changed.
    private func fetch(_ relationship: FederationRelationship) async throws(FederationError) -> TrustBundle {
        let authentication = try authentication(relationship)
        let document: [UInt8]
        do throws(BundleEndpointError) {
            document = try await client.fetch(relationship.bundleEndpointURL, authentication)
        } catch {
            throw .endpoint(error)
        }
        let bundle: TrustBundle
        do throws(BundleError) {
            bundle = try TrustBundle(parsingSPIFFEJSON: document, trustDomain: relationship.trustDomain)
        } catch {
            throw .malformed(error)
        }
        let trustDomain = relationship.trustDomain
        // What has been taken back while the fetch was under way is not written.
        let isWanted = { @Sendable in self.relationship(trustDomain) == relationship }
        guard isWanted() else { throw .noRelationship }
        let stored = registry.federatedBundle(trustDomain)
        // Asked once more where it is written; here so that a repeated refusal is not recorded as an act each time.
        do throws(FederatedBundleRefusal) {
            try FederatedBundleRules.check(bundle, replacing: stored?.parsed)
        } catch {
            throw .refused(error)
        }
        guard stored?.document != bundle.spiffeJSON() else { return bundle }
        do throws(RegistryError) {
            try await registry.writeFetchedBundle(
                bundle, requestID: Hex.encode(world.randomBytes(16)), isWanted: isWanted)
        } catch {
            switch error {
            case .bundleRefused(let refusal): throw .refused(refusal)
            case .relationshipNotFound: throw .noRelationship
            default: throw .storage(error)
            }
        }
        logger.info(
            "fetched a new bundle",
            metadata: ["trustDomain": "\(relationship.trustDomain.name)", "sequence": "\(bundle.sequenceNumber)"])
        return bundle
    }

    private func authentication(
        _ relationship: FederationRelationship
    ) throws(FederationError) -> BundleEndpointClient.Authentication {
        guard case .spiffe(let endpointID) = relationship.profile else { return .web(webRoots) }
        let domain = endpointID.trustDomain
        let bundle =
            domain == registry.trustDomain
            ? authorities.bundle : registry.federatedBundle(domain)?.parsed
        guard let bundle else { throw .noBundle(domain) }
        return .spiffe(endpointID: endpointID, bundle: bundle.x509Bundle)
    }

    /// Into the operator's log always, into the audit log where the other side may not be who it should be.
    private func complain(_ error: FederationError, _ relationship: FederationRelationship) async {
        logger.warning(
            "cannot refresh a federated bundle",
            metadata: ["trustDomain": "\(relationship.trustDomain.name)", "error": "\(error)"])
        guard error.isRefusal else { return }
        _ = try? await log.record(
            AuditEvent(
                type: .bundleRefuse, agent: .internal(),
                resource: AuditEvent.ResourceField(kind: "federated-bundle", id: relationship.trustDomain.name),
                decision: AuditEvent.DecisionField(action: "refresh", result: .deny, reason: error.code),
                correlation: AuditEvent.CorrelationField(requestID: Hex.encode(world.randomBytes(16))),
                effect: AuditEvent.EffectField(observed: .none)))
    }
}
