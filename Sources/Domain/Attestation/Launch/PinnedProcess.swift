#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A process by its open directory in `/proc`: reads reach this process or fail, never a successor of its PID.
struct PinnedProcess: Sendable {
    let pid: Int32

    /// Start time in clock ticks since boot.
    let startTime: UInt64

    /// The parent when it was opened.
    let parentPID: Int32

    private let directory: OwnedDescriptor

    /// Opens a running process by its number.
    init(pid: Int32) throws(WorkloadAttestationError) {
        guard pid > 0 else { throw .processUnknown }
        directory = try OwnedDescriptor.open("/proc/\(pid)", flags: O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        let stat = try ProcessStat(directory: directory)
        guard stat.isRunning else { throw .processExited }
        self.pid = pid
        startTime = stat.startTime
        parentPID = stat.parentPID
    }

    /// Its effective user now.
    func effectiveUID() throws(WorkloadAttestationError) -> UInt32 {
        try ProcessStatus(directory: directory).effectiveUID
    }

    /// Its parent now.
    func currentParentPID() throws(WorkloadAttestationError) -> Int32 {
        let stat = try ProcessStat(directory: directory)
        guard stat.isRunning else { throw .processExited }
        return stat.parentPID
    }

    /// Content of its `cgroup` file, proc(5).
    func cgroups() throws(WorkloadAttestationError) -> [UInt8] {
        try directory.readFile("cgroup", limit: CgroupMembership.maximumLength)
    }

    var isRunning: Bool { (try? currentParentPID()) != nil }
}
