import ControlPlaneAPI
import GRPCCore
import SPIFFE
import Synchronization
import Testing

@Suite("Push")
struct PushTests {
    /// What one node's stream has said, heartbeats left out.
    private final class Heard: Sendable {
        private let changes = Mutex<[Agentshield_Node_V1_Change]>([])

        func note(_ change: Agentshield_Node_V1_Change) {
            if !change.heartbeat { changes.withLock { $0.append(change) } }
        }

        var all: [Agentshield_Node_V1_Change] { changes.withLock { $0 } }

        /// Returns when there are so many changes.
        func wait(for count: Int) async throws {
            for _ in 0..<2000 {
                if all.count >= count { return }
                try await Task.sleep(for: .milliseconds(10))
            }
            Issue.record("\(all.count) changes came, not \(count)")
        }
    }

    private func create(_ path: String, for node: SPIFFEID, _ plane: RunningControlPlane) async throws -> String {
        try await plane.withAdmin { admin in
            let reply = try await admin.entries.batchCreateEntry(
                .with {
                    $0.entries = [
                        .with {
                            $0.spiffeID.trustDomain = RunningControlPlane.trustDomain.name
                            $0.spiffeID.path = path
                            $0.parentID = node.message
                            $0.selectors = [
                                .with {
                                    $0.type = "unix"
                                    $0.value = "uid:1"
                                }
                            ]
                        }
                    ]
                })
            #expect(reply.results.first?.status.code == 0)
            return reply.results.first?.entry.id ?? ""
        }
    }

    @Test func `a node is told of what concerns it, and of nothing else`() async throws {
        try await RunningControlPlane.with { plane in
            let (left, right) = (try await plane.attest(), try await plane.attest())
            let (ofLeft, ofRight) = (Heard(), Heard())
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (identity, heard) in [(left.identity, ofLeft), (right.identity, ofRight)] {
                    group.addTask {
                        try await plane.withNodeAPI(identity) { api in
                            try await api.push.watch(.init()) { response in
                                for try await change in response.messages { heard.note(change) }
                            }
                        }
                    }
                }
                group.addTask {
                    // The first message comes at once.
                    try await ofLeft.wait(for: 1)
                    try await ofRight.wait(for: 1)
                    // Another node that comes, and what is for one node, concern the other not at all.
                    _ = try await plane.attest()
                    for number in 1...3 {
                        let entry = try await create("/r\(number)", for: right.id, plane)
                        try await ofRight.wait(for: 2 * number)
                        _ = try await plane.withAdmin { admin in
                            try await admin.entries.batchDeleteEntry(.with { $0.ids = [entry] })
                        }
                        try await ofRight.wait(for: 2 * number + 1)
                    }
                    _ = try await create("/left", for: left.id, plane)
                    try await ofLeft.wait(for: 2)
                }
                // The task that makes the changes ends; the streams do not.
                try await group.next()
                group.cancelAll()
            }
            #expect(ofLeft.all.count == 2)
            #expect(ofRight.all.count == 7)
            for heard in [ofLeft, ofRight] {
                let revisions = heard.all.map(\.entriesRevision)
                #expect(zip(revisions, revisions.dropFirst()).allSatisfy { $0 < $1 })
            }
        }
    }
}
