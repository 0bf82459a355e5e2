import A2A
import JOSE
import NIOHTTP1
import Testing

@Suite("A peer of version 0.3", .timeLimit(.minutes(1)))
struct LegacyPeerTests {
    private func message(_ text: String, _ more: String = "", id: String = "m-1") -> String {
        let parts = #"[{"kind":"text","text":"\#(text)"}]"#
        return
            #"{"message":{"kind":"message","messageId":"\#(id)","role":"user","parts":\#(parts)}\#(more)}"#
    }

    @Test("gets a task in its own form, and asks for it")
    func task() async throws {
        try await RunningAgent.with { agent in
            let sent = try #require(try await agent.call("message/send", message("go")).result?.objectValue)
            #expect(sent["kind"] == "task")
            #expect(sent["status"]?.objectValue?["state"] == "completed")
            #expect(sent["history"]?.arrayValue?.first?.objectValue?["role"] == "user")
            let parts = try #require(sent["artifacts"]?.arrayValue?.first?.objectValue?["parts"]?.arrayValue)
            #expect(
                parts == [
                    ["kind": "text", "text": "one"],
                    ["kind": "file", "file": ["bytes": "AAEC", "mimeType": "image/png", "name": "f"]],
                ])
            let id = try #require(sent["id"]?.stringValue)
            let got = try await agent.call("tasks/get", #"{"id":"\#(id)","historyLength":0}"#).result?.objectValue
            #expect(got?["kind"] == "task")
            #expect(got?["history"] == nil)
            #expect(got?["artifacts"] == sent["artifacts"])
            #expect(try await agent.call("tasks/cancel", #"{"id":"\#(id)"}"#).code == -32002)
            #expect(try await agent.call("tasks/get", #"{"id":"other"}"#).code == -32001)
            #expect(try await agent.call("tasks/get", "{}").code == -32602)
        }
    }

    @Test("gets a message without a task, and a task that waits for it")
    func turns() async throws {
        try await RunningAgent.with { agent in
            let reply = try await agent.call("message/send", message("reply")).result?.objectValue
            #expect(reply?["kind"] == "message")
            #expect(reply?["role"] == "agent")
            let asked = try await agent.call("message/send", message("ask", id: "m-2")).result?.objectValue
            #expect(asked?["status"]?.objectValue?["state"] == "input-required")
            let id = try #require(asked?["id"]?.stringValue)
            let parts = #"[{"kind":"text","text":"go"}]"#
            let second = #"{"message":{"messageId":"m-3","taskId":"\#(id)","role":"user","parts":\#(parts)}}"#
            let done = try await agent.call("message/send", second).result?.objectValue
            #expect(done?["status"]?.objectValue?["state"] == "completed")
        }
    }

