/// Who started a process: its ancestors, each checked to be the parent of the one before.
enum ProcessLineage {
    /// Ancestors looked at; a longer line has no launch.
    static let maximumDepth = 256

    /// How often a walk begins anew when a process on the way ends while it is looked at.
    static let maximumWalks = 8

    /// The nearest ancestor that `find` knows by PID and start time; the process itself is not asked about.
    ///
    /// A parent that ends while the walk is under way changes the line (its children go to the next subreaper), so the
    /// walk begins anew; a line that never holds still has no answer.
    static func nearest<Found>(
        above process: ProcessReference, _ find: (_ pid: Int32, _ startTime: UInt64) -> Found?
    ) throws(WorkloadAttestationError) -> Found? {
        for _ in 0..<maximumWalks {
            let start = try PinnedProcess(pid: process.pid)
            guard start.startTime == process.startTime else { throw .processReplaced }
            do throws(WorkloadAttestationError) {
                return try walk(from: start, find)
            } catch .processExited {
                continue
            } catch .processReplaced {
                continue
            }
        }
        return nil
    }

    private static func walk<Found>(
        from start: PinnedProcess, _ find: (_ pid: Int32, _ startTime: UInt64) -> Found?
    ) throws(WorkloadAttestationError) -> Found? {
        var current = start
        for _ in 0..<maximumDepth {
            guard current.parentPID > 0 else { return nil }
            let parent = try PinnedProcess(pid: current.parentPID)
            // The number was opened after it was read: only if it still is the parent now, it was the parent's. A
            // parent never starts after its child, so a successor of its number shows by its start time.
            guard try current.currentParentPID() == parent.pid, parent.startTime <= current.startTime else {
                throw .processReplaced
            }
            if let found = find(parent.pid, parent.startTime) { return found }
            current = parent
        }
        return nil
    }
}
