import JOSE
import Testing

@testable import A2A

@Suite struct CardJSONTests {
    @Test(arguments: [
        #"{"securitySchemes":null,"security_schemes":{}}"#,
        #"{"supportedInterfaces":[],"supported_interfaces":[{"url":"https://evil.example"}]}"#,
        #"{"supportedInterfaces":[{"protocolBinding":"GRPC","protocol_binding":"JSONRPC"}]}"#,
    ])
    func aMemberInBothSpellingsIsRefused(_ card: String) {
        // One of them would be signed and the other carried along.
        #expect(throws: CardDocumentError.self) { try CardDocument(parsing: Array(card.utf8)) }
    }

    /// Every field of every message that a card is made of.
    static let everything = """
        {"name":"Recipe Agent","description":"Helps with recipes.",\
        "supportedInterfaces":[{"url":"https://recipes.example/a2a","protocolBinding":"JSONRPC","tenant":"t1",\
        "protocolVersion":"1.0"},{"url":"https://recipes.example","protocolBinding":"https://x.example/own",\
        "protocolVersion":"1.0"}],\
        "provider":{"url":"https://example.com","organization":"Example"},"version":"2.1.0",\
        "documentationUrl":"","capabilities":{"streaming":false,"pushNotifications":true,\
        "extensions":[{"uri":"https://x.example/e","description":"d","required":true,"params":{"b":[],"a":null}},\
        {"uri":"https://x.example/f","params":{}}],"extendedAgentCard":false},\
        "securitySchemes":{"z":{"mtlsSecurityScheme":{"description":"SVIDs"}},\
        "key":{"apiKeySecurityScheme":{"description":"d","location":"header","name":"X-Key"}},\
        "bearer":{"httpAuthSecurityScheme":{"description":"d","scheme":"Bearer","bearerFormat":"JWT"}},\
        "oidc":{"openIdConnectSecurityScheme":{"description":"d","openIdConnectUrl":"https://op.example"}},\
        "code":{"oauth2SecurityScheme":{"description":"d","flows":{"authorizationCode":{\
        "authorizationUrl":"https://as.example/authorize","tokenUrl":"https://as.example/token",\
        "refreshUrl":"https://as.example/refresh","scopes":{"z":"last","a":"first"},"pkceRequired":true}},\
        "oauth2MetadataUrl":"https://as.example/.well-known/oauth-authorization-server"}},\
        "client":{"oauth2SecurityScheme":{"flows":{"clientCredentials":{"tokenUrl":"https://as.example/token",\
        "refreshUrl":"https://as.example/refresh","scopes":{}}}}},\
        "implicit":{"oauth2SecurityScheme":{"flows":{"implicit":{"authorizationUrl":"https://as.example/authorize",\
        "refreshUrl":"https://as.example/refresh","scopes":{"s":"d"}}}}},\
        "password":{"oauth2SecurityScheme":{"flows":{"password":{"tokenUrl":"https://as.example/token",\
        "refreshUrl":"https://as.example/refresh","scopes":{"s":"d"}}}}},\
        "device":{"oauth2SecurityScheme":{"flows":{"deviceCode":{\
        "deviceAuthorizationUrl":"https://as.example/device","tokenUrl":"https://as.example/token",\
        "refreshUrl":"https://as.example/refresh","scopes":{"s":"d"}}}}}},\
        "securityRequirements":[{"schemes":{"z":{},"code":{"list":["z","a"]}}},{}],\
        "defaultInputModes":["text/plain"],"defaultOutputModes":["application/json"],\
        "skills":[{"id":"find","name":"Find","description":"Finds recipes.","tags":["food"],"examples":["bread"],\
        "inputModes":["text/plain"],"outputModes":["text/html"],\
        "securityRequirements":[{"schemes":{"key":{}}}]}],\
        "signatures":[{"protected":"e30","signature":"AA","header":{"a":1}},{"protected":"e30","signature":"AA"}],\
        "iconUrl":"https://recipes.example/icon.png"}
        """

    private func card(_ text: String) throws -> AgentCard {
        try AgentCard(json: JSONValue(parsing: text))
    }

    @Test func everyMemberIsReadAndWrittenInTheOrderOfItsField() throws {
        #expect(String(decoding: try card(Self.everything).jsonBytes, as: UTF8.self) == Self.everything)
    }

