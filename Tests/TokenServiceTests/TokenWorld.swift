import AgentDirectory
import AgentShieldTesting
import Approvals
import AuditTrail
import Authentication
import Crypto
import Issuance
import JOSE
import OAuth
import Registry
import Revocation
import SPIFFE
import Synchronization
import TokenService
import TransparencyLog

/// A token service in this process, with agents A, B and C: A may call B, and B may call C, also for others.
final class TokenWorld: Sendable {
    let trustDomain: TrustDomain
    let clock: ManualClock
    let plan: FaultPlan
    let store: MemoryAuditStore
    let log: AuditLog
    let authorities: Authorities
    let revocations: RevocationRegister
    let issuer: Issuer
    let directory: DirectoryBox
    let approvals: ApprovalRegister
    let approvalStore = InMemoryApprovalStore()
    let service: TokenService
    /// What happens while the keys of the issuer `slow` are fetched.
    let whileFetching: Event
    /// Whom the authorities outside vouch for, by the DER of the leaf, and until when.
    let vouchedFor: Vouched

    /// Something that a test lets happen later.
    final class Event: Sendable {
        private let body = Mutex<(@Sendable () -> Void)?>(nil)

        func set(_ body: @escaping @Sendable () -> Void) { self.body.withLock { $0 = body } }

        func happen() { body.withLock(\.self)?() }
    }

    /// The verdicts of authorities outside.
    final class Vouched: Sendable {
        private let ends = Mutex<[[UInt8]: UnixTime]>([:])

        func add(_ certificate: PresentedCertificate, until end: UnixTime) {
            ends.withLock { $0[certificate.leaf.der] = end }
        }

        func end(of certificate: PresentedCertificate) -> UnixTime? { ends.withLock { $0[certificate.leaf.der] } }
    }

    /// The directory, which tests change.
    final class DirectoryBox: Sendable {
        private let state: Mutex<DirectorySnapshot>

        init(_ snapshot: DirectorySnapshot) { state = Mutex(snapshot) }

        var snapshot: DirectorySnapshot { state.withLock { $0 } }

        func change(_ body: (inout DirectorySnapshot) -> Void) { state.withLock { body(&$0) } }
    }

    static let names = TokenServiceNames(base: "https://as.example.org", tenant: "example.org")
    static let start = UnixTime(seconds: 1_900_000_000)
    static let randomBytes: @Sendable (Int) -> [UInt8] = { count in
        (0..<count).map { _ in UInt8.random(in: .min ... .max) }
    }
    static let resourceB = "api://agent-b"
    static let resourceC = "api://agent-c"
    static let secret = "tGzv3JOkF0XG5Qx2TlKWIAtGzv3JOkF0XG5Qx2TlKWI"

    /// Runs the body beside a running log.
    static func run(_ body: (TokenWorld) async throws -> Void) async throws {
        let clock = ManualClock(start)
        let plan = FaultPlan()
        let store = MemoryAuditStore()
        let log = try await AuditLog.open(
            store: FaultyAuditStore(store, plan: plan),
            signer: try NoteSigner(name: "example.org/log", privateKey: Curve25519.Signing.PrivateKey()),
            origin: "example.org/log", now: clock.now, randomBytes: randomBytes)
        let running = Task { try await log.run() }
        do {
            try await body(try await TokenWorld(clock, plan, store, log))
        } catch {
            log.stop()
            try await running.value
            throw error
        }
        log.stop()
        try await running.value
    }

