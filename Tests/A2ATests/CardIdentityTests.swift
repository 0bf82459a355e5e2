import JOSE
import SPIFFE
import Testing

@testable import A2A

@Suite struct CardIdentityTests {
    static let full = """
        {"spiffeId":"spiffe://example.org/agents/recipes","trustDomain":"example.org",\
        "gateways":["spiffe://example.org/gateway","spiffe://edge.example/gateway"],\
        "credentials":["x509-svid","dpop"],"skills":{"find":{"scopes":["recipes.read"]}}}
        """

    private func identity(_ params: String) throws -> CardIdentity? {
        let params = try #require(JSONValue(parsing: params).objectValue)
        let card = AgentCard(
            name: "n", description: "d", version: "1", supportedInterfaces: [],
            capabilities: AgentCapabilities(extensions: [
                AgentExtension(uri: "https://x.example/other"),
                AgentExtension(uri: CardIdentity.extensionURI, params: params),
            ]), skills: [])
        return try CardIdentity(of: card)
    }

    @Test func everyParameterIsReadAndWritten() throws {
        let identity = try #require(try identity(Self.full))
        #expect(identity.spiffeID.path == "/agents/recipes")
        #expect(identity.trustDomain.name == "example.org")
        #expect(identity.gateways.map(\.trustDomain.name) == ["example.org", "edge.example"])
        #expect(identity.credentials == [.x509SVID, .dpop])
        #expect(identity.skillScopes == ["find": ["recipes.read"]])
        let written = try #require(identity.agentExtension.params)
        #expect(String(decoding: written.serializedBytes, as: UTF8.self) == Self.full)
        #expect(!identity.agentExtension.required)
        #expect(try AgentExtension(json: .object(identity.extensionObject)) == identity.agentExtension)
    }

    @Test func whatIsNotKnownIsPassedOver() throws {
        let identity = try identity(
            #"{"spiffeId":"spiffe://a.b/c","trustDomain":"a.b","later":[],"skills":{"s":{"cost":1}}}"#)
        #expect(identity?.skillScopes == [:])
        #expect(identity?.credentials == [])
    }

    @Test func aCardWithoutTheExtensionHasNoIdentity() throws {
        #expect(
            try CardIdentity(
                of: AgentCard(name: "n", description: "d", version: "1", supportedInterfaces: [], skills: [])) == nil)
    }

