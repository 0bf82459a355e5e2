import AgentShield
import AgentShieldTesting
import CredentialClient
import Crypto
import JOSE
import SPIFFE
import Testing
import WorkloadAPI

@Suite(.serialized) struct AgentIdentityTests {
    let clock = presentClock()
    let own: TestTrustDomain
    let workloadAPI = FakeWorkloadAPI()

    init() throws {
        own = try TestTrustDomain("own.example", clock: clock)
    }

    @Test func `the identity comes, rotates and is told of`() async throws {
        let identity = try workloadAPI.identity(clock: clock)
        let first = try own.svid("/agent")
        workloadAPI.push([first], bundle: own.bundle)
        try await workloadAPI.serving([identity]) {
            let ready = try await identity.waitUntilReady()
            #expect(ready.id == first.id)
            #expect(ready.serialNumber == first.leaf.serialNumber.hex)
            #expect(ready.expiresAt == first.expiresAt.seconds)
            let second = try own.svid("/agent")
            workloadAPI.push([second], bundle: own.bundle)
            for await case .ready(let svid) in identity.updates where svid.serialNumber == second.leaf.serialNumber.hex
            {
                break
            }
            #expect(identity.current?.serialNumber == second.leaf.serialNumber.hex)
            #expect(workloadAPI.opened == 1)
        }
    }

    @Test func `a withdrawn identity is gone at once, and comes back by itself`() async throws {
        let identity = try workloadAPI.identity(clock: clock)
        workloadAPI.push([try own.svid("/agent")], bundle: own.bundle)
        try await workloadAPI.serving([identity]) {
            try await identity.waitUntilReady()
            workloadAPI.fail(.permissionDenied("no identity issued"))
            for await case .withdrawn in identity.updates { break }
            #expect(identity.current == nil)
            let client = AgentHTTPClient(identity: identity, allow: .anyVerified)
            await #expect(throws: AgentShieldError.identityWithdrawn) { try await client.get("https://127.0.0.1:1/") }
            workloadAPI.push([try own.svid("/agent")], bundle: own.bundle)
            try await identity.waitUntilReady()
            #expect(workloadAPI.opened >= 2)
        }
    }