    private init(_ clock: ManualClock, _ plan: FaultPlan, _ store: MemoryAuditStore, _ log: AuditLog) async throws {
        let trustDomain = try TrustDomain("example.org")
        self.trustDomain = trustDomain
        self.clock = clock
        self.plan = plan
        self.store = store
        self.log = log
        let authorities = try await Authorities.open(
            trustDomain: trustDomain, keyStore: MemoryKeyStore(randomBytes: Self.randomBytes),
            store: InMemoryAuthorityStore(), audit: log, now: clock.now, randomBytes: Self.randomBytes)
        let revocations = try await RevocationRegister.open(
            trustDomain: trustDomain, store: InMemoryRevocationStore(), audit: log, now: clock.now,
            randomBytes: Self.randomBytes)
        self.authorities = authorities
        self.revocations = revocations
        issuer = Issuer(
            authorities: authorities, audit: log, revocations: revocations, now: clock.now,
            randomBytes: Self.randomBytes)
        let directory = DirectoryBox(try Self.makeDirectory(trustDomain))
        self.directory = directory
        let whileFetching = Event()
        self.whileFetching = whileFetching
        let approvals = try await ApprovalRegister.open(
            store: FaultyApprovalStore(approvalStore, plan: plan), directory: { directory.snapshot }, audit: log,
            now: clock.now,
            randomBytes: Self.randomBytes)
        self.approvals = approvals
        let vouchedFor = Vouched()
        self.vouchedFor = vouchedFor
        service = TokenService(
            directory: { directory.snapshot }, authorities: authorities, revocations: revocations,
            approvals: approvals, audit: log,
            refusals: RefusalRecorder(log: log, now: clock.now, sleep: { try await Task.sleep(for: $0) }),
            trust: ClientTrust(
                jwtAuthorities: {
                    $0 == trustDomain ? authorities.bundle.jwtAuthorities : OtherDomain.authorities($0)
                },
                issuers: try IssuerKeyring(
                    [OutsideIssuer.trusted("ci"), OutsideIssuer.trusted("other"), OutsideIssuer.slow()], now: clock.now,
                    observe: { _ in },
                    fetch: { _ throws(IssuerDocumentError) in
                        whileFetching.happen()
                        guard let document = try? OutsideIssuer.document("slow") else { throw .timeout }
                        return IssuerDocument(bytes: document)
                    }),
                certificates: OutsideCertificates { certificate, _ throws(OutsideCertificateError) in
                    guard let end = vouchedFor.end(of: certificate) else {
                        throw OutsideCertificateError(reason: "nobody vouches for it")
                    }
                    return end
                },
                verifiedSVID: { chain in
                    try? X509SVIDVerifier.verify(
                        chain: chain, bundle: { _ in authorities.x509Bundle }, at: clock.time)
                }),
            grantTrust: try GrantingServer.trust(
                own: trustDomain, now: clock.now, whileFetching: whileFetching),
            clientNames: try ForeignClientNames(
                [
                    ForeignClientNames.Entry(
                        issuer: "https://named.example", agent: SPIFFEID("spiffe://example.org/agent-b"),
                        clientID: "0oa1b")
                ], own: trustDomain),
            names: { Self.names }, now: clock.now, randomBytes: Self.randomBytes)
    }

    private static func makeDirectory(_ trustDomain: TrustDomain) throws -> DirectorySnapshot {
        var directory = DirectorySnapshot()
        for letter in ["a", "b", "c"] {
            directory.put(
                AgentIdentity(
                    id: "client-\(letter)", name: try AgentName("agent-\(letter)"),
                    spiffeID: try SPIFFEID(trustDomain: trustDomain, path: "/agent-\(letter)"), blueprintID: nil,
                    owner: try Person("olga@example.org"), sponsor: try Person("sam@example.org"), createdAt: start))
        }
        for (resource, letter) in [(resourceB, "b"), (resourceC, "c")] {
            directory.put(
                ProtectedResource(
                    id: resource, scopes: try Scope("task.run task.read"), agentID: "client-\(letter)",
                    createdAt: start))
        }
        directory.put(
            AgentGrant(
                id: "grant-a-b", agentID: "client-a", resourceID: resourceB, scopes: try Scope("task.run task.read"),
                createdAt: start))
        directory.put(
            AgentGrant(
                id: "grant-b-c", agentID: "client-b", resourceID: resourceC, scopes: try Scope("task.read task.run"),
                use: .delegated, createdAt: start))
        return directory
    }

    func agent(_ letter: String) -> AgentIdentity {
        guard let agent = directory.snapshot.agent("client-\(letter)") else { preconditionFailure("no such agent") }
        return agent
    }

    /// Changes one agent.
    func change(_ letter: String, _ body: (inout AgentIdentity) -> Void) {
        var agent = agent(letter)
        body(&agent)
        directory.change { $0.put(agent) }
    }

    // MARK: credentials

    func entry(_ letter: String) -> RegistrationEntry {
        RegistrationEntry(
            id: "entry-\(letter)", spiffeID: agent(letter).spiffeID, parentID: agent(letter).spiffeID, selectors: [],
            createdAt: Self.start)
    }

    static let caller = IssuanceCaller(agent: AuditEvent.AgentField(authMethod: .unixSocket), requestID: "r")

