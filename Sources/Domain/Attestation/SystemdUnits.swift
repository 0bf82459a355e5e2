#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Attests workloads by the systemd unit that they run in: SPIRE's `systemd` selectors, without D-Bus.
///
/// The unit is the one of the process's control group, which only systemd and root change; the unit's file is looked for
/// where systemd looks for it. So `fragment_path` names the file as it is found now, which after an edit without
/// `daemon-reload` need not be what systemd has loaded.
package struct SystemdUnits: Sendable {
    /// The type of all its selectors.
    package static let selectorType = "systemd"

    /// Where unit files of the system manager are, the first one found counts (systemd.unit(5), "Unit File Load Path").
    static let searchPath = [
        "/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient",
        "/run/systemd/generator.early", "/etc/systemd/system", "/etc/systemd/system.attached", "/run/systemd/system",
        "/run/systemd/system.attached", "/run/systemd/generator", "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/generator.late",
    ]

    /// Longest accepted `cgroup` file, in bytes.
    static let maximumLength = 1 << 18

    /// Longest name of a unit, in bytes (systemd.unit(5)).
    static let maximumNameLength = 255

    /// What a directory of unit files starts with; empty outside of tests.
    private let root: String

    /// Units whose files lie below `root`.
    package init(root: String = "") {
        self.root = root
    }

    /// `id` and, if its file is found, `fragment_path` of the process's unit; nothing for a process outside of units.
    func selectors(of process: ProcessReference) throws(WorkloadAttestationError) -> Set<Selector> {
        guard let unit = Self.unit(cgroup: try process.readFile("cgroup", limit: Self.maximumLength)) else { return [] }
        var selectors: Set<Selector> = [Selector(knownType: Self.selectorType, value: "id:\(unit)")]
        if let path = fragmentPath(of: unit) {
            selectors.insert(Selector(knownType: Self.selectorType, value: "fragment_path:\(path)"))
        }
        return selectors
    }

    /// The unit of a `/proc/PID/cgroup` file: the first name below the slices in systemd's own hierarchy.
    static func unit(cgroup content: [UInt8]) -> String? {
        var path: Substring?
        for line in content.split(separator: UInt8(ascii: "\n")) {
            guard let text = String(validating: line, as: UTF8.self) else { continue }
            let fields = text.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            // With version 1 beside version 2, systemd's bookkeeping is in the hierarchy of its name.
            if fields[1] == "name=systemd" {
                path = fields[2]
                break
            }
            if fields[0] == "0", fields[1].isEmpty { path = fields[2] }
        }
        // A group that was removed, or one outside of this control group namespace, is nobody's unit.
        guard let path, path.hasPrefix("/"), !path.hasSuffix(" (deleted)") else { return nil }
        for part in path.split(separator: "/") {
            // systemd puts an underscore before names that the kernel could take for its own files.
            let name = part.hasPrefix("_") ? part.dropFirst() : part
            if name.hasSuffix(".slice") { continue }
            return isUnitName(name) ? String(name) : nil
        }
        return nil
    }

    /// The file that the unit comes from: of its own name in any directory, else of its template.
    func fragmentPath(of unit: String) -> String? {
        for name in [unit] + (Self.template(of: unit).map { [$0] } ?? []) {
            for directory in Self.searchPath {
                let path = "\(directory)/\(name)"
                guard let target = resolve(path) else { continue }
                return target.isEmpty ? nil : target
            }
        }
        return nil
    }

    /// `getty@.service` of `getty@tty1.service`.
    static func template(of unit: String) -> String? {
        guard let at = unit.firstIndex(of: "@"), let dot = unit.lastIndex(of: "."), at < dot else { return nil }
        return String(unit[...at]) + String(unit[dot...])
    }

    /// The path itself for a file, the target for a link to a file elsewhere, nothing at all for a masked unit (empty), and
    /// `nil` when there is nothing.
    private func resolve(_ path: String) -> String? {
        var status = stat()
        guard lstat(root + path, &status) == 0 else { return nil }
        if status.st_mode & S_IFMT == S_IFREG { return path }
        guard status.st_mode & S_IFMT == S_IFLNK else { return nil }
        var buffer = [CChar](repeating: 0, count: OwnedDescriptor.maximumPathLength)
        let count = readlink(root + path, &buffer, buffer.count)
        guard count > 0, count < buffer.count,
            let target = String(validating: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
        else { return nil }
        if target == "/dev/null" { return "" }
        // A link to another unit is an alias, whose name systemd would not give to the control group.
        guard target.hasPrefix("/"), lstat(root + target, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return nil
        }
        return target
    }

    private static let suffixes = [".service", ".scope", ".socket", ".mount", ".swap"]

    /// Whether a control group of this name is a unit's, in the characters that units have.
    private static func isUnitName(_ name: Substring) -> Bool {
        guard name.utf8.count <= maximumNameLength, let suffix = suffixes.first(where: { name.hasSuffix($0) }),
            name.utf8.count > suffix.utf8.count
        else { return false }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            case UInt8(ascii: ":"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "\\"),
                UInt8(ascii: "@"):
                true
            default: false
            }
        }
    }
}
