#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A process pinned at the moment it connected: later lookups reach this process or fail, never a successor of its PID.
///
/// It holds the process directory open, so reads go to the process that was there then, and a copy of the pidfd, which
/// tells when that process ends. Both are closed when the last reference goes.
package final class ProcessReference: Sendable {
    /// Process ID as the kernel gave it for the connection.
    package let pid: Int32

    /// Effective user ID at connect, from the kernel.
    package let uid: UInt32

    /// Effective group ID at connect, from the kernel.
    package let gid: UInt32

    /// Start time in clock ticks since boot; with the PID it names the process for the time the machine is up.
    package let startTime: UInt64

    private let directory: OwnedDescriptor
    private let pidfd: OwnedDescriptor?

    /// Pins the process behind a connection; call it right after accept.
    ///
    /// `pid`, `uid` and `gid` are the kernel's (SO_PEERCRED). `pidfd` (SO_PEERPIDFD) stays the caller's and is
    /// duplicated; without it, as on kernels before 6.5, a PID that was reused between connect and now goes unnoticed
    /// unless user or group differ.
    package static func open(
        pid: Int32, uid: UInt32, gid: UInt32, pidfd: Int32?
    ) throws(WorkloadAttestationError) -> ProcessReference {
        guard pid > 0 else { throw .processUnknown }
        let directory = try OwnedDescriptor.open("/proc/\(pid)", flags: O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        var pinned: OwnedDescriptor?
        if let pidfd {
            pinned = try OwnedDescriptor(duplicating: pidfd)
        }
        let stat = try ProcessStat(directory: directory)
        let reference = ProcessReference(
            pid: pid, uid: uid, gid: gid, startTime: stat.startTime, directory: directory, pidfd: pinned)
        // The directory was opened by number, so it is the peer's only if the peer still lives now.
        try reference.checkAlive()
        return reference
    }

    /// The process that somebody has pinned before: `directory` is its `/proc` directory, opened when it had this start
    /// time and was known to be the peer. Both descriptors stay the caller's and are duplicated. Reads nothing.
    package static func pinned(
        pid: Int32, uid: UInt32, gid: UInt32, startTime: UInt64, directory: Int32, pidfd: Int32?
    ) throws(WorkloadAttestationError) -> ProcessReference {
        guard pid > 0 else { throw .processUnknown }
        var pinned: OwnedDescriptor?
        if let pidfd {
            pinned = try OwnedDescriptor(duplicating: pidfd)
        }
        return ProcessReference(
            pid: pid, uid: uid, gid: gid, startTime: startTime,
            directory: try OwnedDescriptor(duplicating: directory), pidfd: pinned)
    }

    /// INVARIANT: the directory is the process's own; ``open(pid:uid:gid:pidfd:)`` makes sure of it, and whoever calls
    /// ``pinned(pid:uid:gid:startTime:directory:pidfd:)``.
    init(
        pid: Int32, uid: UInt32, gid: UInt32, startTime: UInt64, directory: OwnedDescriptor, pidfd: OwnedDescriptor?
    ) {
        self.pid = pid
        self.uid = uid
        self.gid = gid
        self.startTime = startTime
        self.directory = directory
        self.pidfd = pidfd
    }

    /// Throws unless the pinned process still runs with the credentials of its connection; returns its group list.
    package func checkUnchanged() throws(WorkloadAttestationError) -> [UInt32] {
        try checkAlive()
        let status = try ProcessStatus(directory: directory)
        guard status.effectiveUID == uid, status.effectiveGID == gid else { throw .credentialsChanged }
        return status.groups
    }

    /// The bytes of a file of the process directory.
    func readFile(_ name: String, limit: Int) throws(WorkloadAttestationError) -> [UInt8] {
        try directory.readFile(name, limit: limit)
    }

    /// The text of the `exe` link.
    func executablePath() throws(WorkloadAttestationError) -> String {
        do {
            return try directory.readLink("exe")
        } catch .procUnreadable(let code) {
            throw .executableUnreadable(code)
        }
    }

    /// Opens the running program itself, wherever its path leads by now.
    func openExecutable() throws(WorkloadAttestationError) -> OwnedDescriptor {
        do {
            return try directory.open("exe", flags: O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        } catch .procUnreadable(let code) {
            throw .executableUnreadable(code)
        }
    }

    private func checkAlive() throws(WorkloadAttestationError) {
        let stat = try ProcessStat(directory: directory)
        guard stat.isRunning else { throw .processExited }
        guard stat.startTime == startTime else { throw .processReplaced }
        guard let pidfd else { return }
        var descriptor = pollfd(fd: pidfd.number, events: Int16(POLLIN), revents: 0)
        // A pidfd becomes readable when its process ends, even before anybody collects the exit status.
        guard poll(&descriptor, 1, 0) == 0 else { throw .processExited }
    }
}
