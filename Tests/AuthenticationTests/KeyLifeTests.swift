import AgentShieldTesting
import Authentication
import Crypto
import JOSE
import Testing

@Suite("The life of an issuer's keys")
struct KeyLifeTests {
    @Test(
        "is an hour where the server says nothing, and within five minutes and a day whatever it says",
        arguments: [
            (nil, 3600), ("max-age=1", 300), ("max-age=1200", 1200), ("public, max-age=999999999999999999999", 86_400),
            ("no-store", 300), ("max-age=-5", 3600), ("private, max-age=\"900\"", 900),
        ] as [(String?, Int64)])
    func life(cacheControl: String?, seconds: Int64) async throws {
        let world = try KeyringWorld(IssuerWeb(keys: keySet(jwk("a"))))
        world.web[keysURL] = .text(keySet(jwk("a")), cacheControl: cacheControl)
        #expect(try await world.keys("a") == ["a"])
        world.clock.advance(seconds: seconds - 1)
        #expect(try await world.keys("a") == ["a"])
        #expect(world.web.keyFetches == 1)
        world.clock.advance(seconds: 1)
        #expect(try await world.keys("a") == ["a"])
        #expect(world.web.keyFetches == 2)
    }

    @Test("ends early for an unknown key ID, but not again within the floor")
    func unknownKeyID() async throws {
        let world = try KeyringWorld(IssuerWeb(keys: keySet(jwk("a"))))
        #expect(try await world.keys("a") == ["a"])
        world.web[keysURL] = .text(keySet(jwk("a"), jwk("b")))
        world.clock.advance(seconds: 29)
        #expect(await world.refusal("b") == .noSuchKey)
        #expect(world.web.keyFetches == 1)
        world.clock.advance(seconds: 1)
        #expect(try await world.keys("b") == ["b"])
        #expect(world.web.keyFetches == 2)
    }

    @Test("is not touched by any number of invented key IDs")
    func inventedKeyIDs() async throws {
        let world = try KeyringWorld(IssuerWeb(keys: keySet(jwk("a"))))
        for number in 0..<200 {
            #expect(await world.refusal("invented-\(number)") == .noSuchKey)
            world.clock.advance(seconds: 1)
        }
        // At 0, 30, 60, … 180 seconds.
        #expect(world.web.keyFetches == 7)
        #expect(try await world.keys("a") == ["a"])
    }

    @Test("ends for a key that a rotation took away, with the next fetch")
    func rotation() async throws {
        let world = try KeyringWorld(IssuerWeb(keys: keySet(jwk("old"))))
        #expect(try await world.keys("old") == ["old"])
        world.web[keysURL] = .text(keySet(jwk("new")))
        world.clock.advance(seconds: 3600)
        #expect(await world.refusal("old") == .noSuchKey)
        #expect(try await world.keys("new") == ["new"])
    }

    @Test("ends for all of them when the issuer publishes none")
    func withdrawal() async throws {
        let world = try KeyringWorld(IssuerWeb(keys: keySet(jwk("a"))))
        #expect(try await world.keys("a") == ["a"])
        world.web[keysURL] = .text(keySet())
        world.clock.advance(seconds: 3600)
        #expect(await world.refusal("a") == .noSuchKey)
    }

    @Test(
        "goes on for a day when newer keys cannot be had, and no longer",
        arguments: [
            .failure(.unreachable("away")), .failure(.timeout), .failure(.tooLarge), .failure(.status(500)),
            .failure(.redirect(302, host: "elsewhere.example")), .text("<!DOCTYPE html><html></html>"),
            .text(#"{"keys":[],"keys":[]}"#),
        ] as [IssuerWeb.Answer])
    func stale(answer: IssuerWeb.Answer) async throws {
        let world = try KeyringWorld(IssuerWeb(keys: keySet(jwk("a"))))
        #expect(try await world.keys("a") == ["a"])
        world.web[keysURL] = answer
        world.clock.advance(seconds: 86_399)
        #expect(try await world.keys("a") == ["a"])
        #expect(world.web.keyFetches == 2)
        guard case .failed(issuerName, let error, keepsOldKeys: true) = world.reports.all.last else {
            Issue.record("\(world.reports.all)")
            return
        }
        // An unknown key is not hidden behind the old ones.
        #expect(await world.refusal("b") == error)
        world.clock.advance(seconds: 1)
        #expect(await world.refusal("a") == error)
    }

    @Test("begins only when the issuer answers; until then it is asked once in each floor")
    func failureIsRemembered() async throws {
        let world = try KeyringWorld(IssuerWeb())
        world.web[metadataURL] = .failure(.timeout)
        for _ in 0..<90 {
            #expect(await world.refusal("a") == .metadata(.timeout))
            world.clock.advance(seconds: 1)
        }
        #expect(world.web.requests.count == 3)
        world.web[metadataURL] = .text(metadata())
        world.web[keysURL] = .text(keySet(jwk("a")))
        #expect(try await world.keys("a") == ["a"])
    }

    @Test("survives a clock that is put back, with one more fetch")
    func clockPutBack() async throws {
        let world = try KeyringWorld(IssuerWeb(keys: keySet(jwk("a"))))
        #expect(try await world.keys("a") == ["a"])
        world.web[metadataURL] = .failure(.timeout)
        world.clock.advance(seconds: -600)
        #expect(try await world.keys("a") == ["a"])
        #expect(try await world.keys("a") == ["a"])
        #expect(world.web.requests.count == 3)
        // Put back so far that nobody can tell the keys' age.
        world.clock.advance(seconds: -90_000)
        #expect(await world.refusal("a") == .metadata(.timeout))
    }
}
