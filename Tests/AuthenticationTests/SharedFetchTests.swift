import Crypto
import JOSE
import Testing

@testable import Authentication

@Suite("Callers who need the same keys", .timeLimit(.minutes(1)))
struct SharedFetchTests {
    /// Lets other tasks run until so many callers wait.
    private func waiting(_ count: Int, _ world: KeyringWorld) async {
        while world.keyring.states.withLock({ $0[issuerName]?.waiters.count ?? 0 }) < count { await Task.yield() }
    }

    private func fetching(_ count: Int, _ world: KeyringWorld) async {
        while world.web.requests.count < count { await Task.yield() }
    }

    @Test("share one fetch")
    func oneFetch() async throws {
        let world = try KeyringWorld(IssuerWeb(keys: keySet(jwk("a"))))
        world.web.isHeld = true
        let found = try await withThrowingTaskGroup { group in
            for _ in 0..<100 { group.addTask { try await world.keys("a") } }
            await waiting(99, world)
            world.web.isHeld = false
            return try await group.reduce(into: 0) { $0 += $1.count }
        }
        #expect(found == 100)
        #expect(world.web.urls == [metadataURL, keysURL])
    }

    @Test("share its failure")
    func oneFailure() async throws {
        let world = try KeyringWorld(IssuerWeb())
        world.web[metadataURL] = .failure(.timeout)
        world.web.isHeld = true
        await withTaskGroup { group in
            for _ in 0..<20 { group.addTask { await world.refusal("a") } }
            await waiting(19, world)
            world.web.isHeld = false
            for await refusal in group { #expect(refusal == .metadata(.timeout)) }
        }
        #expect(world.web.requests.count == 1)
    }

    @Test("do not wait for newer keys while old ones serve")
    func oldKeysServe() async throws {
        let world = try KeyringWorld(IssuerWeb(keys: keySet(jwk("a"))))
        #expect(try await world.keys("a") == ["a"])
        world.clock.advance(seconds: 3600)
        world.web.isHeld = true
        async let first = world.keys("a")
        await fetching(3, world)
        #expect(try await world.keys("a") == ["a"])
        world.web.isHeld = false
        #expect(try await first == ["a"])
    }

    @Test("take over from a caller who goes away, a few times")
    func callerGoesAway() async throws {
        let world = try KeyringWorld(IssuerWeb(keys: keySet(jwk("a"))))
        world.web.isHeld = true
        for number in 1...2 {
            let leaver = Task { await world.refusal("a") }
            await fetching(number, world)
            let heir = number == 2 ? Task { await world.refusal("a") } : nil
            if heir != nil { await waiting(1, world) }
            leaver.cancel()
            #expect(await leaver.value == .cancelled)
            guard let heir else { continue }
            await fetching(3, world)
            world.web.isHeld = false
            #expect(await heir.value == nil)
        }
        #expect(world.web.keyFetches == 1)
    }

    @Test("cannot have an issuer asked without end by going away")
    func goingAwayIsCounted() async throws {
        let world = try KeyringWorld(IssuerWeb(keys: keySet(jwk("a"))))
        world.web.isHeld = true
        for _ in 0..<20 {
            let leaver = Task { await world.refusal("a") }
            leaver.cancel()
            #expect(await leaver.value == .cancelled)
        }
        #expect(world.web.requests.count <= 3)
    }

    @Test("may go away while they wait")
    func waiterGoesAway() async throws {
        let world = try KeyringWorld(IssuerWeb(keys: keySet(jwk("a"))))
        world.web.isHeld = true
        async let first = world.keys("a")
        await fetching(1, world)
        let waiter = Task { await world.refusal("a") }
        await waiting(1, world)
        waiter.cancel()
        #expect(await waiter.value == .cancelled)
        #expect(world.keyring.states.withLock { $0[issuerName]?.waiters.isEmpty } == true)
        world.web.isHeld = false
        #expect(try await first == ["a"])
    }
}
