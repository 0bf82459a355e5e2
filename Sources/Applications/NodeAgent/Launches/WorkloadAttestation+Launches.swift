import Attestation

/// What launches need of the threads that may block.
extension WorkloadAttestation {
    func begin(
        _ name: LaunchName, by launcher: ProcessReference, mainPID: Int32, in launches: LaunchTable
    ) async throws(LaunchRefusal) -> Launch {
        try await Self.offLoop { () -> Result<Launch, LaunchRefusal> in
            do throws(LaunchRefusal) {
                return .success(try launches.begin(name, by: launcher, mainPID: mainPID))
            } catch {
                return .failure(error)
            }
        }.get()
    }

    /// Whether no process of the launch is left, as far as that is known.
    func end(_ launch: Launch, in launches: LaunchTable) async -> Bool {
        await Self.offLoop { launches.end(launch) }
    }

    func isHeld(_ launch: Launch) async -> Bool {
        await Self.offLoop { launch.isHeld }
    }
}
