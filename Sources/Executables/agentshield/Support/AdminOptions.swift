import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import Glibc

/// Where the admin socket is.
struct AdminOptions: ParsableArguments {
    @Option(
        name: .flag("socketPath"),
        help: "Admin socket of the control plane (default: $AGENTSHIELD_ADMIN_SOCKET, else data/admin.sock).")
    var socketPath: String?

    var resolvedSocketPath: String {
        socketPath ?? Environment["AGENTSHIELD_ADMIN_SOCKET"] ?? "data/admin.sock"
    }

    /// Runs `body` with a connection to the control plane; answers of the other side become one-line failures.
    func withControlPlane<Result: Sendable>(
        _ body: @Sendable (AdminClient) async throws -> Result
    ) async throws -> Result {
        try await withSocket(resolvedSocketPath, named: "the control plane at `\(resolvedSocketPath)`", body)
    }
}

/// One connection to a Unix socket for the time of one command.
func withSocket<Result: Sendable>(
    _ path: String, named place: String, _ body: @Sendable (AdminClient) async throws -> Result
) async throws -> Result {
    guard access(path, F_OK) == 0 else {
        throw CommandFailure("cannot reach \(place): no such socket; is it running?")
    }
    guard access(path, R_OK | W_OK) == 0 else {
        throw CommandFailure("cannot reach \(place): permission denied; the socket belongs to the daemon's user")
    }
    do {
        return try await AdminClient.with(socketPath: path, body)
    } catch let error as RPCError {
        throw CommandFailure(error, at: place)
    }
}

extension CallOptions {
    /// Fails at once when nobody listens, instead of waiting for somebody to start.
    static var failingFast: CallOptions {
        var options = CallOptions.defaults
        options.waitForReady = false
        options.timeout = .seconds(30)
        return options
    }
}

/// The process environment.
enum Environment {
    static subscript(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }
}
