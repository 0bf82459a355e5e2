import AgentShieldTesting
import Crypto
import JOSE
import Revocation
import SPIFFE
import Testing
import WorkloadAPI

@testable import AgentShield

/// Revoked peers at both ends of mutual TLS: refused in the handshake, cut off when it is over.
@Suite(.serialized) struct RevokedPeerTests {
    let clock = presentClock()
    let own: TestTrustDomain
    let callerAPI = FakeWorkloadAPI()
    let serverAPI = FakeWorkloadAPI()
    let caller: AgentIdentity
    let server: AgentIdentity
    let callerSVID: X509SVID
    let listener = CountingServer()

    init() throws {
        own = try TestTrustDomain("own.example", clock: clock)
        caller = try callerAPI.identity(clock: clock)
        server = try serverAPI.identity(clock: clock)
        callerSVID = try own.svid("/planner")
        callerAPI.push([callerSVID], bundle: own.bundle)
        serverAPI.push([try own.svid("/weather")], bundle: own.bundle)
        callerAPI.push(try state(1, []))
        serverAPI.push(try state(1, []))
    }

    private func state(
        _ sequence: Int64, _ subjects: Set<RevokedSubject>, age: Int64? = 0, signedBy signer: TestTrustDomain? = nil
    ) throws -> WorkloadRevocations {
        let svid = try (signer ?? own).svid(SignedRevocations.signerPath)
        let key = try P256.Signing.PrivateKey(derRepresentation: svid.pkcs8)
        let snapshot = try RevocationSnapshot(
            trustDomain: own.trustDomain, sequence: sequence, issuedAt: clock.time, expiresAt: clock.time + 600,
            subjects: subjects)
        return WorkloadRevocations(
            snapshot: try SignedRevocations.sign(
                snapshot, key: JWSSigningKey(p256: key, keyID: "k"), chain: svid.chain),
            age: age, isOffered: true)
    }

    private func running(_ body: @escaping @Sendable () async throws -> Void) async throws {
        try await callerAPI.serving([caller]) {
            try await serverAPI.serving([server]) {
                try await caller.waitUntilReady()
                try await server.waitUntilReady()
                try await listener.start(server)
                defer { Task { await listener.stop() } }
                try await body()
            }
        }
    }

    private func call() async -> AgentShieldError? {
        do {
            let client = AgentHTTPClient(identity: caller, allow: .anyVerified)
            let answer = try await client.get(listener.url)
            _ = try await answer.text
            return nil
        } catch {
            return error as? AgentShieldError ?? .unreachable("\(error)")
        }
    }

    enum Name: CaseIterable {
        case agent, serial, key
    }

