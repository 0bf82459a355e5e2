import ControlPlaneAPI
import GRPCCore
import Glibc
import WorkloadAPI

/// Holds the launch at the node agent as long as its processes live, and takes it up again when the agent was away.
struct LaunchHolder: Sendable {
    let name: String
    let socketPath: String
    let processes: LaunchedProcesses

    private static let firstPause = Duration.milliseconds(50)
    private static let longestPause = Duration.seconds(2)

    /// Begins the launch and lets the command run; returns only by cancellation.
    /// - Throws: `CommandFailure` when the launch was not begun. Once the command runs, it is held again instead.
    func run() async throws {
        var pause = Self.firstPause
        while true {
            do {
                try await hold()
                pause = Self.firstPause
            } catch {
                guard processes.isReleased else { throw error }
            }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, Self.longestPause)
        }
    }

    private func hold() async throws {
        let place = "the node agent at `\(socketPath)`"
        do {
            try await withSocket(socketPath, named: place) { client in
                var options = CallOptions.defaults
                options.waitForReady = false
                let request = Agentshield_Agent_V1_HoldRequest.with {
                    $0.name = name
                    $0.mainPid = processes.isMainRunning ? processes.main : 0
                }
                try await Agentshield_Agent_V1_Launch.Client(wrapping: client.client).hold(request, options: options) {
                    for try await _ in $0.messages { processes.release() }
                }
            }
        } catch let error as RPCError where error.code == .unimplemented {
            throw CommandFailure("\(place) knows no launches")
        }
        guard processes.isReleased else { throw CommandFailure("\(place) did not begin the launch") }
    }
}
