import AgentDirectory
import AuditTrail
import Authentication
import Crypto
import JOSE
import Logging
import OAuth
import SPIFFE
import Synchronization
import TokenService

/// Takes security event tokens of the operator's transmitters, and ends whom they are about.
final class SignalReceiver: Sendable {
    /// Path of the endpoint below the base URL.
    static let path = "ssf/events"

    private let issuers: [String: SignalIssuer]
    private let keyring: IssuerKeyring
    private let revocation: SubjectRevocation
    private let audit: AuditLog
    private let refusals: RefusalRecorder
    private let names: @Sendable () -> TokenServiceNames?
    private let limiter: RateLimiter
    private let now: @Sendable () -> UnixTime
    private let randomBytes: @Sendable (Int) -> [UInt8]
    private let logger: Logger
    // Guards what each issuer has sent: there are no more memories than issuers on the list.
    private let seen = Mutex<[String: ReplayCache]>([:])

    /// Tokens of one issuer, wherever they come from.
    static let tokensPerSecond = 20
    /// Tokens of one issuer that are remembered at a time.
    private static let rememberedTokens = 50_000

    /// - Parameter limiter: by issuer; every token of it counts that has verified.
    init(
        _ issuers: [SignalIssuer], keyring: IssuerKeyring, revocation: SubjectRevocation, audit: AuditLog,
        refusals: RefusalRecorder, names: @escaping @Sendable () -> TokenServiceNames?, limiter: RateLimiter,
        now: @escaping @Sendable () -> UnixTime, randomBytes: @escaping @Sendable (Int) -> [UInt8], logger: Logger
    ) {
        self.issuers = Dictionary(issuers.map { ($0.issuer.issuer, $0) }) { first, _ in first }
        self.keyring = keyring
        self.revocation = revocation
        self.audit = audit
        self.refusals = refusals
        self.names = names
        self.limiter = limiter
        self.now = now
        self.randomBytes = randomBytes
        self.logger = logger
    }

    /// Why a delivery is not acknowledged. The transmitter sends it again, or gives up.
    enum Refusal: Error {
        case delivery(EventDeliveryError)
        case tooMany(seconds: Int64)
        case unavailable(String)
    }

    /// One delivery: verified, acted upon, recorded, remembered, in this order. Returns when all of it is durable.
    ///
    /// Whoever sends a token a second time is told the same as the first time, and nothing happens.
    func receive(_ token: [UInt8], from address: String) async throws(Refusal) {
        let requestID = Hex.encode(randomBytes(16))
        do throws(Refusal) {
            let (event, issuer) = try await verified(token)
            // Only here: others must not use up what the issuer may send.
            if let wait = limiter.refusal(of: 1, from: event.issuer) { throw Refusal.tooMany(seconds: wait) }
            guard !isKnown(event) else { return }
            let caller = AuditEvent.AgentField(
                id: event.issuer, authMethod: .securityEvent, credentialHash: Hex.encode(SHA256.hash(data: token)),
                peer: AuditEvent.PeerField(address: address))
            let outcome = try await act(event, issuer, DirectoryCaller(caller, requestID: requestID))
            try await record(event, outcome, caller, requestID)
            remember(event)
        } catch {
            refuse(error, address, requestID)
            throw error
        }
    }

    // MARK: whose word it is

    private func verified(
        _ token: [UInt8]
    ) async throws(Refusal) -> (event: VerifiedSecurityEvent, issuer: SignalIssuer) {
        let unverified: UnverifiedSecurityEvent
        do {
            unverified = try UnverifiedSecurityEvent(parsing: token)
        } catch {
            throw .delivery(EventDeliveryError(error))
        }
        guard let issuer = issuers[unverified.unverifiedIssuer],
            issuer.issuer.issuer.hasSameBytes(as: unverified.unverifiedIssuer)
        else { throw .delivery(EventDeliveryError(.invalidIssuer, "nobody listens to the issuer")) }
        guard let base = names()?.base else { throw .unavailable("the service has no name yet") }
        let keys: [JWSVerificationKey]
        do {
            keys = try await keyring.keys(of: issuer.issuer, keyID: unverified.keyID, algorithm: unverified.algorithm)
        } catch {
            throw Refusal(error)
        }
        var refused = EventDeliveryError(.invalidKey, "the issuer has no key for the token")
        for key in keys {
            do throws(SecurityEventError) {
                let event = try unverified.verify(
                    with: key, audience: issuer.audience ?? "\(base)/\(Self.path)", now: now().seconds)
                return (event, issuer)
            } catch {
                refused = EventDeliveryError(error)
            }
        }
        throw .delivery(refused)
    }

    // MARK: what it means

    /// What came of a delivery, for the log.
    private enum Outcome {
        case ended([String])
        case unknownSubject
        /// Nothing that ends anybody: a verification, a new credential, an event without meaning here.
        case nothing
    }

