import A2A
import JOSE
import SwiftProtobuf
import Testing

@testable import A2ATransport

@Suite struct WireMessageTests {
    /// JSON → type → wire → bytes → wire → type gives the type again.
    private func roundTrip<Tested: WireMessage & ProtoJSONMessage>(_ type: Tested.Type, _ texts: [String]) throws {
        for text in texts {
            let message = try Tested(json: JSONValue(parsing: text))
            let bytes: [UInt8] = try message.wire().serializedBytes()
            let read = try Tested(Tested.Wire(serializedBytes: bytes))
            #expect(read == message, "\(text)")
            #expect(try JSONValue(parsing: read.jsonBytes) == JSONValue(parsing: message.jsonBytes), "\(text)")
        }
    }

    private static let message = """
        {"messageId":"m","contextId":"c","taskId":"t","role":"ROLE_USER","parts":[{"text":"hello"}],
         "metadata":{"https://e.example/v1":{"a":[1,-2.5,1e300,null,true,"é\\u0000",{}, []]},"":"empty"},
         "extensions":["https://e.example/v1",""],"referenceTaskIds":["t0","t1"]}
        """

    private static let task = """
        {"id":"t","contextId":"c",
         "status":{"state":"TASK_STATE_WORKING","message":\(message),"timestamp":"2026-03-16T10:35:00.250Z"},
         "artifacts":[{"artifactId":"a","name":"n","description":"d","parts":[{"url":"https://a.example"}],
                       "metadata":{"k":0},"extensions":["u"]},{"artifactId":"b","parts":[]}],
         "history":[\(message),{"messageId":"","role":"ROLE_UNSPECIFIED","parts":[]}],"metadata":{"k":"v"}}
        """

    private static let configuration = """
        {"tenant":"x","id":"1","taskId":"t","url":"https://h.example","token":"s",
         "authentication":{"scheme":"Bearer","credentials":"c"}}
        """

    @Test func partsOfEveryKindComeBack() throws {
        try roundTrip(
            Part.self,
            [
                "{}", #"{"text":""}"#, #"{"text":"a","mediaType":"text/plain","filename":"f","metadata":{"k":1}}"#,
                #"{"raw":""}"#, #"{"raw":"AP8="}"#, #"{"url":""}"#, #"{"data":null}"#, #"{"data":[]}"#,
                #"{"data":{}}"#, #"{"data":"x"}"#, #"{"data":-0.5}"#, #"{"data":9007199254740992}"#,
                #"{"data":[[],[{}],{"a":{"b":[null]}}]}"#,
            ])
    }

