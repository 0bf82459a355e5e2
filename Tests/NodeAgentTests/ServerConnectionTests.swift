import ControlPlane
import ControlPlaneAPI
import GRPCCore
import GRPCProtobuf
import SPIFFE
import SwiftProtobuf
import Synchronization
import Testing

@testable import NodeAgent

/// What becomes of calls while the node's identity, and with it the connection, is replaced.
@Suite(.serialized) struct ServerConnectionTests {
    @Test func `calls under way finish on the connection that they began on`() async throws {
        try await withConnection { connection, identity in
            let attempts = Attempts()
            for _ in 0..<Self.rounds {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<Self.callsAtOnce {
                        group.addTask { try await fetchBundle(connection, attempts) }
                    }
                    // Some have begun by now, some have a stream already, some are answered.
                    await Task.yield()
                    try connection.replace(identity)
                    try await group.waitForAll()
                }
            }
            #expect(attempts.count == Self.rounds * Self.callsAtOnce)
        }
    }

    @Test func `calls that are lost with a connection are made again on the next one`() async throws {
        // No time to finish anything.
        try await withConnection(sleep: { _ in }) { connection, identity in
            let attempts = Attempts()
            var calls = 0
            while attempts.count == calls {
                // A connection that is there.
                try await fetchBundle(connection, attempts)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<Self.callsAtOnce {
                        group.addTask { try await fetchBundle(connection, attempts) }
                    }
                    await Task.yield()
                    try connection.replace(identity)
                    try await group.waitForAll()
                }
                calls += 1 + Self.callsAtOnce
            }
        }
    }

    @Test(arguments: [
        (RPCError.Code.unavailable, true, 2), (.cancelled, true, 2), (.unavailable, false, 1), (.notFound, true, 1),
        (.permissionDenied, true, 1), (.deadlineExceeded, true, 1),
    ])
    func `a call is repeated once, and only for a connection that was replaced`(
        code: RPCError.Code, isReplaced: Bool, expected: Int
    ) async throws {
        try await withConnection { connection, identity in
            let attempts = Attempts()
            let error = await #expect(throws: RPCError.self) {
                try await connection.call { _ in
                    _ = attempts.next()
                    if isReplaced { try connection.replace(identity) }
                    throw RPCError(code: code, message: "test")
                }
            }
            #expect(error?.code == code)
            #expect(attempts.count == expected)
        }
    }

    @Test func `a call refused while the node attests again waits for the next identity`() async throws {
        try await withConnection { connection, identity in
            let attempts = Attempts()
            let isChanging = Signal()
            let isRefused = Signal()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await connection.call { _ in
                        guard attempts.next() == 1 else { return }
                        _ = try await isChanging.wait()
                        isRefused.fire()
                        throw try refusal(.agentNotActive)
                    }
                }
                group.addTask {
                    try await connection.changing {
                        isChanging.fire()
                        _ = try await isRefused.wait()
                        try await Task.sleep(for: .milliseconds(20))
                        try connection.replace(identity)
                    }
                }
                try await group.waitForAll()
            }
            #expect(attempts.count == 2)
        }
    }

    private static let rounds = 50
    private static let callsAtOnce = 8

    private func withConnection(
        sleep: @escaping @Sendable (Duration) async throws -> Void = Lab.sleep,
        _ body: @escaping @Sendable (ServerConnection, NodeIdentity) async throws -> Void
    ) async throws {
        try await Lab().withConnection(sleep: sleep) { connection, identity, _ in try await body(connection, identity) }
    }
}

private func fetchBundle(_ connection: ServerConnection, _ attempts: Attempts) async throws {
    _ = try await connection.call { calls in
        _ = attempts.next()
        return try await calls.bundle(of: Lab.trustDomain)
    }
}

private func refusal(_ reason: Spire_Api_Types_PermissionDeniedDetails.Reason) throws -> RPCError {
    let details = Spire_Api_Types_PermissionDeniedDetails.with { $0.reason = reason }
    return RPCError(
        GoogleRPCStatus(
            code: .permissionDenied, message: "test", details: [.any(try Google_Protobuf_Any(message: details))]))
}

/// How often the bodies of calls have run.
private final class Attempts: Sendable {
    private let made = Atomic<Int>(0)

    var count: Int { made.load(ordering: .relaxed) }

    func next() -> Int { made.add(1, ordering: .relaxed).newValue }
}
