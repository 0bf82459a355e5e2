import Authentication
import Crypto
import JOSE
import OAuth
import Testing

@Suite("Where an issuer's keys are")
struct DiscoveryTests {
    @Test(
        "is asked behind the issuer's path first, and before it where there is nothing",
        arguments: [
            (
                "https://a.example", "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server"
            ),
            (
                "https://a.example/", "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server"
            ),
            (
                "https://a.example:8443/b/c", "https://a.example:8443/b/c/.well-known/openid-configuration",
                "https://a.example:8443/.well-known/oauth-authorization-server/b/c"
            ),
        ])
    func places(issuer: String, openID: String, oauth: String) async throws {
        let web = IssuerWeb()
        let world = try KeyringWorld(web, issuer: TrustedIssuer(issuer: issuer))
        web[oauth] = .text(metadata(issuer: issuer))
        web[keysURL] = .text(keySet(jwk("a")))
        #expect(try await world.keys("a") == ["a"])
        #expect(web.urls == [openID, oauth, keysURL])
    }

    @Test(
        "of a transmitter is asked in its own metadata first",
        arguments: [
            (
                ["https://a.example/.well-known/ssf-configuration/b"],
                "https://a.example/.well-known/ssf-configuration/b"
            ),
            (
                [
                    "https://a.example/.well-known/ssf-configuration/b",
                    "https://a.example/b/.well-known/openid-configuration",
                ], "https://a.example/b/.well-known/openid-configuration"
            ),
            (
                [
                    "https://a.example/.well-known/ssf-configuration/b",
                    "https://a.example/b/.well-known/openid-configuration",
                    "https://a.example/.well-known/oauth-authorization-server/b",
                ], "https://a.example/.well-known/oauth-authorization-server/b"
            ),
        ])
    func transmitter(asked: [String], found: String) async throws {
        let web = IssuerWeb()
        let issuer = "https://a.example/b"
        let world = try KeyringWorld(web, issuer: TrustedIssuer(issuer: issuer, transmitsSignals: true))
        web[found] = .text(metadata(issuer: issuer))
        web[keysURL] = .text(keySet(jwk("a")))
        #expect(try await world.keys("a") == ["a"])
        #expect(web.urls == asked + [keysURL])
    }

    @Test("is nowhere where every place answers 404")
    func nowhere() async throws {
        let world = try KeyringWorld(IssuerWeb(), issuer: TrustedIssuer(issuer: issuerName, transmitsSignals: true))
        #expect(await world.refusal("a") == .metadata(.status(404)))
        #expect(world.web.urls.count == 3)
    }

    @Test("is asked only once where the first answer is another than 404", arguments: [401, 403, 410, 500])
    func otherStatus(code: Int) async throws {
        let world = try KeyringWorld(IssuerWeb())
        world.web[metadataURL] = .failure(.status(code))
        #expect(await world.refusal("a") == .metadata(.status(code)))
        #expect(world.web.urls == [metadataURL])
    }

    @Test(
        "is believed only in metadata that name the issuer byte by byte",
        arguments: [
            "https://issuer.example/tenant/", "https://ISSUER.example/tenant", "https://issuer.example/other",
            "https://issuer.example:443/tenant", "",
        ])
    func otherIssuer(name: String) async throws {
        let world = try KeyringWorld(IssuerWeb(keys: keySet(jwk("a"))))
        world.web[metadataURL] = .text(metadata(issuer: name))
        #expect(await world.refusal("a") == .wrongIssuer)
        #expect(world.web.keyFetches == 0)
    }

    @Test(
        "has to be https, and a URL",
        arguments: [
            "http://keys.example/jwks", "http://127.0.0.1/jwks", "file:///etc/passwd", "https://user@keys.example/jwks",
            "https://keys.example/jwks#a", "/jwks", "",
        ])
    func badKeysURL(url: String) async throws {
        let world = try KeyringWorld(
            IssuerWeb(), issuer: TrustedIssuer(issuer: issuerName, allowsLoopbackHTTP: true))
        world.web[metadataURL] = .text(metadata(keys: url))
        #expect(await world.refusal("a") == .badKeysURL)
        #expect(world.web.urls == [metadataURL])
    }

    @Test(
        "is not read from a document that is no JSON or says it twice",
        arguments: [
            "<!DOCTYPE html>", "", "[]",
            #"{"issuer":"https://issuer.example/tenant","jwks_uri":"https://keys.example/jwks","jwks_uri":"https://e.example/"}"#,
            #"{"issuer":"https://issuer.example/tenant","issuer":"https://other.example","jwks_uri":"https://keys.example/jwks"}"#,
        ])
    func malformed(document: String) async throws {
        let world = try KeyringWorld(IssuerWeb(keys: keySet(jwk("a"))))
        world.web[metadataURL] = .text(document)
        guard case .malformedMetadata = await world.refusal("a") else {
            Issue.record("read: \(document)")
            return
        }
        #expect(world.web.keyFetches == 0)
    }

    @Test("is not asked where the operator names the place, or gives the keys")
    func operatorKnows() async throws {
        let named = try KeyringWorld(
            IssuerWeb(keys: keySet(jwk("a"))), issuer: TrustedIssuer(issuer: issuerName, jwksURI: keysURL))
        #expect(try await named.keys("a") == ["a"])
        #expect(named.web.urls == [keysURL])

        let fixed = try KeyringWorld(
            IssuerWeb(), issuer: TrustedIssuer(issuer: issuerName, jwks: Array(keySet(jwk("a")).utf8)))
        #expect(try await fixed.keys("a") == ["a"])
        #expect(await fixed.refusal("b") == .noSuchKey)
        #expect(fixed.web.requests.isEmpty)
    }

    @Test("is asked with the issuer's own limits and rules")
    func rules() async throws {
        let pem = TrustedIssuer.Roots.pem([1, 2, 3])
        let world = try KeyringWorld(
            IssuerWeb(keys: keySet(jwk("a"))),
            issuer: TrustedIssuer(issuer: issuerName, roots: pem, allowsPrivateAddresses: true))
        #expect(try await world.keys("a") == ["a"])
        #expect(world.web.requests.map(\.addresses) == [.globalOrPrivate, .globalOrPrivate])
        #expect(world.web.requests.map(\.roots) == [pem, pem])
        #expect(world.web.requests.map(\.maximumBytes) == [64 << 10, 256 << 10])

        let strict = try KeyringWorld(IssuerWeb(keys: keySet(jwk("a"))))
        #expect(try await strict.keys("a") == ["a"])
        #expect(strict.web.requests.map(\.addresses) == [.global, .global])
    }

    @Test("is this machine alone without TLS")
    func loopback() async throws {
        let issuer = "http://localhost:8080"
        let world = try KeyringWorld(
            IssuerWeb(),
            issuer: TrustedIssuer(issuer: issuer, allowsPrivateAddresses: true, allowsLoopbackHTTP: true))
        world.web[issuer + "/.well-known/openid-configuration"] = .text(
            metadata(issuer: issuer, keys: "http://127.0.0.1:8080/keys"))
        world.web["http://127.0.0.1:8080/keys"] = .text(keySet(jwk("a")))
        #expect(try await world.keys("a") == ["a"])
        #expect(world.web.requests.map(\.addresses) == [.loopback, .loopback])
    }
}