    @Test(arguments: [
        ("{}", CardIdentityError.missing("spiffeId")),
        (#"{"spiffeId":1,"trustDomain":"a.b"}"#, .malformed("spiffeId")),
        (#"{"spiffeId":"https://a.b/c","trustDomain":"a.b"}"#, .badID("spiffeId", .wrongScheme)),
        (#"{"spiffeId":"","trustDomain":"a.b"}"#, .badID("spiffeId", .empty)),
        (#"{"spiffeId":"spiffe://a.b","trustDomain":"a.b"}"#, .notAnAgent("spiffeId")),
        (#"{"spiffeId":"spiffe://a.b/c"}"#, .missing("trustDomain")),
        (#"{"spiffeId":"spiffe://a.b/c","trustDomain":["a.b"]}"#, .malformed("trustDomain")),
        (#"{"spiffeId":"spiffe://a.b/c","trustDomain":"spiffe://a.b"}"#, .otherTrustDomain),
        (#"{"spiffeId":"spiffe://a.b/c","trustDomain":"b.a"}"#, .otherTrustDomain),
        (#"{"spiffeId":"spiffe://a.b/c","trustDomain":"a.b","gateways":[]}"#, .malformed("gateways")),
        (#"{"spiffeId":"spiffe://a.b/c","trustDomain":"a.b","gateways":"x"}"#, .malformed("gateways")),
        (#"{"spiffeId":"spiffe://a.b/c","trustDomain":"a.b","gateways":["*"]}"#, .badID("gateways", .wrongScheme)),
        (#"{"spiffeId":"spiffe://a.b/c","trustDomain":"a.b","gateways":["spiffe://a.b"]}"#, .notAnAgent("gateways")),
        (
            #"{"spiffeId":"spiffe://a.b/c","trustDomain":"a.b","gateways":["spiffe://a.b/g","spiffe://a.b/g"]}"#,
            .repeated("gateways")
        ),
        (#"{"spiffeId":"spiffe://a.b/c","trustDomain":"a.b","credentials":[]}"#, .malformed("credentials")),
        (#"{"spiffeId":"spiffe://a.b/c","trustDomain":"a.b","credentials":["DPoP"]}"#, .malformed("credentials")),
        (#"{"spiffeId":"spiffe://a.b/c","trustDomain":"a.b","credentials":[""]}"#, .malformed("credentials")),
        (
            #"{"spiffeId":"spiffe://a.b/c","trustDomain":"a.b","credentials":["dpop","dpop"]}"#,
            .repeated("credentials")
        ),
        (#"{"spiffeId":"spiffe://a.b/c","trustDomain":"a.b","skills":{}}"#, .malformed("skills")),
        (#"{"spiffeId":"spiffe://a.b/c","trustDomain":"a.b","skills":{"s":[]}}"#, .malformed("skills")),
        (#"{"spiffeId":"spiffe://a.b/c","trustDomain":"a.b","skills":{"s":{"scopes":[]}}}"#, .malformed("skills")),
        (
            #"{"spiffeId":"spiffe://a.b/c","trustDomain":"a.b","skills":{"s":{"scopes":["a b"]}}}"#,
            .malformed("skills")
        ),
        (#"{"spiffeId":"spiffe://a.b/c","trustDomain":"a.b","skills":{"":{"scopes":["a"]}}}"#, .malformed("skills")),
    ])
    func aMalformedIdentityIsRefused(_ params: String, _ expected: CardIdentityError) {
        #expect(throws: expected) { try identity(params) }
    }

    @Test func listsHaveTheirLimits() throws {
        let id = try SPIFFEID("spiffe://a.b/c")
        let gateways = try (0...CardIdentity.maximumCount).map { try SPIFFEID("spiffe://a.b/g\($0)") }
        #expect(throws: Never.self) { try CardIdentity(spiffeID: id, gateways: Array(gateways.dropLast())) }
        #expect(throws: CardIdentityError.tooMany("gateways")) { try CardIdentity(spiffeID: id, gateways: gateways) }
        let words = (0...CardIdentity.maximumCount).map { CardIdentity.Credential(rawValue: "c\($0)") }
        #expect(throws: CardIdentityError.tooMany("credentials")) {
            try CardIdentity(spiffeID: id, credentials: words)
        }
        var skills: ProtoMap<[String]> = [:]
        for number in 0...CardIdentity.maximumSkills { skills["s\(number)"] = ["a"] }
        #expect(throws: CardIdentityError.tooMany("skills")) { try CardIdentity(spiffeID: id, skillScopes: skills) }
    }

    @Test func twoIdentitiesInACardAreNone() throws {
        let identity = try CardIdentity(spiffeID: SPIFFEID("spiffe://a.b/c"))
        let card = AgentCard(
            name: "n", description: "d", version: "1", supportedInterfaces: [],
            capabilities: AgentCapabilities(extensions: [identity.agentExtension, identity.agentExtension]), skills: [])
        #expect(throws: CardIdentityError.severalIdentities) { try CardIdentity(of: card) }
    }

    @Test func anIdentityIsPutIntoADocumentInPlaceOfAnotherAndNothingElseIsLost() throws {
        let written = Array(
            """
            {"name":"n","later":{"a":1},"signatures":[{"protected":"e30","signature":"AA"}],
             "capabilities":{"later":2,"extensions":[{"uri":"https://x.example/e","later":3},
             {"uri":"https://agentshield.dev/a2a/identity/v1","params":{"spiffeId":"spiffe://old.example/x"}}]}}
            """.utf8)
        let identity = try CardIdentity(spiffeID: SPIFFEID("spiffe://a.b/c"))
        let document = try CardDocument(parsing: written).with(identity: identity)
        #expect(
            String(decoding: document.jsonBytes, as: UTF8.self) == """
                {"name":"n","later":{"a":1},"capabilities":{"later":2,"extensions":[\
                {"uri":"https://x.example/e","later":3},{"uri":"https://agentshield.dev/a2a/identity/v1",\
                "params":{"spiffeId":"spiffe://a.b/c","trustDomain":"a.b"}}]}}
                """)
        #expect(try CardDocument(document.object) == document)
        #expect(try CardIdentity(of: document.card) == identity)
    }

    @Test func onlyTheAgentOrAGatewayThatItsCardNamesIsBound() throws {
        let agent = try SPIFFEID("spiffe://a.b/agent")
        let gateway = try SPIFFEID("spiffe://edge.example/gateway")
        let other = try SPIFFEID("spiffe://a.b/other")
        let identity = try CardIdentity(spiffeID: agent, gateways: [gateway])
        #expect(CardBinding(identity, peer: agent) == .bound(agent))
        #expect(CardBinding(identity, peer: gateway) == .boundThroughGateway(gateway, agent: agent))
        #expect(CardBinding(identity, peer: other) == .mismatch(expected: agent, found: other))
        #expect(CardBinding(identity, peer: nil) == .mismatch(expected: agent, found: nil))
        #expect(CardBinding(nil, peer: agent) == .unbound)
        #expect(CardBinding(nil, peer: nil) == .unbound)
    }
}
