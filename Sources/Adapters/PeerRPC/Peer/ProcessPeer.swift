import Glibc

/// The process that called `connect()`, pinned when its connection was accepted.
///
/// A connection outlives `exec` and can be inherited: whoever attests the process compares these numbers with what
/// ``handle`` says at that moment, on every call.
package struct ProcessPeer: Sendable {
    /// Process ID in this process's PID namespace; 0 when the process is not visible there.
    package let pid: Int32
    /// Effective user ID at `connect()`.
    package let uid: UInt32
    /// Effective group ID at `connect()`.
    package let gid: UInt32
    /// The process itself; `nil` when it was gone, or not visible, before it could be pinned.
    package let handle: ProcessHandle?

    package init(pid: Int32, uid: UInt32, gid: UInt32, handle: ProcessHandle?) {
        self.pid = pid
        self.uid = uid
        self.gid = gid
        self.handle = handle
    }
}

/// Owned descriptors of one process, closed when the last reference goes: after its connection closed and the last
/// call on it returned. They mean this process for ever, whoever gets its number later.
package final class ProcessHandle: Sendable {
    /// `/proc/<pid>`, for `openat`. Fails with `ESRCH` once the process is gone.
    package let directory: Int32
    /// When the process started, in clock ticks since boot (proc(5), field 22 of `stat`).
    package let startTime: UInt64
    /// A pidfd, where the kernel gives one for a socket's peer (Linux 6.5).
    package let pidfd: Int32?

    private init(directory: Int32, startTime: UInt64, pidfd: Int32?) {
        self.directory = directory
        self.startTime = startTime
        self.pidfd = pidfd
    }

    deinit {
        close(directory)
        if let pidfd { close(pidfd) }
    }

    /// Pins a process. Takes ownership of `pidfd`, also when it returns `nil` because the process is gone.
    static func open(pid: Int32, pidfd: Int32?) -> ProcessHandle? {
        let directory = pid > 0 ? Glibc.open("/proc/\(pid)", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1
        guard directory >= 0 else {
            if let pidfd { close(pidfd) }
            return nil
        }
        // The number may have been given to another process between connect() and now; then the pidfd's process is gone.
        guard let startTime = Self.startTime(in: directory), pidfd.map(Self.isRunning) ?? true else {
            close(directory)
            if let pidfd { close(pidfd) }
            return nil
        }
        return ProcessHandle(directory: directory, startTime: startTime, pidfd: pidfd)
    }

    /// Whether the process still runs. A zombie does not.
    package var isRunning: Bool {
        if let pidfd { return Self.isRunning(pidfd) }
        return Self.startTime(in: directory) == startTime
    }

    private static func isRunning(_ pidfd: Int32) -> Bool {
        var entry = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) == 0
    }

    /// Reads field 22 of `stat`; `nil` for a process that has ended, waited for or not. The command name before it may hold any byte, parentheses too.
    private static func startTime(in directory: Int32) -> UInt64? {
        let descriptor = openat(directory, "stat", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 1024)
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0, let nameEnd = buffer.prefix(count).lastIndex(of: UInt8(ascii: ")")) else { return nil }
        // The first field after the name is number 3.
        let fields = buffer.prefix(count).suffix(from: nameEnd + 1).split(separator: UInt8(ascii: " "))
        guard fields.count > 19, fields.first != [UInt8(ascii: "Z")], fields.first != [UInt8(ascii: "X")] else {
            return nil
        }
        return UInt64(String(decoding: fields[19], as: UTF8.self))
    }
}
