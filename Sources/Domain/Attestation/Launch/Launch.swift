/// One command that a launcher started under a name, for as long as the launcher holds it.
package final class Launch: Sendable {
    /// What the launcher calls it.
    package let name: LaunchName

    /// The process that started it, pinned: its user is the kernel's word.
    let launcher: ProcessReference

    /// The first process; nil when it had ended before the launch was taken up again.
    let main: PinnedProcess?

    /// How its processes are told from others.
    package let tracking: Tracking

    /// How a launch's processes are told from others.
    package enum Tracking: Hashable, Sendable {
        /// They are in this cgroup, by the name of its directory.
        case cgroup(String)
        /// The launcher is among their ancestors, and no other launcher is nearer.
        case lineage
    }

    init(name: LaunchName, launcher: ProcessReference, main: PinnedProcess?, tracking: Tracking) {
        self.name = name
        self.launcher = launcher
        self.main = main
        self.tracking = tracking
    }

    /// The launcher's effective user ID.
    package var uid: UInt32 { launcher.uid }

    /// Process ID of the first process; 0 when it had ended before the launch was taken up again.
    package var mainPID: Int32 { main?.pid ?? 0 }

    /// Whether the launcher still runs as the user that it connected as. Without it the launch is over.
    package var isHeld: Bool { (try? launcher.checkUnchanged()) != nil }

    /// Whether the first process still runs.
    package var isMainRunning: Bool { main?.isRunning ?? false }

    /// The selectors of a process of this launch.
    func selectors(of process: ProcessReference) -> Set<Selector> {
        let isMain = main.map { $0.pid == process.pid && $0.startTime == process.startTime } ?? false
        return [
            Self.selector("name", name), Self.selector("uid", uid), Self.selector("role", isMain ? "main" : "child"),
        ]
    }

    /// The selector that every process of a launch with this name has.
    package static func selector(named name: LaunchName) -> Selector { selector("name", name) }

    private static func selector(_ kind: String, _ value: some CustomStringConvertible) -> Selector {
        Selector(knownType: LaunchSelectors.type, value: "\(kind):\(value)")
    }
}

/// The selectors that launches make, as rules see them.
package enum LaunchSelectors {
    /// The type of all of them.
    package static let type = "launch"

    /// Whether these selectors name a launch and not its user: any user's launcher could take the name.
    package static func nameAnyLauncher(_ selectors: some Sequence<Selector>) -> Bool {
        let values = selectors.filter { $0.type == type }.map(\.value)
        return values.contains { $0.hasPrefix("name:") } && !values.contains { $0.hasPrefix("uid:") }
    }
}
