import Synchronization

/// The launches that are held now, and which process belongs to which.
///
/// It blocks: it reads `/proc` and writes cgroups.
package final class LaunchTable: Sendable {
    package struct Limits: Hashable, Sendable {
        /// Launches of one user.
        package var perUser: Int
        /// Launches of all users.
        package var total: Int

        package init(perUser: Int = 64, total: Int = 1024) {
            self.perUser = perUser
            self.total = total
        }
    }

    /// A launcher, by what no other process of this boot has.
    private struct Launcher: Hashable {
        let pid: Int32
        let startTime: UInt64
    }

    private struct State {
        /// Launches by their launcher; nil while one begins.
        var launches: [Launcher: Launch?] = [:]
        var count: [UInt32: Int] = [:]
        /// Launches by their cgroup's directory.
        var cgroups: [String: Launch] = [:]
    }

    private let state = Mutex(State())
    private let cgroups: LaunchCgroups?
    private let limits: Limits

    /// With cgroups every launch has one; without them lineage tells the launches apart.
    package init(cgroups: LaunchCgroups?, limits: Limits = Limits()) {
        self.cgroups = cgroups
        self.limits = limits
    }

    /// How many launches are held.
    package var count: Int { state.withLock { $0.launches.count } }

    /// Begins a launch, or takes it up again after the node agent was away: the first process is put into its place.
    ///
    /// `mainPID` is the launcher's child; 0 when it has ended and its descendants go on.
    package func begin(
        _ name: LaunchName, by launcher: ProcessReference, mainPID: Int32
    ) throws(LaunchRefusal) -> Launch {
        do throws(WorkloadAttestationError) {
            _ = try launcher.checkUnchanged()
        } catch {
            throw .launcher(error)
        }
        let key = Launcher(pid: launcher.pid, startTime: launcher.startTime)
        try reserve(key, uid: launcher.uid)
        do throws(LaunchRefusal) {
            let main = mainPID == 0 ? nil : try Self.child(mainPID, of: launcher)
            let launch = Launch(
                name: name, launcher: launcher, main: main, tracking: try place(main, launcher, name))
            state.withLock { state in
                state.launches[key] = .some(launch)
                if case .cgroup(let directory) = launch.tracking { state.cgroups[directory] = launch }
            }
            return launch
        } catch {
            release(key, uid: launcher.uid)
            throw error
        }
    }

    /// Ends a launch; its processes are no longer part of it. Returns whether none of them is left, where that is known.
    @discardableResult
    package func end(_ launch: Launch) -> Bool {
        if case .cgroup(let directory) = launch.tracking {
            state.withLock { _ = $0.cgroups.removeValue(forKey: directory) }
        }
        release(Launcher(pid: launch.launcher.pid, startTime: launch.launcher.startTime), uid: launch.uid)
        guard case .cgroup(let directory) = launch.tracking, let cgroups else { return !launch.isMainRunning }
        return cgroups.remove(directory)
    }

    /// What a process's launch says of it; nothing outside of launches. The innermost launch wins.
    package func selectors(of process: ProcessReference) throws(WorkloadAttestationError) -> Set<Selector> {
        guard count > 0, let launch = try launch(of: process), launch.isHeld else { return [] }
        return launch.selectors(of: process)
    }

    private func launch(of process: ProcessReference) throws(WorkloadAttestationError) -> Launch? {
        guard let cgroups else {
            return try ProcessLineage.nearest(above: process) { pid, startTime in
                state.withLock { $0.launches[Launcher(pid: pid, startTime: startTime)] ?? nil }
            }
        }
        let pinned = try PinnedProcess(pid: process.pid)
        guard pinned.startTime == process.startTime else { throw .processReplaced }
        // A process in a launch that is over is in no launch, whatever launch is around that one.
        guard let directory = try cgroups.name(of: pinned) else { return nil }
        return state.withLock { $0.cgroups[directory] }
    }

    // MARK: beginning

    private static func child(_ pid: Int32, of launcher: ProcessReference) throws(LaunchRefusal) -> PinnedProcess {
        guard let child = try? PinnedProcess(pid: pid), child.parentPID == launcher.pid,
            child.startTime >= launcher.startTime, (try? child.effectiveUID()) == launcher.uid,
            (try? child.currentParentPID()) == launcher.pid,
            // The parent by that number is the launcher only if the launcher lives now.
            (try? launcher.checkUnchanged()) != nil
        else { throw .notTheLaunchersChild }
        return child
    }

    private func place(
        _ main: PinnedProcess?, _ launcher: ProcessReference, _ name: LaunchName
    ) throws(LaunchRefusal) -> Launch.Tracking {
        guard let cgroups else { return .lineage }
        let directory = LaunchCgroups.Name.make(launcher, name)
        guard let main else {
            guard cgroups.contains(directory) else { throw .unknownCgroup }
            return .cgroup(directory)
        }
        do throws(LaunchRefusal) {
            try cgroups.place(main, in: directory)
        } catch {
            cgroups.remove(directory)
            throw error
        }
        return .cgroup(directory)
    }

    private func reserve(_ key: Launcher, uid: UInt32) throws(LaunchRefusal) {
        // What launches left that nobody holds counts too, or a user could fill the node with them.
        let left = leftovers().compactMap(LaunchCgroups.Name.uid)
        try state.withLock { state throws(LaunchRefusal) in
            guard state.launches[key] == nil else { throw .alreadyLaunching }
            guard state.launches.count + left.count < limits.total else { throw .tooMany }
            let ofUser = state.count[uid, default: 0] + left.count { $0 == uid }
            guard ofUser < limits.perUser else { throw .tooManyOfUser }
            state.launches[key] = .some(nil)
            state.count[uid, default: 0] += 1
        }
    }

    private func release(_ key: Launcher, uid: UInt32) {
        state.withLock { state in
            guard state.launches.removeValue(forKey: key) != nil else { return }
            let count = state.count[uid, default: 1] - 1
            state.count[uid] = count > 0 ? count : nil
        }
    }

    /// Directories of ended launches that still have processes; empty ones are removed.
    private func leftovers() -> [String] {
        guard let cgroups else { return [] }
        let held = state.withLock { state in
            (Set(state.cgroups.keys), Set(state.launches.keys.map { "\($0.pid)-\($0.startTime)-" }))
        }
        return cgroups.names().filter { name in
            // A launch that begins now has an empty directory for a moment.
            let isBeginning = held.1.contains { name.contains("-\($0)") }
            return !held.0.contains(name) && !isBeginning && !cgroups.remove(name)
        }
    }
}