    /// A JWT-SVID of an agent.
    func svid(_ letter: String, for audience: String = names.issuer(.standard)) async throws -> String {
        try await issuer.issueJWTSVID(for: Self.caller, entry: entry(letter), audience: [audience]).token
    }

    /// An X.509-SVID of an agent, as a connection has verified it.
    func peer(_ letter: String) async throws -> VerifiedX509SVID {
        let csr = try CertificateSigningRequest(
            parsing: CSRBuilder.make(privateKey: P256.Signing.PrivateKey(), uri: nil))
        let chain = try await issuer.issueX509SVID(for: Self.caller, entry: entry(letter), csr: csr).chain
        return try X509SVIDVerifier.verify(
            chain: chain, bundle: { _ in authorities.x509Bundle }, at: clock.time)
    }

    // MARK: requests

    /// A request with an SVID as credential.
    func request(
        as letter: String, _ fields: [String: String], proofs: [String] = [], profile: TokenProfile = .standard
    ) async throws -> TokenCall {
        var fields = fields
        fields["client_assertion_type"] = ClientAuthentication.AssertionType.jwtSPIFFE.rawValue
        fields["client_assertion"] = try await svid(letter)
        return try call(fields, proofs: proofs, profile: profile)
    }

    func call(
        _ fields: [String: String], authorization: String? = nil, proofs: [String] = [],
        peer: VerifiedX509SVID? = nil, presented: PresentedCertificate? = nil, profile: TokenProfile = .standard
    ) throws -> TokenCall {
        var fields = fields
        if fields["grant_type"] == nil { fields["grant_type"] = "client_credentials" }
        return TokenCall(
            form: FormParameters(fields.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }),
            authorization: authorization, proofs: proofs, peer: peer, presented: presented,
            url: try WebURL(Self.names.tokenEndpoint(profile)), profile: profile, address: "192.0.2.1", requestID: "r")
    }

    /// A token of an agent for itself.
    func token(
        _ letter: String, _ fields: [String: String] = [:], proofs: [String] = []
    ) async throws -> TokenResponse {
        try await service.token(try await request(as: letter, fields, proofs: proofs))
    }

    /// A token exchanged by an agent.
    func exchange(
        _ subject: TokenResponse, by letter: String, for resource: String, scope: String? = nil,
        _ more: [String: String] = [:]
    ) async throws -> TokenResponse {
        var fields = more
        fields["grant_type"] = TokenRequest.GrantType.tokenExchange.rawValue
        fields["subject_token"] = subject.token.text
        fields["subject_token_type"] = TokenType.accessToken.uri
        fields["audience"] = resource
        fields["scope"] = scope
        return try await token(letter, fields)
    }

    /// A token of an agent that says more than the service writes by itself, under the service's own key.
    func token(_ letter: String, _ change: (inout AccessTokenClaims) -> Void) async throws -> TokenResponse {
        let now = clock.time.seconds
        var claims = AccessTokenClaims(
            issuer: Self.names.issuer(.standard), subject: agent(letter).spiffeID.string, audience: [Self.resourceB],
            clientID: agent(letter).id, tokenID: "made-by-hand", issuedAt: now, expiresAt: now + 300,
            scope: try Scope("task.read"))
        change(&claims)
        guard let authority = authorities.oauthActive else { preconditionFailure("no key signs") }
        let receipt = try await log.record(
            AuditEvent(
                type: .accessTokenIssue, agent: .internal(), resource: AuditEvent.ResourceField(kind: "test", id: "t"),
                decision: AuditEvent.DecisionField(action: "issue", result: .none),
                correlation: AuditEvent.CorrelationField(requestID: "r")))
        let text = try authority.sign(
            type: AccessToken.type, payload: AccessToken.payload(of: claims), consuming: receipt)
        return TokenResponse(token: SecretText(text), use: .bearer, expiresIn: 300)
    }

    /// What a token says, read without any check.
    func claims(_ response: TokenResponse) throws -> JSONObject {
        try JWTClaims(parsing: CompactJWS(parsing: response.token.text).payload).json
    }

    /// The events of a kind in the log, as their leaves.
    func events(_ type: EventType) async throws -> [String] {
        try await store.entries(from: 0, count: 10_000).map { String(decoding: $0.leaf, as: UTF8.self) }
            .filter { $0.contains("\"\(type.rawValue)\"") }
    }
}
