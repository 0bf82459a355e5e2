#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The cgroups of launches: one directory each, below this process's own cgroup.
///
/// Only for root. Where an ordinary user owns cgroups, every process of that user can enter them, and being in one would
/// prove nothing.
package struct LaunchCgroups: Sendable {
    private let hierarchy: CgroupHierarchy

    /// The directory that holds the launches' directories, in the hierarchy below this process's cgroup.
    private let folder: String

    private var directory: String { "\(hierarchy.ownDirectory)/\(folder)" }

    /// What launches that nobody holds any more left, by the name of the directory.
    struct Name {
        /// `UID-PID-START-NAME`. The directory can only be made by root, so it keeps what the kernel said of a launcher
        /// over a restart of the node agent.
        static func make(_ launcher: ProcessReference, _ name: LaunchName) -> String {
            "\(launcher.uid)-\(launcher.pid)-\(launcher.startTime)-\(name)"
        }

        /// The user in a name that ``make(_:_:)`` made.
        static func uid(of name: String) -> UInt32? {
            name.split(separator: "-", maxSplits: 1).first.flatMap { UInt32($0) }
        }
    }

    /// Nil when this process is not root or may not make cgroups here.
    ///
    /// `instance` tells several node agents of one machine apart and stays the same over restarts: lower-case letters
    /// and digits.
    package static func open(instance: String) -> LaunchCgroups? {
        guard geteuid() == 0,
            let own = try? OwnedDescriptor.open("/proc/self", flags: O_RDONLY | O_DIRECTORY | O_CLOEXEC),
            let mounts = try? own.readFile("mountinfo", limit: 1 << 20),
            let memberships = try? own.readFile("cgroup", limit: CgroupMembership.maximumLength),
            let hierarchy = CgroupHierarchy.choose(
                mounts: CgroupMount.parse(mounts), memberships: CgroupMembership.parse(memberships))
        else { return nil }
        let cgroups = LaunchCgroups(hierarchy: hierarchy, folder: "agentshield-\(instance)")
        guard cgroups.isUsable() else { return nil }
        return cgroups
    }

    /// Whether a cgroup can be made, looked into and removed.
    private func isUsable() -> Bool {
        guard (try? make(directory)) != nil else { return false }
        let trial = "\(directory)/trial"
        guard (try? make(trial)) != nil else { return false }
        defer { rmdir(trial) }
        return access("\(trial)/cgroup.procs", W_OK) == 0
    }

    /// Names of all launches' directories, also of those that nobody holds.
    func names() -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            guard entry.pointee.d_type == UInt8(DT_DIR) else { continue }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != "..", Name.uid(of: name) != nil { names.append(name) }
        }
        return names
    }

    /// Removes a launch's directory; `false` when there are processes in it.
    @discardableResult
    func remove(_ name: String) -> Bool {
        guard rmdir("\(directory)/\(name)") != 0 else { return true }
        return errno == ENOENT
    }

    /// Removes everything that is empty; for the end of the node agent.
    package func close() {
        for name in names() { remove(name) }
        rmdir(directory)
    }

    /// Whether there is a directory of this name.
    func contains(_ name: String) -> Bool { access("\(directory)/\(name)", F_OK) == 0 }

    /// Puts a process into the launch's cgroup, which is made if need be.
    func place(_ process: PinnedProcess, in name: String) throws(LaunchRefusal) {
        try make("\(directory)/\(name)")
        do {
            let file = try OwnedDescriptor.open("\(directory)/\(name)/cgroup.procs", flags: O_WRONLY | O_CLOEXEC)
            let digits = Array("\(process.pid)\n".utf8)
            guard write(file.number, digits, digits.count) == digits.count else { throw LaunchRefusal.cgroup(errno) }
        } catch let refusal as LaunchRefusal {
            throw refusal
        } catch WorkloadAttestationError.procUnreadable(let code) {
            throw .cgroup(code)
        } catch {
            throw .cgroup(ENOENT)
        }
        // The kernel takes a number; only the open directory says that it was this process's.
        guard let content = try? process.cgroups(), self.name(in: content) == name else { throw .notTheLaunchersChild }
    }

    /// The launch's directory that a process is in.
    func name(of process: PinnedProcess) throws(WorkloadAttestationError) -> String? {
        name(in: try process.cgroups())
    }

    private func name(in content: [UInt8]) -> String? {
        hierarchy.path(in: CgroupMembership.parse(content)).flatMap { hierarchy.name(in: $0, below: folder) }
    }

    private func make(_ path: String) throws(LaunchRefusal) {
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw .cgroup(errno) }
    }
}
