import A2A
import AgentShieldTesting
import AgentTasks
import JOSE
import SPIFFE
import SQLiteFile
import TaskStorage
import Testing

/// What every store of tasks has to do: the reference in memory and SQLite answer alike.
@Suite struct TaskStoreTests {
    enum Kind: CaseIterable, Sendable {
        case reference
        case sqlite

        func make() throws -> any TaskStore {
            switch self {
            case .reference: InMemoryTaskStore()
            case .sqlite: try SQLiteTaskStore.inMemory()
            }
        }
    }

    private let alice = TaskScope(owner: "spiffe://example.org/alice", tenant: nil)

    private func commit(
        _ id: String, _ state: TaskState = .working, at time: Int64 = 1, scope: TaskScope? = nil, isNew: Bool = false,
        _ change: (inout TaskCommit) -> Void = { _ in }
    ) -> TaskCommit {
        let time = UnixTime(milliseconds: time)
        var commit = TaskCommit(
            key: TaskKey(scope: scope ?? alice, id: id), contextID: "c\u{0}1",
            status: TaskStatus(state, timestamp: time), changedAt: time)
        commit.isNew = isNew
        change(&commit)
        return commit
    }

    private func message(_ id: String) -> Message { Message(messageID: id, role: .user, parts: [.text("text \(id)")]) }