    @Test(arguments: Name.allCases) func `a revoked caller is cut off and stays out until it is taken back`(
        name: Name
    ) async throws {
        let subject: RevokedSubject =
            switch name {
            case .agent: .agent(callerSVID.id)
            case .serial: .serial(callerSVID.leaf.serialNumber)
            case .key: .key(try #require(callerSVID.leaf.publicKey.thumbprint))
            }
        try await running {
            let session = AgentHTTPClient(identity: caller, allow: .anyVerified).keepingConnection()
            _ = try await session.execute(AgentHTTPRequest(url: listener.url)).text
            #expect(try await session.execute(AgentHTTPRequest(url: listener.url)).isNewConnection == false)

            serverAPI.push(try state(2, [subject]))
            // The kept connection is gone without a word from either side, and a new one does not come about.
            var failure: AgentShieldError?
            for _ in 0..<1000 where failure == nil {
                failure = await call()
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(failure != nil)
            await #expect(throws: (any Error).self) {
                try await session.execute(AgentHTTPRequest(url: listener.url))
            }

            serverAPI.push(try state(3, []))
            for _ in 0..<1000 where failure != nil {
                failure = await call()
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(failure == nil)
        }
    }

    @Test(arguments: Name.allCases) func `a WIT-SVID is asked about like a certificate`(name: Name) async throws {
        let key = P256.Signing.PrivateKey()
        let holder = JWSVerificationKey(p256: P256.Signing.PrivateKey().publicKey, keyID: nil)
        let token = try WITSVID.sign(
            id: callerSVID.id, confirmationKey: holder, issuedAt: clock.time, expiresAt: clock.time + 600,
            key: JWSSigningKey(p256: key, keyID: "w"), tokenID: "t-1")
        let authority = try WITAuthority(keyID: "w", derSPKI: SubjectPublicKey(key.publicKey).derSPKI)
        let verified = try WITSVID.verify(token: token, bundles: { _ in [authority] }, now: clock.time)
        let subject: RevokedSubject =
            switch name {
            case .agent: .agent(verified.id)
            case .serial: .jwtID("t-1")
            case .key: .key(holder.jwk.thumbprintBase64URL)
            }
        try await running {
            #expect(await call() == nil)
            #expect(server.revocations.refusal(of: verified) == nil)
            serverAPI.push(try state(2, [subject]))
            for _ in 0..<1000 where server.revocations.refusal(of: verified) == nil {
                try await Task.sleep(for: .milliseconds(10))
            }
            guard case .revoked(verified.id) = server.revocations.refusal(of: verified) else {
                Issue.record("\(String(describing: server.revocations.refusal(of: verified)))")
                return
            }
        }
    }

    @Test func `nothing is sent to a revoked server`() async throws {
        try await running {
            #expect(await call() == nil)
            let sent = listener.receivedBytes.withLock { $0 }
            callerAPI.push(try state(2, [.agent(try own.id("/weather"))]))
            var failure: AgentShieldError?
            for _ in 0..<1000 where failure == nil {
                failure = await call()
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(failure == .serverRevoked(try own.id("/weather")))
            let before = listener.receivedBytes.withLock { $0 }
            #expect(await call() == .serverRevoked(try own.id("/weather")))
            #expect(listener.receivedBytes.withLock { $0 } == before)
            #expect(before >= sent)
        }
    }

    enum Lie: CaseIterable {
        case foreignSigner, older, otherContentOfTheSameNumber
    }

    @Test(arguments: Lie.allCases) func `a snapshot that must not be believed changes nothing`(lie: Lie) async throws {
        let revoked: Set<RevokedSubject> = [.agent(try own.id("/weather"))]
        callerAPI.push(try state(5, revoked))
        try await running {
            var failure: AgentShieldError?
            for _ in 0..<1000 where failure != .serverRevoked(try own.id("/weather")) {
                failure = await call()
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(failure == .serverRevoked(try own.id("/weather")))
            let lied =
                switch lie {
                case .foreignSigner: try state(6, [], signedBy: TestTrustDomain("own.example", clock: clock))
                case .older: try state(4, [])
                case .otherContentOfTheSameNumber: try state(5, [])
                }
            callerAPI.push(lied)
            // What comes after it on the same stream has been read when it takes effect.
            callerAPI.push(try state(7, revoked.union([.jwtID("marker")])))
            for _ in 0..<20 {
                #expect(await call() == .serverRevoked(try own.id("/weather")))
                try await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    @Test func `without news for longer than the limit nobody new is believed, and what goes on goes on`() async throws
    {
        try await running {
            let session = AgentHTTPClient(identity: caller, allow: .anyVerified).keepingConnection()
            _ = try await session.execute(AgentHTTPRequest(url: listener.url)).text
            clock.advance(seconds: 31)
            #expect(await call() == .revocationsUnknown)
            let answer = try await session.execute(AgentHTTPRequest(url: listener.url))
            #expect(answer.isNewConnection == false)
            _ = try await answer.text

            callerAPI.push(try state(1, []))
            serverAPI.push(try state(1, []))
            var failure: AgentShieldError? = .revocationsUnknown
            for _ in 0..<1000 where failure != nil {
                failure = await call()
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(failure == nil)
        }
    }

    @Test func `with somebody else's Workload API there is nothing to wait for`() async throws {
        let api = FakeWorkloadAPI()
        let plain = try api.identity(clock: clock)
        api.push([try own.svid("/planner")], bundle: own.bundle)
        try await running {
            try await api.serving([plain]) {
                try await plain.waitUntilReady()
                let client = AgentHTTPClient(identity: plain, allow: .anyVerified)
                _ = try await client.get(listener.url).text
                clock.advance(seconds: 3000)
                api.push([try own.svid("/planner")], bundle: own.bundle)
                serverAPI.push(try state(1, []))
                for _ in 0..<1000 {
                    if let answer = try? await client.get(listener.url) {
                        _ = try await answer.text
                        return
                    }
                    try await Task.sleep(for: .milliseconds(10))
                }
                Issue.record("never answered")
            }
        }
    }
}
