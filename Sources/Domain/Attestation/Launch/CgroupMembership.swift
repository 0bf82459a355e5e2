/// One line of a `cgroup` file of `/proc`, proc(5): `hierarchy:controllers:path`.
struct CgroupMembership: Hashable {
    /// Longest accepted file in bytes: a few dozen hierarchies with paths of at most 4096 bytes.
    static let maximumLength = 1 << 18

    /// Controllers of a version 1 hierarchy, such as `cpu,cpuacct` or `name=systemd`; empty for version 2.
    let controllers: String

    /// Where the process is in the hierarchy.
    let path: String

    /// Every well-formed line; the others name nothing that we use.
    static func parse(_ content: [UInt8]) -> [CgroupMembership] {
        content.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3, let controllers = String(validating: parts[1], as: UTF8.self),
                let path = String(validating: parts[2], as: UTF8.self), path.utf8.first == UInt8(ascii: "/")
            else { return nil }
            return CgroupMembership(controllers: controllers, path: path)
        }
    }
}

/// One mounted cgroup hierarchy of `/proc/self/mountinfo`, proc_pid_mountinfo(5).
struct CgroupMount: Hashable {
    /// Empty for version 2; the super options otherwise, among them the controllers.
    let controllers: [String]

    /// The part of the hierarchy that is mounted.
    let root: String

    /// Where it is mounted.
    let point: String

    /// Every cgroup mount that can be read in this way; a path with escapes is left out.
    static func parse(_ content: [UInt8]) -> [CgroupMount] {
        content.split(separator: UInt8(ascii: "\n")).compactMap { line in
            guard let text = String(validating: line, as: UTF8.self) else { return nil }
            let fields = text.split(separator: " ", omittingEmptySubsequences: false)
            guard let separator = fields.firstIndex(of: "-"), separator >= 6, fields.count > separator + 3 else {
                return nil
            }
            let (root, point) = (String(fields[3]), String(fields[4]))
            guard !root.contains("\\"), !point.contains("\\") else { return nil }
            switch fields[separator + 1] {
            case "cgroup2": return CgroupMount(controllers: [], root: root, point: point)
            case "cgroup":
                let options = fields[separator + 3].split(separator: ",").map { String($0) }
                return CgroupMount(controllers: options, root: root, point: point)
            default: return nil
            }
        }
    }
}

/// The hierarchy in which launches are kept apart, and where this process is in it.
struct CgroupHierarchy: Hashable {
    /// As lines of `cgroup` files write it; empty for version 2.
    let controllers: String

    /// This process's path in the hierarchy, `/` at its root.
    let ownPath: String

    /// The directory of this process's cgroup.
    let ownDirectory: String

    /// Version 1 hierarchies that are used when there is no version 2, the best first: those that limit nothing.
    static let preferred = ["name=systemd", "pids", "freezer"]

    /// Version 2 if it is mounted, a hierarchy of version 1 otherwise; nil when none can be used.
    static func choose(mounts: [CgroupMount], memberships: [CgroupMembership]) -> CgroupHierarchy? {
        for wanted in [""] + preferred {
            let mount = mounts.first { wanted.isEmpty ? $0.controllers.isEmpty : $0.controllers.contains(wanted) }
            let membership = memberships.first {
                wanted.isEmpty
                    ? $0.controllers.isEmpty : $0.controllers.split(separator: ",").contains { $0 == wanted }
            }
            guard let mount, let membership, let directory = directory(of: membership.path, in: mount) else { continue }
            return CgroupHierarchy(
                controllers: membership.controllers, ownPath: membership.path, ownDirectory: directory)
        }
        return nil
    }

    /// The path that a process of this hierarchy has by its `cgroup` file.
    func path(in memberships: [CgroupMembership]) -> String? {
        memberships.first { $0.controllers == controllers }?.path
    }

    /// The first name below the cgroup `child` of this process's cgroup, if the path leads there.
    func name(in path: String, below child: String) -> String? {
        let prefix = (ownPath == "/" ? "" : ownPath) + "/\(child)/"
        guard path.hasPrefix(prefix) else { return nil }
        return path.dropFirst(prefix.count).split(separator: "/").first.map { String($0) }
    }

    private static func directory(of path: String, in mount: CgroupMount) -> String? {
        // A path outside of what is mounted is written with `..`.
        guard !path.split(separator: "/").contains("..") else { return nil }
        let root = mount.root == "/" ? "" : mount.root
        guard path == root || path.hasPrefix(root + "/") else { return nil }
        let rest = String(path.dropFirst(root.count))
        return mount.point + (rest == "/" ? "" : rest)
    }
}
