import JOSE
import Testing

@testable import A2A

@Suite struct MessageJSONTests {
    private func message(_ text: String) throws -> Message {
        try Message(json: JSONValue(parsing: text))
    }

    @Test func aMessageIsWrittenInTheOrderOfItsFieldsWithoutDefaults() throws {
        let message = Message(
            messageID: "m-1", role: .user,
            parts: [
                .text("hello"), Part(.raw([0xff, 0xfe]), filename: "a.bin", mediaType: "application/octet-stream"),
            ])
        #expect(
            String(decoding: message.jsonBytes, as: UTF8.self) == """
                {"messageId":"m-1","role":"ROLE_USER","parts":[{"text":"hello"},\
                {"raw":"//4=","filename":"a.bin","mediaType":"application/octet-stream"}]}
                """)
        #expect(try self.message(String(decoding: message.jsonBytes, as: UTF8.self)) == message)
    }

    @Test func namesOfTheProtoFileNumbersOfEnumerationsAndUnknownMembersAreAccepted() throws {
        let read = try message(
            """
            {"message_id":"m","context_id":"c","task_id":null,"role":2,
             "parts":[{"media_type":"text/plain","text":""}],"later":{}}
            """)
        #expect(read.messageID == "m")
        #expect(read.contextID == "c")
        #expect(read.taskID == nil)
        #expect(read.role == .agent)
        #expect(read.parts == [Part(.text(""), mediaType: "text/plain")])
    }

    @Test(arguments: ["_-8=", "/+8=", "_-8", "/+8"])
    func bytesComeInEitherAlphabetWithOrWithoutPadding(_ text: String) throws {
        #expect(try Part(json: ["raw": .string(text)]).content == .raw([0xff, 0xef]))
    }

    @Test func dataThatIsNullIsData() throws {
        #expect(try Part(json: ["data": nil]).content == .data(.null))
        #expect(String(decoding: Part(.data(.null)).jsonBytes, as: UTF8.self) == #"{"data":null}"#)
    }

    @Test(arguments: [
        (#"{"messageId":1}"#, "messageId: must be a string"),
        (#"{"role":"ROLE_KING"}"#, "role: is no value that version 1.0 of the protocol knows"),
        (#"{"parts":{}}"#, "parts: must be an array"),
        (#"{"parts":[{"text":"a","url":"b"}]}"#, "parts[0].content: must be one of text, raw, url and data"),
        (#"{"parts":[{"raw":"*"}]}"#, "parts[0].raw: must be base64"),
        (#"{"metadata":[]}"#, "metadata: must be an object"),
        (#"{"extensions":["a",1]}"#, "extensions: must be an array of strings"),
        ("[]", "must be an object"),
    ])
    func aMemberThatCannotBeReadIsNamedByItsPath(_ text: String, _ violation: String) throws {
        let error = #expect(throws: FieldViolation.self) { try message(text) }
        #expect(error?.description == violation)
    }

    @Test func aStatusKeepsMillisecondsAndReadsOffsets() throws {
        let status = try TaskStatus(json: ["state": "TASK_STATE_WORKING", "timestamp": "2026-03-16T12:35:00.25+02:00"])
        #expect(status.timestamp?.rfc3339 == "2026-03-16T10:35:00.250Z")
        #expect(status.state == .working)
    }

    @Test func aListSaysItsEmptyTokenAndItsSizes() {
        let page = ListTasksResponse(tasks: [], nextPageToken: "", pageSize: 50, totalSize: 0)
        #expect(
            String(decoding: page.jsonBytes, as: UTF8.self)
                == #"{"tasks":[],"nextPageToken":"","pageSize":50,"totalSize":0}"#)
    }

    @Test func aRequestSaysAllThatIsMissing() throws {
        let request = try SendMessageRequest(json: ["message": ["parts": [["filename": "x"]]]])
        #expect(
            request.violations.map(\.field) == ["message.messageId", "message.role", "message.parts[0]"])
    }

    @Test func aConfigurationShownTellsNoSecret() {
        let config = PushNotificationConfig(
            id: "1", taskID: "t", url: "https://receiver.example/", token: "secret-token",
            authentication: .init(scheme: "Bearer", credentials: "secret-credentials"))
        #expect(!String(decoding: config.redacted.jsonBytes, as: UTF8.self).contains("secret"))
        #expect(!"\(config.authentication as Any)".contains("secret-credentials"))
    }
}
