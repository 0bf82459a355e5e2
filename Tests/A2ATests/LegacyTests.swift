import FoundationEssentials
import JOSE
import Testing

@testable import A2A

/// Version 0.3 as Python's a2a-sdk speaks it: `Tests/Vectors/a2a-python-sdk-0.3.json`.
@Suite struct LegacyVectorTests {
    private struct Vector {
        let type: String
        let legacy: JSONValue
        let core: JSONValue
    }

    private static func vectors() throws -> [Vector] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let file = folder.appendingPathComponent("Vectors").appendingPathComponent("a2a-python-sdk-0.3.json")
        let all = try JSONValue(parsing: [UInt8](Data(contentsOf: file))).objectValue?["vectors"]?.arrayValue
        return try #require(all).map { vector in
            let members = try #require(vector.objectValue)
            return Vector(
                type: try #require(members["type"]?.stringValue), legacy: try #require(members["legacy"]),
                core: try #require(members["core"]))
        }
    }

    /// What was read is what the SDK translates to, and is written as the SDK writes it.
    private func check<Read: ProtoJSONMessage, Core: ProtoJSONMessage>(
        _ vector: Vector, _ type: Read.Type, _ core: (Read) -> Core
    ) throws {
        let read = try Read(json: vector.legacy)
        #expect(try core(read) == Core(json: vector.core))
        #expect(try JSONValue(parsing: read.jsonBytes) == vector.legacy)
    }

    @Test func theSDKsMessagesAreReadAndWrittenAsItDoes() throws {
        var count = 0
        for vector in try Self.vectors() {
            switch vector.type {
            case "Message": try check(vector, LegacyMessage.self, \.message)
            case "Task": try check(vector, LegacyTask.self, \.task)
            case "StreamEvent": try check(vector, LegacyStreamEvent.self, \.event)
            case "tasks/pushNotificationConfig/set": try check(vector, LegacyTaskPushConfig.self, \.config)
            default: continue
            }
            count += 1
        }
        #expect(count == 27)
    }

    @Test func theSDKsRequestsMeanWhatItSaysThatTheyMean() throws {
        var seen: Set<Operation> = []
        for vector in try Self.vectors() {
            guard let operation = Operation(legacyMethod: vector.type) else { continue }
            let request = try LegacyRequest(operation, reading: FieldReader(vector.legacy))
            #expect(try request == .operation(OperationRequest(operation, reading: FieldReader(vector.core))))
            seen.insert(operation)
        }
        #expect(seen == Set(Operation.allCases).subtracting([.listTasks, .getExtendedAgentCard]))
    }

    @Test func theSDKReadsACardOfBothVersionsAsItsOwn() throws {
        let vector = try #require(try Self.vectors().first { $0.type == "AgentCard" })
        let card = try AgentCard(json: vector.core)
        let core = try #require(try JSONValue(parsing: card.jsonBytes).objectValue)
        let both = try LegacyCard.adding(to: core)
        let legacy = try #require(vector.legacy.objectValue)
        // Every member that the SDK writes is there, inside of schemes and skills too; readers of 0.3 ignore the others.
        func contains(_ whole: JSONValue, _ part: JSONValue) -> Bool {
            switch (whole, part) {
            case (.object(let whole), .object(let part)):
                part.members.allSatisfy { member in whole[member.name].map { contains($0, member.value) } ?? false }
            case (.array(let whole), .array(let part)):
                whole.count == part.count && zip(whole, part).allSatisfy { contains($0, $1) }
            default: whole == part
            }
        }
        for member in legacy.members {
            #expect(both[member.name].map { contains($0, member.value) } == true, "\(member.name)")
        }
        // Readers of 1.0 see the same card.
        #expect(try AgentCard(json: .object(both)) == card)
    }
}

@Suite struct LegacyRuleTests {
    private func request(_ method: String, _ params: String) throws -> LegacyRequest {
        let operation = try #require(Operation(legacyMethod: method))
        return try LegacyRequest(operation, reading: FieldReader(JSONValue(parsing: Array(params.utf8))))
    }

