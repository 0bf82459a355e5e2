import Attestation
import NIOPosix
import PeerRPC

/// Attests the processes at the other end of the socket. What takes more than the two small files of `/proc` that never
/// block is done away from event loops and the runtime's own threads: hashing a large executable takes its time.
struct WorkloadAttestation: Sendable {
    let attestor: UnixWorkloadAttestor

    /// Pins the caller's process for the time of a call.
    func pin(_ peer: ConnectionPeer) throws(WorkloadAttestationError) -> ProcessReference {
        guard let process = peer.process else { throw .processUnknown }
        guard let handle = process.handle else { throw .processExited }
        return try ProcessReference.pinned(
            pid: process.pid, uid: process.uid, gid: process.gid, startTime: handle.startTime,
            directory: handle.directory, pidfd: handle.pidfd)
    }

    /// What the process is now.
    func attest(_ process: ProcessReference) async throws(WorkloadAttestationError) -> AttestedWorkload {
        if let workload = try attestor.attestBriefly(process) { return workload }
        let attestor = attestor
        return try await Self.offLoop { () throws(WorkloadAttestationError) in try attestor.attest(process) }
    }

    /// Throws unless it is still the same process with the same rights.
    func check(_ process: ProcessReference) async throws(WorkloadAttestationError) {
        try await Self.offLoop { () throws(WorkloadAttestationError) in _ = try process.checkUnchanged() }
    }

    /// Runs what cannot fail and must run: also when the task is cancelled.
    static func offLoop<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            NIOThreadPool.singleton.submit { _ in continuation.resume(returning: body()) }
        }
    }

    private static func offLoop<Value: Sendable>(
        _ body: @escaping @Sendable () throws(WorkloadAttestationError) -> Value
    ) async throws(WorkloadAttestationError) -> Value {
        let result: Result<Value, WorkloadAttestationError>
        do {
            result = try await NIOThreadPool.singleton.runIfActive {
                do throws(WorkloadAttestationError) { return .success(try body()) } catch { return .failure(error) }
            }
        } catch {
            // The pool is never stopped; cancellation is the only other way here.
            throw .processUnknown
        }
        return try result.get()
    }
}
