import ArgumentParser
import TransparencyLog

/// Which log to read.
struct LogOptions: ParsableArguments {
    @OptionGroup var admin: AdminOptions
    @Option(name: .flag("dataDir"), help: "Data directory of a stopped control plane, instead of -socketPath.")
    var dataDirectory: String?

    func withLog<Result: Sendable>(
        _ body: @Sendable @escaping (any LogSource) async throws -> Result
    ) async throws -> Result {
        if let dataDirectory {
            guard admin.socketPath == nil else { throw CommandFailure("-dataDir and -socketPath exclude each other") }
            let source = try DirectoryLogSource(dataDirectory: dataDirectory)
            do {
                return try await body(source)
            } catch let failure as CommandFailure {
                throw failure
            } catch {
                throw CommandFailure("\(error)")
            }
        }
        return try await admin.withControlPlane { client in try await body(SocketLogSource(client: client)) }
    }
}
