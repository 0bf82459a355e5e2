import A2A
import FoundationEssentials
import JOSE
import SwiftProtobuf
import Testing

@testable import A2ATransport

/// What Python's a2a-sdk writes of the same messages: `Tests/Vectors/a2a-python-sdk.json`.
@Suite struct SecondImplementationTests {
    private struct Vector {
        let type: String
        let json: JSONValue
        let bytes: [UInt8]
    }

    private static func vectors() throws -> [Vector] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let file = folder.appendingPathComponent("Vectors").appendingPathComponent("a2a-python-sdk.json")
        let all = try JSONValue(parsing: [UInt8](Data(contentsOf: file))).objectValue?["messages"]?.arrayValue
        return try #require(all).map { vector in
            let members = try #require(vector.objectValue)
            return Vector(
                type: try #require(members["type"]?.stringValue), json: try #require(members["json"]),
                bytes: try Base64.decode(#require(members["wire"]?.stringValue)))
        }
    }

    private func check<Tested: WireMessage & ProtoJSONMessage>(_ type: Tested.Type, _ vector: Vector) throws {
        let message = try Tested(Tested.Wire(serializedBytes: vector.bytes))
        #expect(try Tested(json: vector.json) == message)
        var options = BinaryEncodingOptions()
        options.useDeterministicOrdering = true
        let written: [UInt8] = try message.wire().serializedBytes(options: options)
        #expect(written == vector.bytes)
        // The SDK leaves out what is empty even where the standard says REQUIRED, so texts are compared as messages.
        #expect(try Tested(json: JSONValue(parsing: message.jsonBytes)) == message)
    }

    @Test func theSDKWritesAndReadsTheSameBytes() throws {
        let vectors = try Self.vectors()
        #expect(vectors.count >= 20)
        for vector in vectors {
            switch vector.type {
            case "SendMessageRequest": try check(SendMessageRequest.self, vector)
            case "SendMessageResponse": try check(SendMessageResponse.self, vector)
            case "StreamResponse": try check(StreamEvent.self, vector)
            case "GetTaskRequest": try check(GetTaskRequest.self, vector)
            case "ListTasksRequest": try check(ListTasksRequest.self, vector)
            case "ListTasksResponse": try check(ListTasksResponse.self, vector)
            case "CancelTaskRequest": try check(CancelTaskRequest.self, vector)
            case "SubscribeToTaskRequest": try check(SubscribeToTaskRequest.self, vector)
            case "TaskPushNotificationConfig": try check(PushNotificationConfig.self, vector)
            case "GetTaskPushNotificationConfigRequest": try check(PushNotificationConfigRequest.self, vector)
            case "ListTaskPushNotificationConfigsRequest": try check(ListPushNotificationConfigsRequest.self, vector)
            case "ListTaskPushNotificationConfigsResponse": try check(ListPushNotificationConfigsResponse.self, vector)
            case "GetExtendedAgentCardRequest": try check(GetExtendedAgentCardRequest.self, vector)
            case "Task": try check(AgentTask.self, vector)
            case "AgentCard": try check(AgentCard.self, vector)
            default: Issue.record("no reader for \(vector.type)")
            }
        }
    }
}