    @Test(arguments: Kind.allCases)
    func aTaskIsReadAsItWasWrittenPieceByPiece(_ kind: Kind) async throws {
        let store = try kind.make()
        try await store.commit(
            commit("t", isNew: true) {
                $0.messages = [message("1")]
                $0.metadata = ["https://x.example/": ["a": 1]]
                $0.artifacts = [
                    .put(place: 0, Artifact(artifactID: "a", name: "first", parts: [.text("1")])),
                    .put(place: 1, Artifact(artifactID: "b", parts: [.data(["n": nil])])),
                ]
            })
        try await store.commit(
            commit("t", .completed, at: 5) {
                $0.messages = [message("2"), message("3")]
                $0.artifacts = [
                    .append(place: 0, Artifact(artifactID: "a", parts: [.text("2")], metadata: ["m": true])),
                    .append(place: 0, Artifact(artifactID: "a", parts: [Part(.raw([0, 255]))])),
                    .put(place: 1, Artifact(artifactID: "b", parts: [.text("other")])),
                ]
            })
        let key = TaskKey(scope: alice, id: "t")
        let task = try #require(try await store.task(key, view: .whole))
        #expect(task.contextID == "c\u{0}1")
        #expect(task.status == TaskStatus(.completed, timestamp: UnixTime(milliseconds: 5)))
        #expect(task.history.map(\.messageID) == ["1", "2", "3"])
        #expect(
            task.artifacts == [
                Artifact(
                    artifactID: "a", name: "first", parts: [.text("1"), .text("2"), Part(.raw([0, 255]))],
                    metadata: ["m": true]), Artifact(artifactID: "b", parts: [.text("other")]),
            ])
        #expect(task.metadata.isEmpty)
        let little = try await store.task(key, view: TaskView(historyLength: 2, includesArtifacts: false))
        #expect(little?.history.map(\.messageID) == ["2", "3"])
        #expect(little?.artifacts == [])
        #expect(try await store.task(key, view: TaskView(historyLength: 0, includesArtifacts: true))?.history == [])
    }

    @Test(arguments: Kind.allCases)
    func whatIsNotOfTheScopeIsNotThere(_ kind: Kind) async throws {
        let store = try kind.make()
        try await store.commit(
            commit("t", isNew: true) {
                $0.sent = [SentMessage(messageID: "m", digest: [1], outcome: .task("t"))]
                $0.pushConfigs = [PushNotificationConfig(id: "p", url: "https://x.example/")]
            })
        for scope in [
            TaskScope(owner: "spiffe://example.org/bob", tenant: nil), TaskScope(owner: alice.owner, tenant: "acme"),
            TaskScope(owner: "", tenant: alice.owner),
        ] {
            let key = TaskKey(scope: scope, id: "t")
            #expect(try await store.task(key, view: .whole) == nil)
            #expect(try await store.sent("m", scope: scope) == nil)
            #expect(try await store.pushConfigs(of: key) == [])
            #expect(try await store.tasks(TaskQuery(limit: 10, view: .whole), scope: scope).total == 0)
            await #expect(throws: TaskStoreError.self) { try await store.commit(commit("t", scope: scope)) }
            // Another caller may have a task of the same name.
            try await store.commit(commit("t", scope: scope, isNew: true))
        }
        #expect(try await store.sent("m", scope: alice)?.outcome == .task("t"))
    }

    @Test(arguments: Kind.allCases)
    func aCommitThatFailsLeavesNothing(_ kind: Kind) async throws {
        let store = try kind.make()
        let sent = SentMessage(messageID: "m", digest: [1], outcome: .task("t"))
        try await store.commit(commit("t", isNew: true) { $0.sent = [sent] })
        for bad in [
            commit("t", .completed, at: 9, isNew: true), commit("none"),
            commit("t", .completed, at: 9) {
                $0.messages = [message("x")]
                $0.sent = [sent]
            },
            commit("t", .completed, at: 9) {
                $0.artifacts = [.append(place: 0, Artifact(artifactID: "a", parts: [.text("")]))]
            },
        ] {
            await #expect(throws: TaskStoreError.self) { try await store.commit(bad) }
        }
        let task = try await store.task(TaskKey(scope: alice, id: "t"), view: .whole)
        #expect(task?.status.state == .working)
        #expect(task?.history == [])
    }

    @Test(arguments: Kind.allCases)
    func pagesFollowTheTimeOfTheStatus(_ kind: Kind) async throws {
        let store = try kind.make()
        for number in 0..<10 {
            try await store.commit(
                commit(
                    "t\(number)", number.isMultiple(of: 2) ? .working : .completed, at: Int64(number / 2), isNew: true))
        }
        var query = TaskQuery(limit: 4, view: .whole)
        var seen: [String] = []
        repeat {
            let page = try await store.tasks(query, scope: alice)
            #expect(page.total == 10)
            seen += page.tasks.map(\.id)
            query.after = page.next
        } while query.after != nil
        #expect(seen == ["t9", "t8", "t7", "t6", "t5", "t4", "t3", "t2", "t1", "t0"])
        let some = try await store.tasks(
            TaskQuery(
                contextID: "c\u{0}1", state: .completed, changedSince: UnixTime(milliseconds: 2), limit: 10,
                view: .whole), scope: alice)
        #expect(some.tasks.map(\.id) == ["t9", "t7", "t5"])
        #expect(some.next == nil)
        #expect(try await store.tasks(TaskQuery(contextID: "c", limit: 10, view: .whole), scope: alice).total == 0)
    }

    @Test(arguments: Kind.allCases)
    func repliesAndReceiversAreKept(_ kind: Kind) async throws {
        let store = try kind.make()
        let sent = SentMessage(messageID: "m", digest: [1, 2], outcome: .reply(message("r")))
        try await store.remember(sent, contextID: "c", scope: alice, at: UnixTime(milliseconds: 1))
        #expect(try await store.sent("m", scope: alice) == sent)
        await #expect(throws: TaskStoreError.self) {
            try await store.remember(sent, contextID: "c", scope: alice, at: UnixTime(milliseconds: 1))
        }
        let key = TaskKey(scope: alice, id: "t")
        try await store.commit(commit("t", isNew: true))
        for id in ["b", "a", "b"] {
            try await store.setPushConfig(PushNotificationConfig(id: id, url: "https://\(id).example/"), of: key)
        }
        #expect(try await store.pushConfigs(of: key).map(\.id) == ["a", "b"])
        try await store.deletePushConfig("a", of: key)
        try await store.deletePushConfig("a", of: key)
        #expect(try await store.pushConfigs(of: key).map(\.id) == ["b"])
    }

    @Test(arguments: Kind.allCases)
    func oldTasksAreForgottenWithTheirMessagesAndLivingOnesStay(_ kind: Kind) async throws {
        let store = try kind.make()
        for (id, state, time) in [
            ("old", TaskState.completed, Int64(1)), ("waiting", .inputRequired, 1), ("new", .failed, 20),
        ] {
            try await store.commit(
                commit(id, state, at: time, isNew: true) {
                    $0.sent = [SentMessage(messageID: "m-\(id)", digest: [1], outcome: .task(id))]
                })
        }
        try await store.remember(
            SentMessage(messageID: "m-reply", digest: [1], outcome: .reply(message("r"))), contextID: "c",
            scope: alice, at: UnixTime(milliseconds: 1))
        #expect(try await store.forget(before: UnixTime(milliseconds: 10)) == 1)
        #expect(try await store.task(TaskKey(scope: alice, id: "old"), view: .whole) == nil)
        for gone in ["m-old", "m-reply"] { #expect(try await store.sent(gone, scope: alice) == nil) }
        for kept in ["m-waiting", "m-new"] { #expect(try await store.sent(kept, scope: alice) != nil) }
        #expect(try await store.tasks(TaskQuery(limit: 10, view: .whole), scope: alice).total == 2)
    }

    @Test(arguments: Kind.allCases)
    func unfinishedTasksAreFoundAcrossCallers(_ kind: Kind) async throws {
        let store = try kind.make()
        let bob = TaskScope(owner: "bob\nuser", tenant: "acme")
        try await store.commit(commit("a", .submitted, isNew: true))
        try await store.commit(commit("b", .working, scope: bob, isNew: true))
        for (id, state) in [("c", TaskState.inputRequired), ("d", .completed), ("e", .authRequired)] {
            try await store.commit(commit(id, state, isNew: true))
        }
        let found = try await store.unfinished()
        #expect(Set(found.map(\.key)) == [TaskKey(scope: alice, id: "a"), TaskKey(scope: bob, id: "b")])
    }

    @Test func manyWritesAtOnceAreOneTransactionAndABadOneHurtsNoOther() async throws {
        let store = try SQLiteTaskStore.inMemory()
        let failures = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<500 {
                // Every tenth is a repetition of another.
                let id = number.isMultiple(of: 10) ? "t1" : "t\(number)"
                group.addTask {
                    do {
                        try await store.commit(commit(id, isNew: true))
                        return false
                    } catch {
                        return true
                    }
                }
            }
            var failures = 0
            for await failed in group where failed { failures += 1 }
            return failures
        }
        #expect(failures == 50)
        #expect(try await store.tasks(TaskQuery(limit: 1, view: .whole), scope: alice).total == 450)
    }
}
