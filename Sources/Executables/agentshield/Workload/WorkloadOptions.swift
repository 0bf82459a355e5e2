import ArgumentParser
import WorkloadAPI

/// Where the Workload API is.
struct WorkloadOptions: ParsableArguments {
    @Option(name: .flag("socketPath"), help: "Workload API socket (default: $SPIFFE_ENDPOINT_SOCKET).")
    var socketPath: String?
    @Option(name: .flag("timeout"), help: "How long to wait, such as 5s.")
    var timeout = "5s"

    /// The address that `-socketPath` gives, as an address or a path, or the environment.
    static func endpoint(_ socketPath: String?) throws -> WorkloadEndpoint {
        do throws(WorkloadEndpointError) {
            if let socketPath {
                let isAddress = socketPath.hasPrefix("unix:") || socketPath.hasPrefix("tcp:")
                return try WorkloadEndpoint(isAddress ? socketPath : "unix://\(absolute(socketPath))")
            }
            guard let address = Environment[WorkloadEndpoint.environmentVariable] else { throw .notSet }
            return try WorkloadEndpoint(address)
        } catch {
            throw CommandFailure("\(error)")
        }
    }

    /// Runs `body` with a connected client, and fails when it takes longer than `-timeout`.
    func withWorkloadAPI<Result: Sendable>(
        limited: Bool = true, _ body: @Sendable @escaping (WorkloadAPIClient) async throws -> Result
    ) async throws -> Result {
        let endpoint = try Self.endpoint(socketPath)
        let seconds = try DurationText.seconds(timeout, flag: "-timeout")
        do {
            let client = WorkloadAPIClient(endpoint: endpoint)
            return try await withThrowingTaskGroup(of: Result?.self) { group in
                group.addTask {
                    try await client.run()
                    return nil
                }
                group.addTask { try await body(client) }
                if limited {
                    group.addTask {
                        try await Task.sleep(for: .seconds(seconds))
                        throw CommandFailure("no answer from the Workload API at `\(endpoint)` within \(timeout)")
                    }
                }
                defer {
                    client.shutDown()
                    group.cancelAll()
                }
                while let result = try await group.next() {
                    if let result { return result }
                }
                throw CommandFailure("the connection to `\(endpoint)` ended")
            }
        } catch let error as WorkloadAPIError {
            throw CommandFailure("Workload API at `\(endpoint)`: \(error)")
        }
    }
}
