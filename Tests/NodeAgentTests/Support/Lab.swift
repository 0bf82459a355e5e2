import ControlPlane
import ControlPlaneAPI
import Foundation
import Logging
import Observability
import SPIFFE
import Synchronization
import WorkloadAPI

@testable import NodeAgent

/// What runs in the background of a test: started once it says that it is ready, stopped by the test.
final class Running<Value: Sendable>: Sendable {
    let value: Value
    private let task: Task<Void, any Error>
    private let end: @Sendable () -> Void

    private init(value: Value, task: Task<Void, any Error>, end: @escaping @Sendable () -> Void) {
        self.value = value
        self.task = task
        self.end = end
    }

    deinit { task.cancel() }

    /// Starts `run` and waits until it calls back or throws.
    static func start(
        end: @escaping @Sendable () -> Void,
        _ run: @escaping @Sendable (@escaping @Sendable (Value) -> Void) async throws -> Void
    ) async throws -> Running {
        let (values, queue) = AsyncStream.makeStream(of: Value.self)
        let task = Task {
            defer { queue.finish() }
            try await run { queue.yield($0) }
        }
        return try await withTaskCancellationHandler {
            for await value in values { return Running(value: value, task: task, end: end) }
            try await task.value
            throw CancellationError()
        } onCancel: {
            task.cancel()
        }
    }

    /// Asks it to end and waits.
    func stop() async throws {
        end()
        try await task.value
    }

    /// Waits for its own end.
    func outcome() async throws {
        try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }
}

/// A trust domain on this machine for one test: directory, control planes and agents in it.
final class Lab: Sendable {
    static let trustDomain = try! TrustDomain("lab.example")
    let directory = "/tmp/na-\(UInt32.random(in: .min ... .max))"

    init() throws {
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755])
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    /// Quiet, unless `LAB_LOG` is set.
    static let logger = Logger(label: "test") { label -> any LogHandler in
        guard ProcessInfo.processInfo.environment["LAB_LOG"] != nil else { return SwiftLogNoOpLogHandler() }
        return StreamLogHandler.standardError(label: label)
    }

    @Sendable static func now() -> UnixTime { UnixTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)) }
    @Sendable static func randomBytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max) }
    }
    @Sendable static func sleep(_ duration: Duration) async throws { try await Task.sleep(for: duration) }

    var socketPath: String { "\(directory)/agent/api.sock" }
    var agentDirectory: String { "\(directory)/node" }

    func startControlPlane(
        port: Int = 0, _ change: (inout ControlPlaneConfiguration) -> Void = { _ in }
    ) async throws -> Running<Serving> {
        var configuration = ControlPlaneConfiguration(
            trustDomain: Self.trustDomain, dataDirectory: "\(directory)/server")
        configuration.nodeAPIPort = port
        configuration.httpsPort = 0
        // Every node of a test has the same address.
        configuration.rateLimits = .off
        change(&configuration)
        let controlPlane = ControlPlane(
            configuration: configuration, version: "test", logger: Self.logger, logLevel: LogLevelSwitch(.info),
            world: ControlPlane.World(now: Self.now, randomBytes: Self.randomBytes, sleep: Self.sleep))
        return try await Running.start(end: { controlPlane.shutDown() }) { ready in
            try await controlPlane.run { ready($0) }
        }
    }

    func agentConfiguration(
        _ serving: Serving, token: String?, _ change: (inout NodeAgentConfiguration) -> Void = { _ in }
    ) -> NodeAgentConfiguration {
        var configuration = NodeAgentConfiguration(
            trustDomain: Self.trustDomain, dataDirectory: agentDirectory, serverHost: "127.0.0.1",
            serverPort: serving.nodePort, workloadSocketPath: socketPath)
        configuration.joinToken = token
        configuration.bootstrap = .bundle(serving.bundle)
        configuration.agentVersion = "test"
        change(&configuration)
        return configuration
    }

    func startAgent(
        _ configuration: NodeAgentConfiguration, now: @escaping @Sendable () -> UnixTime = Lab.now
    ) async throws -> Running<NodeAgent> {
        let agent = NodeAgent(
            configuration: configuration, logger: Self.logger, logLevel: LogLevelSwitch(.info), now: now,
            randomBytes: Self.randomBytes, sleep: Self.sleep)
        return try await Running.start(end: { agent.shutDown() }) { ready in
            try await agent.run { ready(agent) }
        }
    }

    /// Control plane and a freshly attested agent.
    func startBoth(
        _ change: (inout NodeAgentConfiguration) -> Void = { _ in }
    ) async throws -> (plane: Running<Serving>, agent: Running<NodeAgent>) {
        let plane = try await startControlPlane()
        let token = try await plane.value.makeJoinToken(requestID: "test")
        return (plane, try await startAgent(agentConfiguration(plane.value, token: token, change)))
    }

    /// A client of the agent's Workload API for as long as `body` runs. It is this very process that calls.
    func withWorkload<Result: Sendable>(
        _ body: @escaping @Sendable (WorkloadAPIClient) async throws -> Result
    ) async throws -> Result {
        let client = WorkloadAPIClient(endpoint: try WorkloadEndpoint("unix:\(socketPath)"))
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await client.run() }
            defer {
                client.shutDown()
                group.cancelAll()
            }
            return try await body(client)
        }
    }
}

extension Serving {
    var nodePort: Int { Int(nodeAPI.split(separator: ":").last ?? "") ?? 0 }

    func withAdmin<Result: Sendable>(_ body: @Sendable (AdminClient) async throws -> Result) async throws -> Result {
        try await AdminClient.with(socketPath: adminSocketPath, body)
    }

    /// The selector of this test's own process.
    static var ownSelector: Spire_Api_Types_Selector {
        .with {
            $0.type = "unix"
            $0.value = "uid:\(geteuid())"
        }
    }

    /// Creates an entry for this process; its ID.
    func createEntry(
        _ path: String, selector: Spire_Api_Types_Selector = ownSelector,
        _ change: @Sendable (inout Spire_Api_Types_Entry) -> Void = { _ in }
    ) async throws -> String {
        try await withAdmin { admin in
            let created = try await admin.entries.batchCreateEntry(
                .with {
                    var entry = Spire_Api_Types_Entry()
                    entry.spiffeID.trustDomain = Lab.trustDomain.name
                    entry.spiffeID.path = path
                    entry.selectors = [selector]
                    change(&entry)
                    $0.entries = [entry]
                })
            guard let result = created.results.first, result.status.code == 0 else { throw CancellationError() }
            return result.entry.id
        }
    }

    func deleteEntry(_ id: String) async throws {
        try await withAdmin { admin in
            _ = try await admin.entries.batchDeleteEntry(.with { $0.ids = [id] })
        }
    }

    /// The only node agent.
    func onlyAgent() async throws -> Spire_Api_Types_SPIFFEID {
        try await withAdmin { admin in
            let agents = try await admin.agents.listAgents(.init()).agents
            guard let agent = agents.first else { throw CancellationError() }
            return agent.id
        }
    }
}

/// Fails a test that waits for something that never comes.
func within<Result: Sendable>(
    _ limit: Duration = .seconds(20), _ body: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Result.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit)
            throw TimedOut()
        }
        defer { group.cancelAll() }
        guard let result = try await group.next() else { throw TimedOut() }
        return result
    }
}

struct TimedOut: Error {}