    @Test func `an identity outlives the Workload API's absence and broken answers`() async throws {
        let identity = try workloadAPI.identity(clock: clock)
        let first = try own.svid("/agent")
        let second = try own.svid("/agent")
        workloadAPI.push([first], bundle: own.bundle)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try? await identity.run() }
            try await workloadAPI.serving([]) {
                try await identity.waitUntilReady()
                workloadAPI.push(
                    WorkloadX509Context(svids: [
                        WorkloadX509SVID(id: first.id, chain: [1, 2, 3], privateKey: [], bundle: [])
                    ]))
                #expect(await eventually { workloadAPI.opened > 1 })
                #expect(identity.current?.serialNumber == first.leaf.serialNumber.hex)
            }
            #expect(identity.current?.serialNumber == first.leaf.serialNumber.hex)
            workloadAPI.push([second], bundle: own.bundle)
            try await workloadAPI.serving([]) {
                #expect(await eventually { identity.current?.serialNumber == second.leaf.serialNumber.hex })
            }
            group.cancelAll()
        }
    }

    @Test func `only InvalidArgument is final`() async throws {
        let identity = try workloadAPI.identity(clock: clock)
        workloadAPI.fail(.invalidArgument("security header missing from request"))
        let workloadAPI = workloadAPI
        try await workloadAPI.serving([]) {
            let end = Task { try await identity.run() }
            await #expect(throws: AgentShieldError.self) { try await identity.waitUntilReady() }
            await #expect(throws: AgentShieldError.self) { try await end.value }
            #expect(workloadAPI.opened == 1)
        }
    }

    @Test func `waiting ends, with what the Workload API said last`() async throws {
        let identity = try workloadAPI.identity(clock: clock)
        workloadAPI.fail(.permissionDenied("no identity issued"))
        try await workloadAPI.serving([identity]) {
            #expect(await eventually { workloadAPI.opened > 1 })
            let error = await #expect(throws: AgentShieldError.self) {
                try await identity.waitUntilReady(within: .milliseconds(50))
            }
            guard case .noIdentity(let reason) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(reason.contains("no identity issued"))
        }
    }

    @Test func `the hint chooses among several identities`() async throws {
        let plain = try workloadAPI.identity(clock: clock)
        let hinted = try workloadAPI.identity(hint: "external", clock: clock)
        let missing = try workloadAPI.identity(hint: "nothing", clock: clock)
        workloadAPI.push(
            [try own.svid("/first"), try own.svid("/second")], hints: ["internal", "external"], bundle: own.bundle)
        try await workloadAPI.serving([plain, hinted, missing]) {
            let first = try await plain.waitUntilReady()
            #expect(first.id.path == "/first")
            let second = try await hinted.waitUntilReady()
            #expect(second.id.path == "/second")
            for await case .withdrawn in missing.updates { break }
            #expect(missing.current == nil)
        }
    }

    @Test(arguments: [
        ("", false), ("api.sock", false), ("unix:relative", false), ("http://127.0.0.1", false),
        ("unix:///tmp/api.sock", true), ("tcp://127.0.0.1:8000", true),
    ]) func `addresses are checked`(address: String, isGood: Bool) {
        #expect(((try? AgentIdentity(address: address)) != nil) == isGood)
    }

    @Test func `a token is kept for half its life and serves while the Workload API is away`() async throws {
        let id = try own.id("/agent")
        let key = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k1")
        @Sendable func token() throws -> WorkloadJWTSVID {
            WorkloadJWTSVID(
                id: id,
                token: try JWTSVID.sign(
                    id: id, audience: ["weather"], issuedAt: clock.time, expiresAt: clock.time + 300, key: key))
        }
        let client = WorkloadAPIClient(endpoint: .unix(path: workloadAPI.path))
        let source = JWTSource(client: client, environment: SourceEnvironment(now: clock.now))
        workloadAPI.setToken(.success(try token()))
        let workloadAPI = workloadAPI
        try await workloadAPI.serving([]) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await source.run() }
                defer { group.cancelAll() }
                let first = try await source.fetch(audience: ["weather"])
                clock.advance(seconds: 149)
                #expect(try await source.fetch(audience: ["weather"]) == first)
                #expect(workloadAPI.tokenFetches == 1)
                clock.advance(seconds: 2)
                workloadAPI.setToken(.success(try token()))
                let second = try await source.fetch(audience: ["weather"])
                #expect(second != first)
                #expect(workloadAPI.tokenFetches == 2)
                clock.advance(seconds: 200)
                workloadAPI.setToken(.failure(.unavailable("away")))
                #expect(try await source.fetch(audience: ["weather"]) == second)
                clock.advance(seconds: 100)
                await #expect(throws: WorkloadAPIError.unavailable("away")) {
                    try await source.fetch(audience: ["weather"])
                }
                workloadAPI.setToken(.success(try token()))
                _ = try await source.fetch(audience: ["weather"])
                clock.advance(seconds: 200)
                workloadAPI.setToken(.failure(.permissionDenied("no identity issued")))
                await #expect(throws: WorkloadAPIError.permissionDenied("no identity issued")) {
                    try await source.fetch(audience: ["weather"])
                }
                // A token for somebody else is not passed on.
                workloadAPI.setToken(.success(try token()))
                await #expect(throws: WorkloadAPIError.self) { try await source.fetch(audience: ["bank"]) }
            }
        }
    }

    @Test func `news of the JWT bundles has a kept token asked for anew, and one of a key that is gone is forgotten`()
        async throws
    {
        let id = try own.id("/agent")
        @Sendable func token(_ key: JWSSigningKey) throws -> WorkloadJWTSVID {
            WorkloadJWTSVID(
                id: id,
                token: try JWTSVID.sign(
                    id: id, audience: ["weather"], issuedAt: clock.time, expiresAt: clock.time + 300, key: key))
        }
        @Sendable func bundles(_ keys: [JWSSigningKey], turn: UInt64) throws -> WorkloadJWTBundles {
            var bundle = TrustBundle(trustDomain: own.trustDomain)
            bundle.jwtAuthorities = try keys.map { try JWTAuthority(keyID: $0.keyID, publicKey: $0.verificationKey) }
            return WorkloadJWTBundles(bundles: [own.trustDomain: bundle.jwtJWKS()], turn: turn)
        }
        let old = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "old")
        let new = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "new")
        let (first, second) = (try token(old), try token(new))
        let identity = try workloadAPI.identity(clock: clock)
        workloadAPI.push([try own.svid("/agent")], bundle: own.bundle)
        workloadAPI.push(try bundles([old, new], turn: 1))
        workloadAPI.setToken(.success(first))
        let workloadAPI = workloadAPI
        @Sendable func comes(_ wanted: WorkloadJWTSVID?) async -> Bool {
            for _ in 0..<1000 {
                if (try? await identity.token(audience: "weather")) == wanted?.token { return true }
                try? await Task.sleep(for: .milliseconds(10))
            }
            return false
        }
        @Sendable func isKept(_ wanted: WorkloadJWTSVID) async -> Bool {
            for _ in 0..<1000 {
                let before = workloadAPI.tokenFetches
                let token = try? await identity.token(audience: "weather")
                if token == wanted.token, workloadAPI.tokenFetches == before { return true }
                try? await Task.sleep(for: .milliseconds(10))
            }
            return false
        }
        try await workloadAPI.serving([identity]) {
            try await identity.waitUntilReady()
            #expect(await eventually { workloadAPI.jwtStreams == 1 })
            #expect(try await identity.token(audience: "weather") == first.token)
            // The same bundle again, as after a taint: the node agent has another token by now.
            workloadAPI.setToken(.success(second))
            workloadAPI.push(try bundles([old, new], turn: 2))
            #expect(await comes(second))
            // A fetch that was under way when the news came is answered and not kept; the next one is.
            #expect(await isKept(second))
            // The key leaves the bundle, and nobody can sign: better no token than that one.
            workloadAPI.setToken(.failure(.unavailable("away")))
            workloadAPI.push(try bundles([old, new], turn: 3))
            #expect(try await identity.token(audience: "weather") == second.token)
            workloadAPI.push(try bundles([old], turn: 4))
            #expect(await comes(nil))
        }
    }
}
