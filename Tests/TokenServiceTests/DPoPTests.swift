import Authentication
import Crypto
import JOSE
import OAuth
import SPIFFE
import Testing
import TokenService

@Suite("Token service: tokens bound to a key")
struct DPoPTests {
    private let key = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "proof")

    private func proof(
        _ world: TokenWorld, id: String = "one", method: String = "POST",
        url: String = "https://as.example.org/oauth2/token", nonce: String?? = nil, age: Int64 = 0
    ) throws -> String {
        try DPoPProof.sign(
            method: method, url: WebURL(url), tokenID: id, issuedAt: world.clock.time.seconds - age, key: key,
            nonce: nonce ?? world.service.proofNonce)
    }

    @Test("a proof binds the token to its key, once")
    func binds() async throws {
        try await TokenWorld.run { world in
            let proof = try proof(world)
            let response = try await world.token("a", proofs: [proof])
            #expect(response.use == .dpop)
            let thumbprint = key.verificationKey.jwk.thumbprintBase64URL
            #expect(try world.claims(response)["cnf"] == ["jkt": .string(thumbprint)])
            await expectRefusal(.invalidDPoPProof) { try await world.token("a", proofs: [proof]) }
        }
    }

    @Test("a proof wins over the connection's certificate, whose end then does not matter")
    func proofWins() async throws {
        try await TokenWorld.run { world in
            let peer = try await world.peer("a")
            world.clock.set(UnixTime(seconds: peer.expiresAt.seconds - 60))
            let response = try await world.service.token(
                world.call([:], proofs: [proof(world)], peer: peer))
            #expect(response.use == .dpop && response.expiresIn == 600)
        }
    }

    @Test("two header fields, another method, another URL and an old proof are refused")
    func refused() async throws {
        try await TokenWorld.run { world in
            for proofs in [
                [try proof(world, id: "1"), try proof(world, id: "2")], [try proof(world, id: "3", method: "GET")],
                [try proof(world, id: "4", url: "https://as.example.org/oauth2/introspect")],
                [try proof(world, id: "5", url: "https://evil.example/oauth2/token")],
                [try proof(world, id: "6", age: 61)], ["x"], [""],
            ] {
                await expectRefusal(.invalidDPoPProof) { try await world.token("a", proofs: proofs) }
            }
        }
    }

    @Test("a proof needs a nonce of the last minutes")
    func nonces() async throws {
        try await TokenWorld.run { world in
            await expectRefusal(.useDPoPNonce) {
                try await world.token("a", proofs: [proof(world, id: "1", nonce: .some(nil))])
            }
            await expectRefusal(.useDPoPNonce) {
                try await world.token("a", proofs: [proof(world, id: "2", nonce: "made-up")])
            }
            let first = world.service.proofNonce
            world.clock.advance(seconds: DPoPNonces.lifetime)
            #expect(world.service.proofNonce != first)
            _ = try await world.token("a", proofs: [proof(world, id: "3", nonce: first)])
            world.clock.advance(seconds: DPoPNonces.lifetime)
            _ = world.service.proofNonce
            await expectRefusal(.useDPoPNonce) {
                try await world.token("a", proofs: [proof(world, id: "4", nonce: first)])
            }
            // After a long silence both are old.
            let last = world.service.proofNonce
            world.clock.advance(seconds: 2 * DPoPNonces.lifetime)
            await expectRefusal(.useDPoPNonce) {
                try await world.token("a", proofs: [proof(world, id: "5", nonce: last)])
            }
        }
    }

    @Test("the same identifier of another client's proof is another one")
    func apartForEachClient() async throws {
        try await TokenWorld.run { world in
            try world.grant("b", on: TokenWorld.resourceC, .own)
            let proof = try proof(world)
            _ = try await world.token("a", proofs: [proof])
            _ = try await world.token("b", proofs: [proof])
            await expectRefusal(.invalidDPoPProof) { try await world.token("b", proofs: [proof]) }
        }
    }

    @Test("a resource that wants bound tokens gives no other")
    func required() async throws {
        try await TokenWorld.run { world in
            var resource = try #require(world.directory.snapshot.resource(TokenWorld.resourceB))
            resource.binding = .required
            let changed = resource
            world.directory.change { $0.put(changed) }
            await expectRefusal(.invalidRequest) { try await world.token("a") }
            _ = try await world.token("a", proofs: [proof(world)])
        }
    }

    @Test("a certificate that ended while its connection lasted is no credential, also with a proof")
    func endedCertificate() async throws {
        try await TokenWorld.run { world in
            let peer = try await world.peer("a")
            world.clock.set(peer.expiresAt)
            await expectRefusal(.invalidClient) {
                try await world.service.token(world.call([:], proofs: [proof(world)], peer: peer))
            }
        }
    }
}