    @Test func messagesTasksAndEventsComeBack() throws {
        try roundTrip(Message.self, [Self.message, "{}"])
        try roundTrip(AgentTask.self, [Self.task, "{}"])
        try roundTrip(Artifact.self, ["{}"])
        try roundTrip(
            TaskStatus.self,
            TaskState.allCases.map { #"{"state":"\#($0.protoName)"}"# }
                + [#"{"timestamp":"0001-01-01T00:00:00Z"}"#, #"{"timestamp":"1969-12-31T23:59:59.999Z"}"#])
        let status = #"{"taskId":"t","contextId":"c","status":{"state":3},"metadata":{"k":1}}"#
        let artifact = """
            {"taskId":"t","contextId":"c","artifact":{"artifactId":"a","parts":[]},"append":true,"lastChunk":true,
             "metadata":{"k":1}}
            """
        try roundTrip(TaskStatusUpdate.self, [status, "{}"])
        try roundTrip(TaskArtifactUpdate.self, [artifact, "{}"])
        try roundTrip(
            StreamEvent.self,
            [
                #"{"task":\#(Self.task)}"#, #"{"message":\#(Self.message)}"#, #"{"statusUpdate":\#(status)}"#,
                #"{"artifactUpdate":\#(artifact)}"#, #"{"task":{}}"#,
            ])
        try roundTrip(SendMessageResponse.self, [#"{"task":\#(Self.task)}"#, #"{"message":\#(Self.message)}"#])
    }

    @Test func requestsAndAnswersComeBack() throws {
        try roundTrip(
            SendMessageRequest.self,
            [
                #"{"message":{}}"#, #"{"message":{},"configuration":{"historyLength":0}}"#,
                """
                {"tenant":"x","message":\(Self.message),"metadata":{"k":1},
                 "configuration":{"acceptedOutputModes":["text/plain"],"historyLength":3,"returnImmediately":true,
                                  "taskPushNotificationConfig":\(Self.configuration)}}
                """,
            ])
        try roundTrip(GetTaskRequest.self, ["{}", #"{"tenant":"x","id":"t","historyLength":0}"#])
        try roundTrip(
            ListTasksRequest.self,
            [
                "{}", #"{"pageSize":0,"historyLength":0}"#,
                """
                {"tenant":"x","contextId":"c","status":"TASK_STATE_FAILED","pageSize":10,"pageToken":"p",
                 "historyLength":2,"statusTimestampAfter":"2026-01-01T00:00:00.001Z","includeArtifacts":true}
                """,
            ])
        try roundTrip(
            ListTasksResponse.self,
            ["{}", #"{"tasks":[\#(Self.task)],"nextPageToken":"n","pageSize":50,"totalSize":1}"#])
        try roundTrip(CancelTaskRequest.self, ["{}", #"{"tenant":"x","id":"t","metadata":{"k":1}}"#])
        try roundTrip(SubscribeToTaskRequest.self, ["{}", #"{"tenant":"x","id":"t"}"#])
        try roundTrip(GetExtendedAgentCardRequest.self, ["{}", #"{"tenant":"x"}"#])
    }

    @Test func configurationsOfNotificationsComeBack() throws {
        try roundTrip(
            PushNotificationConfig.self,
            [Self.configuration, #"{"url":"https://h.example"}"#, #"{"url":"","authentication":{"scheme":""}}"#])
        try roundTrip(PushNotificationConfigRequest.self, ["{}", #"{"tenant":"x","taskId":"t","id":"1"}"#])
        let deletion = PushNotificationConfigRequest(tenant: "x", taskID: "t", id: "1")
        #expect(PushNotificationConfigRequest(deletion.deletionWire()) == deletion)
        try roundTrip(
            ListPushNotificationConfigsRequest.self,
            ["{}", #"{"tenant":"x","taskId":"t","pageSize":5,"pageToken":"p"}"#])
        try roundTrip(
            ListPushNotificationConfigsResponse.self,
            ["{}", #"{"configs":[\#(Self.configuration)],"nextPageToken":"n"}"#])
    }

    private static let card = """
        {"name":"Recipe Agent","description":"","supportedInterfaces":[
         {"url":"https://recipes.example/a2a","protocolBinding":"JSONRPC","tenant":"t1","protocolVersion":"1.0"},
         {"url":"https://recipes.example","protocolBinding":"https://x.example/own","protocolVersion":""}],
         "provider":{"url":"https://example.com","organization":"Example"},"version":"2.1.0","documentationUrl":"",
         "capabilities":{"streaming":false,"pushNotifications":true,"extendedAgentCard":false,
          "extensions":[{"uri":"https://x.example/e","description":"d","required":true,"params":{"b":[],"a":null}},
           {"uri":"https://x.example/f","params":{}},{"uri":"https://x.example/g"}]},
         "securitySchemes":{"z":{"mtlsSecurityScheme":{"description":"SVIDs"}},"m":{"mtlsSecurityScheme":{}},
          "key":{"apiKeySecurityScheme":{"description":"d","location":"header","name":"X-Key"}},
          "bearer":{"httpAuthSecurityScheme":{"description":"d","scheme":"Bearer","bearerFormat":"JWT"}},
          "oidc":{"openIdConnectSecurityScheme":{"description":"d","openIdConnectUrl":"https://op.example"}},
          "code":{"oauth2SecurityScheme":{"description":"d","oauth2MetadataUrl":"https://as.example/m",
           "flows":{"authorizationCode":{"authorizationUrl":"https://as.example/a","tokenUrl":"https://as.example/t",
            "refreshUrl":"https://as.example/r","scopes":{"z":"last","a":"first"},"pkceRequired":true}}}},
          "client":{"oauth2SecurityScheme":{"flows":{"clientCredentials":{"tokenUrl":"https://as.example/t",
           "refreshUrl":"https://as.example/r","scopes":{}}}}},
          "implicit":{"oauth2SecurityScheme":{"flows":{"implicit":{"authorizationUrl":"https://as.example/a",
           "refreshUrl":"https://as.example/r","scopes":{"s":"d"}}}}},
          "password":{"oauth2SecurityScheme":{"flows":{"password":{"tokenUrl":"https://as.example/t",
           "refreshUrl":"https://as.example/r","scopes":{"s":"d"}}}}},
          "device":{"oauth2SecurityScheme":{"flows":{"deviceCode":{"deviceAuthorizationUrl":"https://as.example/d",
           "tokenUrl":"https://as.example/t","refreshUrl":"https://as.example/r","scopes":{"s":"d"}}}}},
          "later":{},"none":{"oauth2SecurityScheme":{"flows":{}}}},
         "securityRequirements":[{"schemes":{"z":{},"code":{"list":["z","a"]}}},{}],
         "defaultInputModes":["text/plain"],"defaultOutputModes":["application/json"],
         "skills":[{"id":"find","name":"Find","description":"Finds.","tags":["food"],"examples":["bread"],
          "inputModes":["text/plain"],"outputModes":["text/html"],"securityRequirements":[{"schemes":{"key":{}}}]},{}],
         "signatures":[{"protected":"e30","signature":"AA","header":{"a":1}},{"protected":"e30","signature":"AA",
          "header":{}},{"protected":"e30","signature":"AA"}],
         "iconUrl":"https://recipes.example/icon.png"}
        """

    @Test func cardsComeBack() throws {
        try roundTrip(AgentCard.self, [Self.card, "{}"])
    }

    @Test func namesThatADictionaryTakesForOneAreRefusedAndNotLost() throws {
        let similar: JSONObject = ["e\u{301}": 1, "\u{E9}": 2]
        #expect(throws: FieldViolation("metadata", "has names that look the same")) {
            try Part(.text("x"), metadata: similar).wire()
        }
        let error = #expect(throws: FieldViolation.self) {
            var card = try AgentCard(json: [:])
            card.securitySchemes = ["e\u{301}": .unknown, "\u{E9}": .unknown]
            _ = try card.wire()
        }
        #expect(error?.field == "securitySchemes")
    }

    /// JSON nested so deep.
    private func nested(_ depth: Int, array: Bool) -> JSONValue {
        (0..<depth).reduce(.null) { inner, _ in array ? [inner] : ["k": inner] }
    }

    @Test(arguments: [true, false])
    func jsonMayBeNestedThirtyLevelsDeepAndStockReadersReadThat(_ array: Bool) throws {
        let part = Part(.data(nested(30, array: array)))
        let message = Message(messageID: "m", role: .agent, parts: [part])
        let event = StreamEvent.task(AgentTask(id: "t", status: TaskStatus(.working, message: message)))
        let bytes: [UInt8] = try event.wire().serializedBytes()
        #expect(try StreamEvent(Lf_A2a_V1_StreamResponse(serializedBytes: bytes)) == event)
        #expect(throws: FieldViolation("data", "is nested deeper than 30 levels")) {
            try Part(.data(nested(31, array: array))).wire()
        }
        var wire = Lf_A2a_V1_Part()
        for _ in 0..<31 {
            var outer = Google_Protobuf_Value()
            if array {
                outer.listValue.values = [wire.content == nil ? .init(nilLiteral: ()) : wire.data]
            } else {
                outer.structValue.fields = ["k": wire.content == nil ? .init(nilLiteral: ()) : wire.data]
            }
            wire.data = outer
        }
        let error = #expect(throws: FieldViolation.self) { try Part(wire) }
        #expect(error?.problem == "is nested deeper than 30 levels")
    }

    @Test func whatTheWireSaysAndJSONCannotIsRefusedByItsPath() {
        func refused(_ field: String, _ read: () throws -> Void) {
            let error = #expect(throws: FieldViolation.self, "\(field)") { try read() }
            #expect(error?.field == field)
        }
        refused("history[1].role") {
            _ = try AgentTask(.with { $0.history = [.init(), .with { $0.role = .UNRECOGNIZED(3) }] })
        }
        refused("statusUpdate.status.state") {
            _ = try StreamEvent(.with { $0.statusUpdate.status.state = .UNRECOGNIZED(9) })
        }
        refused("status") { _ = try ListTasksRequest(.with { $0.status = .UNRECOGNIZED(-1) }) }
        refused("parts[0].data") {
            _ = try Message(.with { $0.parts = [.with { $0.data = .init() }] })
        }
        refused("parts[0].metadata.k.[1]") {
            _ = try Artifact(
                .with { artifact in
                    artifact.parts = [
                        .with {
                            $0.metadata.fields["k"] = .with { $0.listValue.values = [1, .init(numberValue: .nan)] }
                        }
                    ]
                })
        }
        for (seconds, nanos) in [(Int64.max, Int32(0)), (.min, 0), (0, -1), (0, 1_000_000_000), (253_402_300_800, 0)] {
            refused("timestamp") {
                _ = try TaskStatus(
                    .with {
                        $0.timestamp.seconds = seconds
                        $0.timestamp.nanos = nanos
                    })
            }
        }
        refused("payload") { _ = try StreamEvent(.init()) }
        refused("payload") { _ = try SendMessageResponse(.init()) }
        refused("message") { _ = try SendMessageRequest(.init()) }
    }

    @Test func timesBeyondTheTypeAreClamped() throws {
        for (milliseconds, text) in [
            (Int64.max, "9999-12-31T23:59:59.000Z"), (.min, "0001-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            let status = TaskStatus(.working, timestamp: UnixTime(milliseconds: milliseconds))
            #expect(try TaskStatus(status.wire()).timestamp?.description == text)
        }
    }
}