    @Test("gets events with their kinds, of which the last is final")
    func stream() async throws {
        try await RunningAgent.with { agent in
            let events = try await agent.stream("message/stream", message("go"))
            #expect(
                events.map { $0["kind"] } == [
                    "task", "status-update", "artifact-update", "artifact-update", "status-update",
                ])
            #expect(events.compactMap { $0["final"] } == [false, true])
            #expect(events.compactMap { $0["append"] } == [true])
            let asked = try await agent.stream("message/stream", message("ask", id: "m-2"))
            #expect(asked.last?["status"]?.objectValue?["state"] == "input-required")
            #expect(asked.last?["final"] == true)
            let id = try #require(events.first?["id"]?.stringValue)
            #expect(try await agent.call("tasks/resubscribe", #"{"id":"\#(id)"}"#).code == -32004)
            #expect(try await agent.call("message/send", message("data", id: "m-4")).code == nil)
        }
    }

    @Test("sets, reads, lists and deletes receivers of notifications")
    func pushConfigs() async throws {
        try await RunningAgent.with { agent in
            let task = try await agent.call("message/send", message("ask")).result?.objectValue
            let id = try #require(task?["id"]?.stringValue)
            let config =
                #"{"id":"p","url":"https://r.example/","token":"secret","authentication":{"schemes":["Bearer"],"credentials":"secret"}}"#
            // Secrets are not shown.
            let expected: JSONValue = [
                "taskId": .string(id),
                "pushNotificationConfig": [
                    "id": "p", "url": "https://r.example/", "authentication": ["schemes": ["Bearer"]],
                ],
            ]
            let name = "tasks/pushNotificationConfig/"
            let set = #"{"taskId":"\#(id)","pushNotificationConfig":\#(config)}"#
            #expect(try await agent.call(name + "set", set).result == expected)
            #expect(
                try await agent.call(name + "get", #"{"id":"\#(id)","pushNotificationConfigId":"p"}"#).result
                    == expected)
            #expect(try await agent.call(name + "get", #"{"id":"\#(id)"}"#).result == expected)
            #expect(try await agent.call(name + "list", #"{"id":"\#(id)"}"#).result == [expected])
            let deleted = try await agent.call(name + "delete", #"{"id":"\#(id)","pushNotificationConfigId":"p"}"#)
            #expect(deleted.result == .some(.null))
            #expect(try await agent.call(name + "list", #"{"id":"\#(id)"}"#).result == [])
            #expect(try await agent.call(name + "get", #"{"id":"\#(id)"}"#).code == -32001)
        }
    }

    @Test("finds the card in its own words at both places, and the extended one")
    func card() async throws {
        try await RunningAgent.with { agent in
            let paths = ["/.well-known/agent-card.json", "/.well-known/agent.json"]
            for path in paths {
                let card = try JSONValue(parsing: Array(try await agent.send(.GET, path).body.utf8)).objectValue
                #expect(card?["url"] == .string("http://127.0.0.1:\(agent.port)/"))
                #expect(card?["protocolVersion"] == "0.3.0")
                #expect(card?["preferredTransport"] == "JSONRPC")
                #expect(card?["supportsAuthenticatedExtendedCard"] == true)
                #expect(card?["security"] == [["mtls": []]])
                #expect(card?["securitySchemes"]?.objectValue?["mtls"]?.objectValue?["type"] == "mutualTLS")
                #expect(card?["supportedInterfaces"]?.arrayValue?.count == 2)
            }
            let extended = try await agent.call("agent/getAuthenticatedExtendedCard", "{}").result?.objectValue
            #expect(extended?["url"] == .string("http://127.0.0.1:\(agent.port)/"))
        }
    }

    @Test("and one of version 1.0 are told apart by the method, which the version must not contradict")
    func versions() async throws {
        try await RunningAgent.with { agent in
            let old = ("tasks/get", #"{"id":"t"}"#)
            let new = ("GetTask", #"{"id":"t"}"#)
            let cases: [((String, String), String?, Int64)] = [
                (old, nil, -32001), (old, "", -32001), (old, "0.3", -32001), (old, "0.3.0", -32001),
                (old, "1.0", -32601), (old, "2.0", -32009), (old, "x", -32009),
                (new, nil, -32001), (new, "1.0", -32001), (new, "1.0.1", -32001), (new, "0.3", -32601),
                (new, "2.0", -32009), (("tasks/list", "{}"), nil, -32601), (("tasks/list", "{}"), "0.3", -32601),
            ]
            for (call, version, code) in cases {
                let headers = version.map { ["A2A-Version": $0] } ?? [:]
                let answer = try await agent.call(call.0, call.1, headers: headers)
                #expect(answer.code == code, "\(call.0) \(version ?? "none")")
            }
        }
    }

    @Test("is told that its version is not spoken where the agent does not want it")
    func unwanted() async throws {
        try await RunningAgent.with(settings: { $0.acceptsLegacy = false }) { agent in
            let old = try await agent.call("tasks/get", #"{"id":"t"}"#)
            #expect(old.code == -32009)
            let new = try await agent.call("GetTask", #"{"id":"t"}"#)
            #expect(new.code == -32001)
        }
    }
}
