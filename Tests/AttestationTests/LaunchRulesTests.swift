import Testing

@testable import Attestation

@Suite struct LaunchRulesTests {
    @Test(
        "names of launches",
        arguments: ["a", "7", "weather", "weather-2", "a.b_c-D", String(repeating: "x", count: 64)])
    func goodName(text: String) throws {
        #expect(try LaunchName(text).text == text)
    }

    @Test(
        "what is no name of a launch",
        arguments: [
            "", "-a", ".a", "..", "_a", "a b", "a/b", "a:b", "a\nb", "a\0", "ä", "a\u{301}",
            String(repeating: "x", count: 65),
        ])
    func badName(text: String) {
        #expect(throws: LaunchRefusal.badName) { try LaunchName(text) }
    }

    @Test("every byte but letters, digits, dot, underscore and hyphen is refused")
    func bytes() {
        let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-".utf8)
        for byte in UInt8(0)...127 {
            let text = "x" + String(decoding: [byte], as: UTF8.self)
            #expect(((try? LaunchName(text)) != nil) == allowed.contains(byte), "\(byte)")
        }
    }

    @Test(
        "selectors that leave open whose launch it is",
        arguments: [
            (["launch:name:a"], true),
            (["launch:name:a", "unix:uid:5"], true),
            (["launch:name:a", "launch:role:main"], true),
            (["launch:name:a", "unix:path:/bin/a", "launch:role:main"], true),
            (["launch:name:a", "launch:uid:5"], false),
            (["launch:uid:5"], false),
            (["launch:role:main"], false),
            (["unix:uid:5"], false),
            ([], false),
        ])
    func anyLauncher(texts: [String], isOpen: Bool) throws {
        #expect(LaunchSelectors.nameAnyLauncher(try texts.map { try Selector(parsing: $0) }) == isOpen)
    }

    // MARK: cgroups

    private static let hybrid = """
        24 30 0:22 / /sys rw,relatime shared:7 - sysfs sysfs rw
        35 34 0:29 / /sys/fs/cgroup/systemd rw,relatime shared:9 - cgroup cgroup rw,xattr,name=systemd
        36 34 0:30 / /sys/fs/cgroup/unified rw,relatime shared:10 - cgroup2 cgroup2 rw
        41 34 0:35 / /sys/fs/cgroup/pids rw,relatime shared:16 - cgroup cgroup rw,pids
        """
    private static let memberships = "8:pids:/p\n1:name=systemd:/system.slice/a.service\n0::/system.slice/a.service\n"

    private static func choose(_ mounts: String, _ memberships: String) -> CgroupHierarchy? {
        CgroupHierarchy.choose(
            mounts: CgroupMount.parse(Array(mounts.utf8)),
            memberships: CgroupMembership.parse(Array(memberships.utf8)))
    }

    @Test("version 2 is chosen, in a hybrid machine too")
    func versionTwo() throws {
        let chosen = try #require(Self.choose(Self.hybrid, Self.memberships))
        #expect(chosen.controllers.isEmpty)
        #expect(chosen.ownPath == "/system.slice/a.service")
        #expect(chosen.ownDirectory == "/sys/fs/cgroup/unified/system.slice/a.service")
    }

    @Test("version 1 otherwise, the hierarchy that limits nothing first")
    func versionOne() throws {
        let old = Self.hybrid.split(separator: "\n").filter { !$0.contains("cgroup2") }.joined(separator: "\n")
        #expect(Self.choose(old, Self.memberships)?.ownDirectory == "/sys/fs/cgroup/systemd/system.slice/a.service")
        let pids = old.split(separator: "\n").filter { !$0.contains("systemd") }.joined(separator: "\n")
        #expect(Self.choose(pids, Self.memberships)?.ownDirectory == "/sys/fs/cgroup/pids/p")
    }

    @Test(
        "hierarchies that cannot be used are left out",
        arguments: [
            // Nothing mounted, no membership, a path outside of the mount.
            ("", memberships), (hybrid, ""), (hybrid, "0::/../other\n"), (hybrid, "garbage\n0:\n:\n"),
            ("36 34 0:30 /inner /sys/fs/cgroup rw - cgroup2 cgroup2 rw", "0::/outer\n"),
            ("36 34 0:30 /in /sys/fs/cgroup rw - cgroup2 cgroup2 rw", "0::/inner\n"),
            ("36 34 0:30 / /sys/fs/a\\040b rw - cgroup2 cgroup2 rw", "0::/\n"),
            ("36 34 0:30 / /cpu rw - cgroup cgroup rw,cpu", "1:cpu:/\n"),
        ])
    func noHierarchy(mounts: String, memberships: String) {
        #expect(Self.choose(mounts, memberships) == nil)
    }

    @Test("a mount of a part of the hierarchy")
    func partialMount() {
        let mount = "36 34 0:30 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
        #expect(Self.choose(mount, "0::/docker/x\n")?.ownDirectory == "/sys/fs/cgroup")
        #expect(Self.choose(mount, "0::/docker/x/y\n")?.ownDirectory == "/sys/fs/cgroup/y")
    }

    @Test(
        "the launch in a cgroup's path",
        arguments: [
            ("/", "/f/1-2-3-a", "1-2-3-a"), ("/", "/f/1-2-3-a/deeper/still", "1-2-3-a"), ("/", "/f", nil),
            ("/", "/f/", nil), ("/", "/ff/1-2-3-a", nil), ("/", "/other/f/1-2-3-a", nil),
            ("/s/a", "/s/a/f/1-2-3-a", "1-2-3-a"), ("/s/a", "/f/1-2-3-a", nil), ("/s/a", "/s/ab/f/1-2-3-a", nil),
        ] as [(String, String, String?)])
    func launchInPath(own: String, path: String, name: String?) {
        let hierarchy = CgroupHierarchy(controllers: "", ownPath: own, ownDirectory: "/x")
        #expect(hierarchy.name(in: path, below: "f") == name)
    }

    @Test("a path may hold colons, and lines of other hierarchies do not count")
    func membership() {
        let lines = CgroupMembership.parse(Array("1:name=systemd:/a\n0::/b:c:d\n".utf8))
        #expect(CgroupHierarchy(controllers: "", ownPath: "/", ownDirectory: "").path(in: lines) == "/b:c:d")
        #expect(CgroupHierarchy(controllers: "name=systemd", ownPath: "/", ownDirectory: "").path(in: lines) == "/a")
        #expect(CgroupHierarchy(controllers: "pids", ownPath: "/", ownDirectory: "").path(in: lines) == nil)
    }

    @Test(
        "a cgroup's name tells its user", arguments: [("1000-2-3-a", 1000), ("0-1-1-b-c", 0), ("x-1", nil), ("", nil)])
    func userOfName(name: String, uid: UInt32?) {
        #expect(LaunchCgroups.Name.uid(of: name) == uid)
    }
}
