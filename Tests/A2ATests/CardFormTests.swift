import JOSE
import Testing

@testable import A2A

@Suite struct CardFormTests {
    private func form(_ form: CardForm, _ text: String) throws -> String {
        String(
            decoding: try CardDocument(parsing: Array(text.utf8)).covered(by: form).object.serializedBytes,
            as: UTF8.self)
    }

    @Test func theStandardFormIsWhatTheTypesWrite() throws {
        for text in ["{}", CardJSONTests.everything] {
            var card = try CardDocument(parsing: Array(text.utf8)).card
            card.signatures = []
            let covered = try CardDocument(parsing: Array(text.utf8)).covered(by: .standard)
            #expect(try covered.payload == JSONValue(parsing: card.jsonBytes).canonicalBytes)
            #expect(covered.card == card)
        }
    }

    @Test(arguments: [
        // Defaults of members without presence go, at every depth.
        (
            #"{"securitySchemes":{},"securityRequirements":[],"provider":null,"supportedInterfaces":[{"tenant":""}]}"#,
            #"{"name":"","description":"","supportedInterfaces":[{"url":"","protocolBinding":"","#
                + #""protocolVersion":""}],"version":"","capabilities":{},"defaultInputModes":[],"#
                + #""defaultOutputModes":[],"skills":[]}"#
        ),
        // Those with presence stay, and free members are not looked into.
        (
            #"{"iconUrl":"","capabilities":{"streaming":false,"extensions":[{"required":false,"params":{"a":"","#
                + #""b":null}}]}}"#,
            #"{"name":"","description":"","supportedInterfaces":[],"version":"","capabilities":{"streaming":false,"#
                + #""extensions":[{"params":{"a":"","b":null}}]},"defaultInputModes":[],"#
                + #""defaultOutputModes":[],"skills":[],"iconUrl":""}"#
        ),
        // Names of the .proto file become those of its JSON form; members that nobody knows stay where they are.
        (
            #"{"icon_url":"i","agentId":"","capabilities":{"later":[]}}"#,
            #"{"name":"","description":"","supportedInterfaces":[],"version":"","capabilities":{"later":[]},"#
                + #""defaultInputModes":[],"defaultOutputModes":[],"skills":[],"iconUrl":"i","agentId":""}"#
        ),
    ])
    func theStandardFormKeepsWhatTheStandardSays(_ text: String, _ expected: String) throws {
        #expect(try form(.standard, text) == expected)
    }

    @Test(arguments: [
        (#"{"name":"n","description":"","skills":[],"capabilities":{},"agentId":"x"}"#, #"{"name":"n"}"#),
        (
            #"{"securitySchemes":{"m":{"mtlsSecurityScheme":{}}},"securityRequirements":[{"schemes":{"m":{}}}]}"#,
            "{}"
        ),
        (
            #"{"capabilities":{"streaming":false,"extensions":[{"uri":"u","required":false,"#
                + #""params":{"a":[[],"",{}],"b":null,"c":[0,false]}}]}}"#,
            #"{"capabilities":{"streaming":false,"extensions":[{"uri":"u","params":{"c":[0,false]}}]}}"#
        ),
    ])
    func thePrunedFormHasNothingThatIsEmptyAndNothingThatIsUnknown(_ text: String, _ expected: String) throws {
        #expect(try form(.pruned, text) == expected)
    }

    @Test func aCardTooLargeOrNoCardIsRefused() {
        let large = #"{"name":""# + String(repeating: "a", count: CardDocument.maximumBytes) + #""}"#
        #expect(throws: CardDocumentError.self) { try CardDocument(parsing: Array(large.utf8)) }
        #expect(throws: CardDocumentError.unreadable(FieldViolation("", "must be an object"))) {
            try CardDocument(parsing: Array("[]".utf8))
        }
        #expect(throws: CardDocumentError.unreadable(FieldViolation("name", "must be a string"))) {
            try CardDocument(parsing: Array(#"{"name":[]}"#.utf8))
        }
    }

    @Test func aDocumentSaysAllThatTheStandardMisses() throws {
        let document = try CardDocument(
            parsing: Array(
                """
                {"name":"","description":"","version":"1","supportedInterfaces":[{"url":"u","protocolBinding":"GRPC",
                 "protocolVersion":"1.0.1"}],"capabilities":{},"defaultInputModes":[],"skills":[{"id":"a","name":"",
                 "description":"","tags":[],"securityRequirements":[{"schemes":{"x":{}}}]},{"id":"a","name":"",
                 "description":"","tags":[]}],"securitySchemes":{"k":{"apiKeySecurityScheme":{"location":"body",
                 "name":"n"}},"o":{"oauth2SecurityScheme":{"flows":{"deviceCode":{"deviceAuthorizationUrl":"u",
                 "tokenUrl":"","scopes":{}}}}},"h":{"httpAuthSecurityScheme":{}}},"provider":{"url":"u"}}
                """.utf8))
        #expect(
            document.violations.map(\.description) == [
                "defaultOutputModes: is required", "provider.organization: is required",
                "securitySchemes.h.httpAuthSecurityScheme.scheme: is required", "name: must not be empty",
                "supportedInterfaces[0].protocolVersion: must be two numbers such as `1.0`",
                "securitySchemes.k.apiKeySecurityScheme.location: must be `query`, `header` or `cookie`",
                "securitySchemes.o.oauth2SecurityScheme.flows.deviceCode.tokenUrl: must not be empty",
                "skills[0].securityRequirements[0].schemes.x: is no scheme of the card",
                "skills[1].id: is the ID of another skill",
            ])
    }
}
