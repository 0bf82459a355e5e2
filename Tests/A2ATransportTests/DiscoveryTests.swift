import A2A
import Crypto
import JOSE
import SPIFFE
import Testing

@testable import A2ATransport

@Suite struct DiscoveryTests {
    private func card(_ interfaces: [(AgentInterface.ProtocolBinding, String)]) -> AgentCard {
        AgentCard(
            name: "A", description: "", version: "1",
            supportedInterfaces: interfaces.map { binding, version in
                AgentInterface(
                    url: "https://\(binding.rawValue).example", protocolBinding: binding, protocolVersion: version)
            }, skills: [])
    }

    @Test func theFirstInterfaceThatIsSpokenIsTaken() throws {
        let card = card([
            ("https://own.example", "1.0"), (.jsonRPC, "0.3"), (.grpc, "1.1"), (.httpJSON, "1.0"), (.jsonRPC, "1.0.1"),
        ])
        #expect(try card.interface().protocolBinding == .httpJSON)
        #expect(try card.interface(preferring: [.grpc, .jsonRPC, .httpJSON]).protocolVersion == "1.0.1")
        #expect(throws: A2AClientError.noInterface(versions: ["version 0.3", "version 1.1"])) {
            try card.interface(preferring: [.grpc])
        }
    }

    @Test func anInterfaceForWhichThereAreNoConnectionsIsPassedOver() throws {
        let card = card([(.grpc, "1.0"), (.httpJSON, "1.0")])
        let web = A2AConnections(http: ScriptedAgent([]))
        #expect(try web.client(of: card).interface.protocolBinding == .httpJSON)
        #expect(throws: A2AClientError.noInterface(versions: [])) { try web.client(of: card, preferring: [.grpc]) }
        let all = A2AConnections(http: ScriptedAgent([]), grpc: { _ in .plaintext })
        var loopback = card
        loopback.supportedInterfaces[0].url = "127.0.0.1:9"
        #expect(try all.client(of: loopback).interface.protocolBinding == .grpc)
        #expect(throws: A2AClientError.unusableAddress("https://GRPC.example/a b")) {
            loopback.supportedInterfaces[0].url = "https://GRPC.example/a b"
            _ = try all.client(of: loopback)
        }
    }

    @Test(arguments: ["0.3", "0.3.0", "1.1", "2.0", "1", "", "1.00", "01.0", "1.0.0.0"])
    func anInterfaceOfAnotherVersionIsNotTaken(_ version: String) {
        #expect(throws: A2AClientError.noInterface(versions: ["version \(version)"])) {
            try card([(.jsonRPC, version)]).interface()
        }
    }

    @Test func theStrongestProofThatTheCallerHasIsChosen() throws {
        var card = card([])
        card.securitySchemes = [
            "key": .apiKey(.init(location: "header", name: "X")), "basic": .httpAuth(.init(scheme: "Basic")),
            "bearer": .httpAuth(.init(scheme: "bearer")), "oidc": .openIDConnect(.init(url: "u")),
            "oauth": .oauth2(.init(flows: .unknown)), "mtls": .mutualTLS(.init()), "later": .unknown,
        ]
        func chosen(_ requirements: [ProtoMap<[String]>], _ proofs: Set<AgentProof> = Set(AgentProof.allCases)) throws
            -> [String]
        {
            card.securityRequirements = requirements.map { SecurityRequirement($0) }
            return try card.security(having: proofs).schemes.map(\.name)
        }
        let all: [ProtoMap<[String]>] = ["key", "basic", "bearer", "oidc", "oauth", "mtls", "later"].map { [$0: []] }
        for (order, name) in [("mtls", AgentProof.mutualTLS), ("oauth", .oauth2), ("oidc", .openIDConnect)]
            .enumerated().map({ ($0.offset, $0.element.0) })
        {
            let proofs = Set(AgentProof.allCases.sorted().dropLast(order))
            #expect(try chosen(all, proofs) == [name])
            #expect(try chosen(all.reversed(), proofs) == [name])
        }
        #expect(try chosen(all, [.apiKey, .httpAuthentication, .bearerToken]) == ["bearer"])
        #expect(try chosen(all, [.apiKey, .httpAuthentication]) == ["basic"])
        #expect(try chosen(all, [.apiKey]) == ["key"])
        // All of one requirement, and the more the stronger.
        #expect(try chosen([["mtls": []], ["oauth": ["s"], "mtls": []]]) == ["mtls", "oauth"])
        #expect(try chosen([["oauth": ["s"], "mtls": []], ["key": []]], [.apiKey, .mutualTLS]) == ["key"])
        #expect(try card.security(having: Set(AgentProof.allCases)).schemes.last?.scopes == ["s"])
        // No proof is needed, or none is there.
        #expect(try chosen([]) == [])
        #expect(try chosen([[:], ["mtls": []]], []) == [])
        #expect(try chosen([[:], ["mtls": []]]) == ["mtls"])
        for requirements in [[["mtls": []]], [["later": []]], [["missing": []]]] as [[ProtoMap<[String]>]] {
            #expect(throws: A2AClientError.noUsableSecurity(requirements[0].keys)) {
                _ = try chosen(requirements, requirements[0].keys == ["mtls"] ? [.apiKey] : Set(AgentProof.allCases))
            }
        }
    }

    @Test func aSkillMayAskForMoreThanItsAgent() throws {
        var card = card([])
        card.securitySchemes = ["mtls": .mutualTLS(.init()), "key": .apiKey(.init(location: "query", name: "k"))]
        card.securityRequirements = [SecurityRequirement(["key": []])]
        var skill = AgentSkill(id: "s", name: "", description: "", tags: [])
        #expect(try card.security(having: [.apiKey], for: skill).schemes.map(\.name) == ["key"])
        skill.securityRequirements = [SecurityRequirement(["mtls": []])]
        #expect(throws: A2AClientError.noUsableSecurity(["mtls"])) {
            try card.security(having: [.apiKey], for: skill)
        }
    }

    private let text = #"{"name":"A","supportedInterfaces":[{"url":"u"}],"later":true}"#

    @Test func aCardIsFoundAtItsWellKnownPathsInARegistryAndDirectly() async throws {
        var agent = ScriptedAgent([.answer(404, ""), .answer(200, text)])
        let found = try await AgentCardResolver(transport: agent).card(ofAgentAt: "https://a.example/x/")
        #expect(found.card.name == "A")
        #expect(found.document.object["later"] == true)
        #expect(found.url == "https://a.example/x/.well-known/agent.json")
        #expect(agent.requests.first?.line == "GET https://a.example/x/.well-known/agent-card.json")

        agent = ScriptedAgent([.answer(200, text)])
        _ = try await AgentCardResolver(transport: agent).card(of: "a/b", inRegistryAt: "https://r.example/")
        #expect(agent.requests.first?.line == "GET https://r.example/agents/a%2Fb/.well-known/agent-card.json")

        agent = ScriptedAgent([.answer(200, text)])
        _ = try await AgentCardResolver(transport: agent).card(at: "https://a.example/card.json")
        #expect(agent.requests.first?.line == "GET https://a.example/card.json")
    }

    @Test func aCardIsVerifiedBeforeItIsRestedOn() async throws {
        let key = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "card-1")
        let other = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "card-1")
        let document = try CardDocument(card([(.jsonRPC, "1.0")]))
            .with(identity: CardIdentity(spiffeID: SPIFFEID("spiffe://example.org/agent")))
        let signed = try SignableCard(document).signed(by: key, keySetURL: nil)
        let trustDomain = try TrustDomain("example.org")
        let text = String(decoding: signed.jsonBytes, as: UTF8.self)
        let altered = text.replacing("1.0", with: "1.0.1")
        func found(_ text: String) async throws -> UnverifiedAgentCard {
            try await AgentCardResolver(transport: ScriptedAgent([.answer(200, text)])).card(at: "https://a.example/c")
        }
        let verifier = CardVerifier(trusting: [CardKeys([key.verificationKey], of: trustDomain)])
        #expect(try await found(text).verified(by: verifier).covered.card.supportedInterfaces.count == 1)
        #expect(altered != text)
        for (text, keys) in [(altered, key), (text, other), (self.text, key)] {
            let card = try await found(text)
            #expect(throws: CardVerificationError.self) {
                try card.verified(by: CardVerifier(trusting: [CardKeys([keys.verificationKey], of: trustDomain)]))
            }
        }
    }

    @Test func whatIsNoCardIsNotTakenForOne() async throws {
        func failure(_ turns: [ScriptedAgent.Turn]) async -> A2AClientError? {
            let resolver = AgentCardResolver(transport: ScriptedAgent(turns), maximumBytes: 200)
            do {
                _ = try await resolver.card(ofAgentAt: "https://a.example")
                return nil
            } catch {
                return error as? A2AClientError
            }
        }
        let old = #"{"name":"A","url":"https://a.example","protocolVersion":"0.3.0"}"#
        #expect(await failure([.answer(200, old)]) == .noInterface(versions: ["version 0.3.0"]))
        #expect(await failure([.answer(200, String(repeating: " ", count: 201))]) == .answerTooLarge(limit: 200))
        #expect(await failure([.answer(403, "")]) == .refused(A2AError(.permissionDenied, "status 403")))
        for turns in [
            [.answer(404, ""), .answer(404, "")], [.answer(200, "[]")], [.answer(200, #"{"name":1}"#)],
            [.answer(301, text)],
        ] as [[ScriptedAgent.Turn]] {
            guard case .invalidAnswer = await failure(turns) else {
                Issue.record("\(turns)")
                continue
            }
        }
    }

    @Test(
        arguments: [
            ("https://a.example", "a.example", 443, true), ("grpcs://a.example:8443/", "a.example", 8443, true),
            ("http://127.0.0.1:50051", "127.0.0.1", 50051, false), ("grpc://[::1]:1", "::1", 1, false),
            ("localhost:50051", "localhost", 50051, nil), ("HTTPS://[::1]", "::1", 443, true),
        ] as [(String, String, Int, Bool?)])
    func aTargetOfGRPCIsAURLOrHostAndPort(_ url: String, _ host: String, _ port: Int, _ isTLS: Bool?) throws {
        let target = try GRPCTarget(url)
        #expect(target.host == host)
        #expect(target.port == port)
        #expect(target.isTLS == isTLS)
    }

    @Test(arguments: [
        "", "a.example", "ftp://a.example", "https://", "https://a.example/path", "https://user@a.example", "a:0",
        "a:+1",
        "a:65536", "a:b", "a:1:2", "[::1", "[::1]x", "https://a b", "unix:/x", "https://a?x", "é:1",
    ])
    func whatIsNoTargetIsRefused(_ url: String) {
        #expect(throws: A2AClientError.unusableAddress(url)) { try GRPCTarget(url) }
    }

    @Test(arguments: [
        ("https://a.example", true), ("HTTPS://a.example", true), ("http://127.0.0.1:80/x", true),
        ("http://localhost", true), ("http://[::1]:8", true), ("http://127.1.2.3?x", true),
        ("http://a.example", false), ("http://127.0.0.1.a.example", false), ("http://localhost.a.example", false),
        ("http://127.0.0.1@a.example", false), ("http://user:pass@127.0.0.1", false), ("file:///x", false), ("", false),
        ("http://127.1", false), ("http://127.0.0.256", false), ("https://", false),
    ])
    func withoutTLSOnlyThisMachineIsCalled(_ url: String, _ isAllowed: Bool) {
        #expect(A2AWebTransport.mayCall(url) == isAllowed)
    }
}
