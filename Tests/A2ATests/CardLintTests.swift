import JOSE
import Testing

@testable import A2A

@Suite struct CardLintTests {
    /// A card that nobody can object to, but that it is not signed; members in place of its own.
    private func findings(_ members: JSONObject = JSONObject()) throws -> [CardFinding] {
        var object: JSONObject = [
            "name": "Agent", "description": "Works.", "version": "1",
            "supportedInterfaces": [
                ["url": "https://a.example", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"],
                ["url": "a.example:443", "protocolBinding": "GRPC", "protocolVersion": "1.0"],
            ],
            "capabilities": ["extensions": [Self.identity]],
            "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
            "skills": [["id": "s", "name": "S", "description": "Does s.", "tags": ["s"]]],
            "securitySchemes": ["m": ["mtlsSecurityScheme": ["description": "SVIDs"]]],
            "securityRequirements": [["schemes": ["m": ["list": ["call"]]]]],
            "signatures": [["protected": .string(Self.header), "signature": "AAAA"]],
        ]
        for (name, value) in members.members { object[name] = value }
        return CardLint.findings(in: object.serializedBytes)
    }

    private static let header = Base64URL.encode(Array(#"{"alg":"ES256","kid":"k","typ":"JOSE"}"#.utf8))
    private static let identity: JSONValue = [
        "uri": .string(CardIdentity.extensionURI),
        "params": ["spiffeId": "spiffe://a.b/c", "trustDomain": "a.b"],
    ]

    private static func signature(_ header: String) -> JSONObject {
        ["signatures": [["protected": .string(Base64URL.encode(Array(header.utf8))), "signature": "AAAA"]]]
    }

    private static func scheme(_ scheme: JSONValue) -> JSONObject { ["securitySchemes": ["m": scheme]] }

    private static func extensions(_ extensions: JSONValue...) -> JSONObject {
        ["capabilities": ["extensions": .array(extensions)]]
    }

    private static func interface(_ url: String) -> JSONObject {
        [
            "supportedInterfaces": [
                ["url": .string(url), "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"]
            ]
        ]
    }

    private static let oauth = "securitySchemes.m.oauth2SecurityScheme.flows"

    /// What is put into the card, and what is found in it.
    private static let rows: [(JSONObject, [(CardFinding.Rule, String)])] = [
        ([:], []),
        (["capabilities": ["chat", "search"]], [(.unreadable, "capabilities")]),
        (["name": 1], [(.unreadable, "name")]),
        (["name": ""], [(.violation, "name")]),
        (["version": .null], [(.violation, "version")]),
        (
            ["securityRequirements": [["schemes": ["x": ["list": ["a"]]]]]],
            [(.violation, "securityRequirements[0].schemes.x")]
        ),
        (interface("http://a.example/x"), [(.insecureURL, "supportedInterfaces[0].url")]),
        (interface("HTTP://localhost.evil.example"), [(.insecureURL, "supportedInterfaces[0].url")]),
        (interface("http://localhost:8080"), [(.localURL, "supportedInterfaces[0].url")]),
        (interface("http://[::1]:8080/a"), [(.localURL, "supportedInterfaces[0].url")]),
        (interface("/a2a"), [(.badURL, "supportedInterfaces[0].url")]),
        (interface("https://"), [(.badURL, "supportedInterfaces[0].url")]),
        (interface("https://user@a.example"), [(.badURL, "supportedInterfaces[0].url")]),
        (
            scheme([
                "oauth2SecurityScheme": [
                    "flows": ["clientCredentials": ["tokenUrl": "http://as.example", "scopes": ["a": "b"]]]
                ]
            ]), [(.insecureURL, "\(oauth).clientCredentials.tokenUrl")]
        ),
        (
            scheme(["openIdConnectSecurityScheme": ["openIdConnectUrl": "op.example"]]),
            [(.badURL, "securitySchemes.m.openIdConnectSecurityScheme.openIdConnectUrl")]
        ),
        (["description": ""], [(.lostByPruning, "description")]),
        (["skills": []], [(.lostByPruning, "skills")]),
        (scheme(["mtlsSecurityScheme": [:]]), [(.lostByPruning, "securitySchemes")]),
        (
            ["securityRequirements": [["schemes": ["m": ["list": []]]]]],
            [(.lostByPruning, "securityRequirements")]
        ),
        (
            scheme([
                "oauth2SecurityScheme": [
                    "flows": ["clientCredentials": ["tokenUrl": "https://as.example", "scopes": [:]]]
                ]
            ]), [(.lostByPruning, "\(oauth).clientCredentials.scopes")]
        ),
        (
            extensions(identity, ["uri": "https://x.example/e", "params": ["a": "", "b": [1, ""]]]),
            [
                (.lostByPruning, "capabilities.extensions[1].params.a"),
                (.lostByPruning, "capabilities.extensions[1].params.b[1]"),
            ]
        ),
        (["agentId": "x"], [(.unknownMember, "agentId")]),
        (
            ["skills": [["id": "s", "name": "S", "description": "D", "tags": ["t"], "cost": 1]]],
            [(.unknownMember, "skills[0].cost")]
        ),
        (["url": "https://a.example"], [(.oldMember, "url")]),
        (["securityRequirements": []], [(.noRequirement, "securityRequirements")]),
        (
            ["securityRequirements": [["schemes": ["m": ["list": ["call"]]]], [:]]],
            [(.lostByPruning, "securityRequirements[1]"), (.openRequirement, "securityRequirements[1]")]
        ),
        (
            scheme(["walletSecurityScheme": ["a": 1]]),
            [
                (.lostByPruning, "securitySchemes"), (.unknownMember, "securitySchemes.m.walletSecurityScheme"),
                (.unknownSchemeKind, "securitySchemes.m"),
            ]
        ),
        (
            scheme([
                "oauth2SecurityScheme": ["flows": ["implicit": ["authorizationUrl": "https://as.example"]]]
            ]), [(.deprecatedFlow, "securitySchemes.m")]
        ),
        (
            scheme(["oauth2SecurityScheme": ["flows": ["password": ["tokenUrl": "https://as.example"]]]]),
            [(.deprecatedFlow, "securitySchemes.m")]
        ),
        (
            scheme([
                "oauth2SecurityScheme": [
                    "flows": [
                        "authorizationCode": [
                            "authorizationUrl": "https://as.example", "tokenUrl": "https://as.example",
                            "scopes": ["a": "b"],
                        ]
                    ]
                ]
            ]), [(.noPKCE, "securitySchemes.m")]
        ),
        (scheme(["apiKeySecurityScheme": ["location": "query", "name": "key"]]), [(.apiKey, "securitySchemes.m")]),
        (scheme(["httpAuthSecurityScheme": ["scheme": "BASIC"]]), [(.basicAuthentication, "securitySchemes.m")]),
        (["signatures": []], [(.unsigned, "signatures")]),
        (signature(#"{"alg":"none"}"#), [(.badSignature, "signatures[0]")]),
        (signature(#"{"alg":"HS256","kid":"k","typ":"JOSE"}"#), [(.badSignature, "signatures[0]")]),
        (["signatures": .array(Array(repeating: [:], count: 9))], [(.badSignature, "signatures")]),
        (signature(#"{"alg":"ES256","typ":"JOSE"}"#), [(.noKeyID, "signatures[0]")]),
        (signature(#"{"alg":"ES256","kid":"k"}"#), [(.noType, "signatures[0]")]),
        (["capabilities": ["streaming": true]], [(.unbound, "capabilities.extensions")]),
        (
            extensions(["uri": .string(CardIdentity.extensionURI), "params": ["spiffeId": "x"]]),
            [(.badIdentity, "capabilities.extensions")]
        ),
        (
            extensions([
                "uri": .string(CardIdentity.extensionURI), "required": true,
                "params": [
                    "spiffeId": "spiffe://a.b/c", "trustDomain": "a.b", "skills": ["other": ["scopes": ["a"]]],
                ],
            ]), [(.requiredIdentity, "capabilities.extensions"), (.unknownSkill, "capabilities.extensions")]
        ),
    ]

    @Test func everythingThatIsWrongIsFoundAndNothingElse() throws {
        for (members, expected) in Self.rows {
            let found = try findings(members)
            #expect(
                found.map(\.rule) == expected.map(\.0), "\(String(decoding: members.serializedBytes, as: UTF8.self))")
            #expect(
                found.map(\.path) == expected.map(\.1), "\(String(decoding: members.serializedBytes, as: UTF8.self))")
        }
    }

    @Test func everyRuleHasACard() {
        let shown = Set(Self.rows.flatMap { $0.1.map(\.0) })
        #expect(shown == Set(CardFinding.Rule.allCases))
    }

    @Test func textThatIsNoJSONIsOneFinding() {
        let found = CardLint.findings(in: Array("{".utf8))
        #expect(found.map(\.rule) == [.unreadable])
        #expect(found.map(\.severity) == [.error])
    }
}