    private func act(
        _ event: VerifiedSecurityEvent, _ issuer: SignalIssuer, _ caller: DirectoryCaller
    ) async throws(Refusal) -> Outcome {
        guard let reason = event.events.lazy.filter(\.endsItsSubject).map(\.shortName).first else { return .nothing }
        guard let subject = event.subject else { return .unknownSubject }
        do throws(SubjectRevocation.Failure) {
            let outcome = try await revocation.end(
                subject,
                reach: issuer.reachesAll ? .everythingButTheRegister : .agents(ofIssuer: issuer.issuer.issuer),
                reason: "signal `\(reason)` of `\(issuer.issuer.issuer.prefix(200))`", by: caller)
            switch outcome {
            case .ended(let ended): return .ended(ended)
            case .unknownSubject: return .unknownSubject
            }
        } catch {
            switch error {
            // It would never work, however often it came.
            case .refused: return .unknownSubject
            case .unavailable(let reason): throw .unavailable(reason)
            }
        }
    }

    // MARK: what is kept of it

    private func isKnown(_ event: VerifiedSecurityEvent) -> Bool {
        seen.withLock { seen in
            seen[event.issuer]?.contains(event.tokenID, of: Array(event.issuer.utf8)) ?? false
        }
    }

    /// Last, so that a delivery that failed on its way counts when it comes again.
    private func remember(_ event: VerifiedSecurityEvent) {
        let outcome = seen.withLock { seen in
            seen[event.issuer, default: ReplayCache(capacity: Self.rememberedTokens)].insert(
                event.tokenID, of: Array(event.issuer.utf8), until: event.replayableUntil, now: now().seconds)
        }
        guard outcome == .full else { return }
        // What came last could end its subject twice. Not to take it would let nobody be ended any more.
        logger.warning("no more security events can be remembered", metadata: ["issuer": "\(event.issuer)"])
    }

    private func record(
        _ event: VerifiedSecurityEvent, _ outcome: Outcome, _ caller: AuditEvent.AgentField, _ requestID: String
    ) async throws(Refusal) {
        var facts = ["events": String(event.events.map(\.shortName).joined(separator: " ").prefix(200))]
        facts["subject"] = event.subject?.json["format"]?.stringValue
        let observed: AuditEvent.EffectField.Observed
        switch outcome {
        case .ended(let ended):
            facts["ended"] = ended.prefix(4).joined(separator: " ")
            facts["count"] = String(ended.count)
            observed = .occurred
        case .unknownSubject:
            facts["subject"] = "unknown"
            observed = .none
        case .nothing: observed = .none
        }
        do {
            _ = try await audit.record(
                AuditEvent(
                    type: .signalReceive, agent: caller,
                    resource: AuditEvent.ResourceField(kind: "security-event", id: event.tokenID),
                    decision: AuditEvent.DecisionField(action: "receive", result: .permit),
                    correlation: AuditEvent.CorrelationField(requestID: requestID),
                    effect: AuditEvent.EffectField(observed: observed, result: facts)))
        } catch {
            throw .unavailable("the delivery was not recorded: \(error)")
        }
    }

    private func refuse(_ refusal: Refusal, _ address: String, _ requestID: String) {
        let (kind, reason) =
            switch refusal {
            case .delivery(let error): (error.code.rawValue, error.description)
            case .tooMany: ("too_many", "the issuer sends too much")
            case .unavailable(let reason): ("unavailable", reason)
            }
        refusals.record(
            AuditEvent(
                type: .signalRefuse,
                agent: AuditEvent.AgentField(authMethod: .none, peer: AuditEvent.PeerField(address: address)),
                resource: AuditEvent.ResourceField(kind: "endpoint", id: Self.path),
                decision: AuditEvent.DecisionField(action: "receive", result: .deny, reason: "\(kind): \(reason)"),
                correlation: AuditEvent.CorrelationField(requestID: requestID),
                effect: AuditEvent.EffectField(observed: .none)),
            source: address, kind: kind)
    }
}

extension SignalReceiver.Refusal {
    /// An issuer that cannot be reached is not the token's fault.
    fileprivate init(_ error: IssuerKeyError) {
        switch error {
        case .metadata, .keys, .malformedMetadata, .malformedKeys, .badKeysURL, .wrongIssuer, .badLocation, .busy,
            .cancelled:
            self = .unavailable(error.description)
        case .unknownIssuer: self = .delivery(EventDeliveryError(.invalidIssuer, error.description))
        case .algorithmNotAllowed, .badKeyID, .noSuchKey, .keyIDRequired:
            self = .delivery(EventDeliveryError(.invalidKey, error.description))
        }
    }
}

extension SecurityEvent {
    private static let sessionRevoked = caep + "session-revoked"
    private static let credentialChange = caep + "credential-change"
    private static let ending = [
        sessionRevoked, risc + "account-disabled", risc + "account-purged", risc + "credential-compromise",
        risc + "sessions-revoked",
    ]

    /// Whether whoever it is about is to be ended. A credential that was made or renewed ends nobody, one that was taken away
    /// does.
    fileprivate var endsItsSubject: Bool {
        if Self.ending.contains(where: { $0.hasSameBytes(as: type) }) { return true }
        guard type.hasSameBytes(as: Self.credentialChange) else { return false }
        return ["revoke", "delete"].contains(payload["change_type"]?.stringValue)
    }

    /// Its name behind the last slash.
    fileprivate var shortName: String {
        let bytes = type.utf8
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return String(type.prefix(64)) }
        return String(type[bytes.index(after: slash)...].prefix(64))
    }
}
