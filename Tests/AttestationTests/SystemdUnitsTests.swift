import Foundation
import Testing

@testable import Attestation

/// `systemd` selectors from control groups and unit files in a root of our own: no systemd runs where these tests run.
@Suite struct SystemdUnitsTests {
    @Test(
        "the unit is the first name below the slices of systemd's hierarchy",
        arguments: [
            ("0::/system.slice/weather.service\n", "weather.service"),
            ("0::/system.slice/weather.service/launch/1\n", "weather.service"),
            ("0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service"),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/evil.service\n", "user@1000.service"),
            ("0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope"),
            ("0::/init.scope\n", "init.scope"),
            ("0::/system.slice/_cpu.service\n", "cpu.service"),
            ("12:pids:/other.service\n1:name=systemd:/system.slice/a.service\n0::/b.service\n", "a.service"),
            ("0::/system.slice/dev-disk-by\\x2duuid-1.swap\n", "dev-disk-by\\x2duuid-1.swap"),
            ("0::/\n", nil), ("0::/system.slice\n", nil), ("", nil), ("0::relative.service\n", nil),
            ("0::/../outside.service\n", nil), ("0::/system.slice/gone.service (deleted)\n", nil),
            ("0::/docker/0123\n", nil), ("0::/system.slice/a b.service\n", nil), ("0::/.service\n", nil),
            ("1:pids:/a.service\n", nil), ("0::/a:b.service\n", "a:b.service"), ("garbage", nil),
        ] as [(String, String?)])
    func unit(cgroup: String, expected: String?) {
        #expect(SystemdUnits.unit(cgroup: Array(cgroup.utf8)) == expected)
    }

    @Test("a name that is longer than units may be is none")
    func longName() {
        let name = String(repeating: "a", count: 248) + ".service"
        #expect(SystemdUnits.unit(cgroup: Array("0::/\(name)\n".utf8)) == nil)
    }

    @Test("the unit's file is found where systemd looks, in its order")
    func fragmentPath() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("units-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: root) }
        func put(_ path: String, link: String? = nil) throws {
            let full = root + path
            try FileManager.default.createDirectory(
                atPath: (full as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            if let link {
                try FileManager.default.createSymbolicLink(atPath: full, withDestinationPath: link)
            } else {
                try Data().write(to: URL(fileURLWithPath: full))
            }
        }
        try put("/usr/lib/systemd/system/weather.service")
        try put("/usr/lib/systemd/system/both.service")
        try put("/etc/systemd/system/both.service")
        try put("/usr/lib/systemd/system/work@.service")
        try put("/etc/systemd/system/work@special.service")
        try put("/opt/linked.service")
        try put("/etc/systemd/system/linked.service", link: "/opt/linked.service")
        try put("/etc/systemd/system/masked.service", link: "/dev/null")
        try put("/usr/lib/systemd/system/masked.service")
        try put("/etc/systemd/system/broken.service", link: "/nowhere")
        let units = SystemdUnits(root: root)
        #expect(units.fragmentPath(of: "weather.service") == "/usr/lib/systemd/system/weather.service")
        #expect(units.fragmentPath(of: "both.service") == "/etc/systemd/system/both.service")
        #expect(units.fragmentPath(of: "work@7.service") == "/usr/lib/systemd/system/work@.service")
        #expect(units.fragmentPath(of: "work@special.service") == "/etc/systemd/system/work@special.service")
        #expect(units.fragmentPath(of: "linked.service") == "/opt/linked.service")
        #expect(units.fragmentPath(of: "masked.service") == nil)
        #expect(units.fragmentPath(of: "broken.service") == nil)
        #expect(units.fragmentPath(of: "none.service") == nil)
    }
}
