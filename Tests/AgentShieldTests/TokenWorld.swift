import AgentShieldTesting
import Crypto
import Hummingbird
import JOSE
import Revocation
import SPIFFE
import WorkloadAPI

@testable import AgentShield

/// A planner, a stranger, a weather agent and an authorization server, each with an identity of its own.
struct TokenWorld: Sendable {
    let clock = presentClock()
    let own: TestTrustDomain
    let server: FakeAuthorizationServer
    let plannerAPI = FakeWorkloadAPI()
    let strangerAPI = FakeWorkloadAPI()
    let weatherAPI = FakeWorkloadAPI()
    private let serverAPI = FakeWorkloadAPI()
    let planner: AgentIdentity
    let stranger: AgentIdentity
    let weather: AgentIdentity
    private let serverIdentity: AgentIdentity

    init(serverPath: String = "/spire/server") throws {
        own = try TestTrustDomain("own.example", clock: clock)
        server = FakeAuthorizationServer(clock: clock)
        planner = try plannerAPI.identity(clock: clock)
        stranger = try strangerAPI.identity(clock: clock)
        weather = try weatherAPI.identity(clock: clock)
        serverIdentity = try serverAPI.identity(clock: clock)
        plannerAPI.push([try own.svid("/planner")], bundle: own.bundle)
        strangerAPI.push([try own.svid("/stranger")], bundle: own.bundle)
        weatherAPI.push([try own.svid("/weather")], bundle: own.bundle)
        serverAPI.push([try own.svid(serverPath)], bundle: own.bundle)
        weatherAPI.push(try revocations(1, []))
    }

    /// What the node agent of the weather agent says is revoked.
    func revocations(_ sequence: Int64, _ subjects: Set<RevokedSubject>) throws -> WorkloadRevocations {
        let svid = try own.svid(SignedRevocations.signerPath)
        let key = try P256.Signing.PrivateKey(derRepresentation: svid.pkcs8)
        let snapshot = try RevocationSnapshot(
            trustDomain: own.trustDomain, sequence: sequence, issuedAt: clock.time, expiresAt: clock.time + 7200,
            subjects: subjects)
        return WorkloadRevocations(
            snapshot: try SignedRevocations.sign(
                snapshot, key: JWSSigningKey(p256: key, keyID: "k"), chain: svid.chain),
            age: 0, isOffered: true)
    }

    /// Runs everybody around `body`.
    func running(_ body: @escaping @Sendable () async throws -> Void) async throws {
        try await plannerAPI.serving([planner]) {
            try await strangerAPI.serving([stranger]) {
                try await weatherAPI.serving([weather]) {
                    try await serverAPI.serving([serverIdentity]) {
                        for identity in [planner, stranger, weather, serverIdentity] {
                            try await identity.waitUntilReady()
                        }
                        try await withHummingbird(serverIdentity, allow: .anyVerified, server.router) { url in
                            server.start(at: url)
                            try await body()
                        }
                    }
                }
            }
        }
    }

    /// The planner has another certificate when this returns.
    func rotatePlanner() async throws {
        let fresh = try own.svid("/planner")
        plannerAPI.push([fresh], bundle: own.bundle)
        guard await eventually({ planner.current?.serialNumber == fresh.leaf.serialNumber.hex }) else {
            throw AgentShieldError.noIdentity("the certificate did not change")
        }
    }

    func tokens(_ binding: AgentTokenSource.Binding = .certificate) throws -> AgentTokenSource {
        try AgentTokenSource(
            identity: planner, issuer: server.issuer, binding: binding, resource: "api://weather",
            scopes: ["Forecast.Read"])
    }
}
