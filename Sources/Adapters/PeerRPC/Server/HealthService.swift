package import GRPCCore
import Synchronization

/// The gRPC health checking protocol (`grpc.health.v1`), with states that the application sets.
package final class HealthService: Sendable {
    /// Whether a service takes calls.
    package enum Status: Sendable, Equatable {
        case serving
        case notServing
    }

    /// Most watching calls at once; further ones are refused.
    private static let maximumWatchers = 256

    private struct State {
        var statuses: [String: Status]
        var watchers: [UInt64: (service: String, continuation: AsyncStream<Status?>.Continuation)] = [:]
        var nextWatcher: UInt64 = 0
    }

    private let state: Mutex<State>

    /// A health service that knows the server as a whole (the empty name) and these services.
    package init(services: [String] = [], status: Status = .notServing) {
        var statuses = ["": status]
        for service in services { statuses[service] = status }
        state = Mutex(State(statuses: statuses))
    }

    /// Sets the state of one service, or of the server as a whole by the empty name.
    package func set(_ status: Status, for service: String) {
        change { $0.statuses[service] = status }
    }

    /// Sets the state of everything.
    package func setAll(_ status: Status) {
        change { state in
            for service in state.statuses.keys { state.statuses[service] = status }
        }
    }

    private func change(_ body: (inout State) -> Void) {
        state.withLock { state in
            let before = state.statuses
            body(&state)
            for (service, continuation) in state.watchers.values where before[service] != state.statuses[service] {
                continuation.yield(state.statuses[service])
            }
        }
    }

    private func status(of service: String) -> Status? {
        state.withLock { $0.statuses[service] }
    }

    /// The state now and after every change; the newest one only, for a slow reader.
    private func watch(_ service: String) -> AsyncStream<Status?>? {
        let (stream, continuation) = AsyncStream.makeStream(of: Status?.self, bufferingPolicy: .bufferingNewest(1))
        let watcher: UInt64? = state.withLock { state in
            guard state.watchers.count < Self.maximumWatchers else { return nil }
            let watcher = state.nextWatcher
            state.nextWatcher += 1
            state.watchers[watcher] = (service, continuation)
            continuation.yield(state.statuses[service])
            return watcher
        }
        guard let watcher else { return nil }
        continuation.onTermination = { [weak self] _ in
            _ = self?.state.withLock { $0.watchers.removeValue(forKey: watcher) }
        }
        return stream
    }
}

extension HealthService: Grpc_Health_V1_Health.SimpleServiceProtocol {
    package func check(
        request: Grpc_Health_V1_HealthCheckRequest, context: ServerContext
    ) async throws -> Grpc_Health_V1_HealthCheckResponse {
        guard let status = status(of: request.service) else {
            throw RPCError(code: .notFound, message: "unknown service")
        }
        return .with { $0.status = status.wire }
    }

    package func list(
        request: Grpc_Health_V1_HealthListRequest, context: ServerContext
    ) async throws -> Grpc_Health_V1_HealthListResponse {
        let statuses = state.withLock { $0.statuses }
        return .with { response in
            response.statuses = statuses.mapValues { status in .with { $0.status = status.wire } }
        }
    }

    package func watch(
        request: Grpc_Health_V1_HealthCheckRequest, response: RPCWriter<Grpc_Health_V1_HealthCheckResponse>,
        context: ServerContext
    ) async throws {
        guard let statuses = watch(request.service) else {
            throw RPCError(code: .resourceExhausted, message: "too many watchers")
        }
        try await context.untilCancelled {
            for await status in statuses {
                try await response.write(.with { $0.status = status?.wire ?? .serviceUnknown })
            }
        }
    }
}

extension HealthService.Status {
    fileprivate var wire: Grpc_Health_V1_HealthCheckResponse.ServingStatus {
        switch self {
        case .serving: .serving
        case .notServing: .notServing
        }
    }
}