    @Test(arguments: [
        (#"{"kind":"text"}"#, "message.parts[0].text"), (#"{"kind":"text","text":1}"#, "message.parts[0].text"),
        (#"{"text":"a"}"#, "message.parts[0].kind"), (#"{"kind":"image"}"#, "message.parts[0].kind"),
        (#"{"kind":"file"}"#, "message.parts[0].file"), (#"{"kind":"file","file":{}}"#, "message.parts[0].file"),
        (#"{"kind":"file","file":{"bytes":"AA==","uri":"b"}}"#, "message.parts[0].file"),
        (#"{"kind":"file","file":{"bytes":"?"}}"#, "message.parts[0].file.bytes"),
        (#"{"kind":"data","data":[]}"#, "message.parts[0].data"), (#"{"kind":"data"}"#, "message.parts[0].data"),
        (#"{"kind":"text","text":"a","metadata":[]}"#, "message.parts[0].metadata"), ("7", "message.parts[0]"),
    ])
    func aPartThatIsNoneIsNamed(part: String, field: String) throws {
        let violation = #expect(throws: FieldViolation.self) {
            try request("message/send", #"{"message":{"messageId":"m","role":"user","parts":[\#(part)]}}"#)
        }
        #expect(violation?.field == field)
    }

    @Test(arguments: [
        ("message/send", "{}", "message"), ("message/stream", #"{"message":[]}"#, "message"),
        ("message/send", #"{"message":{"role":"ROLE_USER","messageId":"m","parts":[]}}"#, "message.role"),
        ("message/send", #"{"message":{"messageId":"m","parts":[]}}"#, "message.role"),
        ("message/send", #"{"message":{"kind":"task","role":"user","parts":[]}}"#, "message.kind"),
        (
            "message/send", #"{"message":{"role":"user","parts":[]},"configuration":{"blocking":"no"}}"#,
            "configuration.blocking"
        ),
        (
            "message/send",
            #"{"message":{"role":"user","parts":[]},"configuration":{"pushNotificationConfig":{"url":"u","authentication":{"schemes":[]}}}}"#,
            "configuration.pushNotificationConfig.authentication.schemes"
        ),
        ("tasks/get", "{}", "id"), ("tasks/get", #"{"id":7}"#, "id"),
        ("tasks/get", #"{"id":"a","historyLength":"x"}"#, "historyLength"), ("tasks/cancel", "{}", "id"),
        ("tasks/resubscribe", "{}", "id"), ("tasks/pushNotificationConfig/set", "{}", "taskId"),
        ("tasks/pushNotificationConfig/set", #"{"taskId":"t"}"#, "pushNotificationConfig"),
        ("tasks/pushNotificationConfig/get", "{}", "id"), ("tasks/pushNotificationConfig/list", "{}", "id"),
        ("tasks/pushNotificationConfig/delete", #"{"id":"t"}"#, "pushNotificationConfigId"),
    ])
    func aRequestThatIsNoneIsNamed(method: String, params: String, field: String) throws {
        let violation = #expect(throws: FieldViolation.self) { try request(method, params) }
        #expect(violation?.field == field)
    }

    @Test func aConfigurationMayBeAskedForWithoutItsName() throws {
        #expect(
            try request("tasks/pushNotificationConfig/get", #"{"id":"t"}"#)
                == .firstPushConfig(ListPushNotificationConfigsRequest(taskID: "t", pageSize: 1)))
    }

    @Test(
        arguments: [
            (nil, false), (#"{"blocking":null}"#, false), (#"{"blocking":true}"#, false),
            (#"{"blocking":false}"#, true),
        ] as [(String?, Bool)])
    func whoSaysNothingWaits(configuration: String?, returnsImmediately: Bool) throws {
        let more = configuration.map { #","configuration":\#($0)"# } ?? ""
        let read = try request("message/send", #"{"message":{"role":"user","parts":[]}\#(more)}"#)
        guard case .operation(.sendMessage(let send)) = read else {
            Issue.record("another request")
            return
        }
        #expect(send.configuration.returnImmediately == returnsImmediately)
    }

    @Test func aHistoryOfNoMessagesIsAskedFor() throws {
        #expect(
            try request("tasks/get", #"{"id":"t","historyLength":0}"#)
                == .operation(.getTask(GetTaskRequest(id: "t", historyLength: 0))))
    }

    @Test func everyStateHasAName() {
        for state in TaskState.allCases { #expect(TaskState(legacyName: state.legacyName) == state) }
        #expect(TaskState(legacyName: "TASK_STATE_WORKING") == nil)
        #expect(TaskState(legacyName: "") == nil)
    }

    @Test func dataThatIsNoObjectIsWrappedAsTheSDKDoes() throws {
        for value: JSONValue in [[1, 2], "text", nil, true] {
            let part = LegacyPart(Part(.data(value), metadata: ["a": "b"]))
            let expected: JSONValue = [
                "kind": "data", "data": ["value": value], "metadata": ["a": "b", "data_part_compat": true],
            ]
            #expect(try JSONValue(parsing: part.jsonBytes) == expected)
            #expect(try LegacyPart(json: expected) == part)
        }
    }

    @Test(arguments: TaskState.allCases)
    func aStatusIsFinalWhereItsStreamEnds(state: TaskState) throws {
        let update = StreamEvent.status(TaskStatusUpdate(taskID: "t", contextID: "c", status: TaskStatus(state)))
        for endsWithTurn in [true, false] {
            let event = LegacyStreamEvent(update, endsWithTurn: endsWithTurn)
            let json = try JSONValue(parsing: event.jsonBytes).objectValue
            #expect(json?["final"] == .bool(state.isTerminal || (state == .inputRequired && endsWithTurn)))
        }
    }

    @Test func aCardWithoutAnOldInterfaceStaysAsItIs() throws {
        func card(_ interfaces: [AgentInterface]) throws -> JSONObject {
            let card = AgentCard(
                name: "n", description: "d", version: "1", supportedInterfaces: interfaces, skills: [])
            return try #require(try JSONValue(parsing: card.jsonBytes).objectValue)
        }
        let new = AgentInterface(url: "https://a.example/", protocolBinding: .jsonRPC)
        let tenant = AgentInterface(
            url: "https://a.example/", protocolBinding: .jsonRPC, tenant: "t", protocolVersion: "0.3")
        for interfaces in [[new], [new, tenant], []] {
            #expect(try LegacyCard.adding(to: card(interfaces)) == card(interfaces))
        }
        let old = AgentInterface(url: "https://old.example/", protocolBinding: .jsonRPC, protocolVersion: "0.3.0")
        let both = try LegacyCard.adding(to: card([new, old]))
        #expect(both["url"] == "https://old.example/")
        #expect(both["preferredTransport"] == "JSONRPC")
        #expect(both["protocolVersion"] == "0.3.0")
        #expect(both["additionalInterfaces"] == nil)
        #expect(both["security"] == nil)
    }
}