    @Test func membersAreReadIntoTheirTypes() throws {
        let card = try card(Self.everything)
        #expect(card.supportedInterfaces.map(\.protocolBinding) == [.jsonRPC, "https://x.example/own"])
        #expect(card.supportedInterfaces.map(\.tenant) == ["t1", nil])
        #expect(card.documentationURL == "")
        #expect(card.capabilities.streaming == false)
        #expect(card.capabilities.extensions.map(\.required) == [true, false])
        #expect(card.securitySchemes.keys.first == "z")
        #expect(card.securitySchemes["z"] == .mutualTLS(.init(description: "SVIDs")))
        #expect(card.securityRequirements == [SecurityRequirement(["code": ["z", "a"], "z": []]), .init([:])])
        guard case .oauth2(let scheme)? = card.securitySchemes["code"],
            case .authorizationCode(let flow) = scheme.flows
        else {
            Issue.record("not an authorization code")
            return
        }
        #expect(flow.scopes.keys == ["z", "a"])
        #expect(flow.isPKCERequired)
    }

    @Test func aCardThatSaysNothingWritesWhatIsRequiredOnly() throws {
        let written = String(decoding: try card("{}").jsonBytes, as: UTF8.self)
        #expect(
            written == """
                {"name":"","description":"","supportedInterfaces":[],"version":"","capabilities":{},\
                "defaultInputModes":[],"defaultOutputModes":[],"skills":[]}
                """)
    }

    @Test func namesOfTheProtoFileAreReadToo() throws {
        let card = try card(
            """
            {"supported_interfaces":[{"protocol_binding":"GRPC"}],"icon_url":"i","security_schemes":
             {"m":{"mtls_security_scheme":{}},"o":{"oauth2_security_scheme":{"oauth2_metadata_url":"u",
             "flows":{"client_credentials":{"token_url":"t"}}}}}}
            """)
        #expect(card.supportedInterfaces.first?.protocolBinding == .grpc)
        #expect(card.iconURL == "i")
        #expect(card.securitySchemes["m"] == .mutualTLS(.init()))
        #expect(
            card.securitySchemes["o"]
                == .oauth2(.init(flows: .clientCredentials(.init(tokenURL: "t", scopes: [:])), metadataURL: "u")))
    }

    @Test func whatALaterVersionAddsIsPassedOver() throws {
        let card = try card(
            """
            {"later":1,"securitySchemes":{"new":{"walletSecurityScheme":{"a":1}},
             "o":{"oauth2SecurityScheme":{"flows":{"tokenExchange":{}}}}}}
            """)
        #expect(card.securitySchemes["new"] == .unknown)
        #expect(card.securitySchemes["o"] == .oauth2(.init(flows: .unknown)))
    }

    @Test(arguments: [
        (#"{"name":1}"#, "name: must be a string"),
        (#"{"capabilities":["chat"]}"#, "capabilities: must be an object"),
        (#"{"capabilities":{"streaming":"yes"}}"#, "capabilities.streaming: must be true or false"),
        (#"{"supportedInterfaces":[{"url":[]}]}"#, "supportedInterfaces[0].url: must be a string"),
        (#"{"securitySchemes":{"a":[]}}"#, "securitySchemes.a: must be an object"),
        (
            #"{"securitySchemes":{"a":{"mtlsSecurityScheme":{},"httpAuthSecurityScheme":{}}}}"#,
            "securitySchemes.a: must have one kind of scheme"
        ),
        (
            #"{"securitySchemes":{"a":{"oauth2SecurityScheme":{"flows":{"implicit":{},"password":{}}}}}}"#,
            "securitySchemes.a.oauth2SecurityScheme.flows: must have one flow"
        ),
        (
            #"{"securitySchemes":{"a":{"oauth2SecurityScheme":{"flows":{"implicit":{"scopes":{"s":1}}}}}}}"#,
            "securitySchemes.a.oauth2SecurityScheme.flows.implicit.scopes.s: must be a string"
        ),
        (
            #"{"securityRequirements":[{"schemes":{"a":[]}}]}"#,
            "securityRequirements[0].schemes.a: must be an object"
        ),
        (#"{"signatures":[{"header":[]}]}"#, "signatures[0].header: must be an object"),
    ])
    func aMemberThatCannotBeReadIsNamedByItsPath(_ text: String, _ violation: String) throws {
        let error = #expect(throws: FieldViolation.self) { try card(text) }
        #expect(error?.description == violation)
    }

    @Test func mapsAreEqualInWhateverOrderAndKeepTheirPlaces() {
        var map: ProtoMap<String> = ["b": "1", "a": "2", "b": "3"]
        #expect(map == ["a": "2", "b": "3"])
        #expect(map != ["a": "2", "b": "1"])
        #expect(map != ["a": "2"])
        #expect(map.keys == ["b", "a"])
        map["b"] = nil
        map["c"] = "4"
        #expect(map.keys == ["a", "c"])
        // The same to Swift's comparison of strings, but not the same name.
        map["e\u{301}"] = "5"
        #expect(map["\u{E9}"] == nil)
    }
}
