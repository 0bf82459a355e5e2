import Foundation
import SPIFFE
import Testing

@testable import Attestation

/// Lineage with real processes; this test process is the launcher.
@Suite(.serialized)
struct LaunchTableTests {
    private static func reference(_ pid: pid_t) throws -> ProcessReference {
        try ProcessReference.open(pid: pid, uid: geteuid(), gid: getegid(), pidfd: nil)
    }

    private static func shell(_ script: String) throws -> ChildProcess {
        try ChildProcess("/bin/sh", ["-c", script])
    }

    /// A child of a process, once it is there.
    private static func child(of pid: pid_t) throws -> pid_t {
        for _ in 0..<500 {
            for name in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
                if let other = pid_t(name), (try? PinnedProcess(pid: other))?.parentPID == pid { return other }
            }
            usleep(10_000)
        }
        throw WorkloadAttestationError.processUnknown
    }

    private static func texts(_ selectors: Set<Selector>) -> [String] { selectors.map(\.description).sorted() }

    private static func selectors(_ name: String, _ role: String) -> [String] {
        ["launch:name:\(name)", "launch:role:\(role)", "launch:uid:\(geteuid())"]
    }

    @Test("the first process is main, what it starts is child, and everybody else is nothing")
    func roles() throws {
        let table = LaunchTable(cgroups: nil)
        let main = try Self.shell("sleep 60 & wait")
        let outside = try Self.shell("sleep 60 & wait")
        defer { main.end() }
        defer { outside.end() }
        let inner = try Self.child(of: main.pid)
        defer { kill(inner, SIGKILL) }
        let launch = try table.begin(LaunchName("a"), by: Self.reference(getpid()), mainPID: main.pid)
        #expect(Self.texts(try table.selectors(of: Self.reference(main.pid))) == Self.selectors("a", "main"))
        #expect(Self.texts(try table.selectors(of: Self.reference(inner))) == Self.selectors("a", "child"))
        // Another child of the launcher belongs to it as well: the launcher is its parent.
        #expect(Self.texts(try table.selectors(of: Self.reference(outside.pid))) == Self.selectors("a", "child"))
        // The launcher itself, its own parent and the first process of the machine do not.
        #expect(try table.selectors(of: Self.reference(getpid())).isEmpty)
        #expect(try table.selectors(of: Self.reference(getppid())).isEmpty)
        table.end(launch)
        #expect(try table.selectors(of: Self.reference(main.pid)).isEmpty)
        #expect(try table.selectors(of: Self.reference(inner)).isEmpty)
        #expect(table.count == 0)
    }

    @Test("the innermost launch wins")
    func nested() throws {
        let table = LaunchTable(cgroups: nil)
        let launcher = try Self.shell("sh -c 'sleep 60 & wait' & wait")
        defer { launcher.end() }
        let command = try Self.child(of: launcher.pid)
        let inner = try Self.child(of: command)
        defer {
            kill(inner, SIGKILL)
            kill(command, SIGKILL)
        }
        let outer = try table.begin(LaunchName("outer"), by: Self.reference(getpid()), mainPID: launcher.pid)
        let nested = try table.begin(LaunchName("inner"), by: Self.reference(launcher.pid), mainPID: command)
        #expect(Self.texts(try table.selectors(of: Self.reference(launcher.pid))) == Self.selectors("outer", "main"))
        #expect(Self.texts(try table.selectors(of: Self.reference(command))) == Self.selectors("inner", "main"))
        #expect(Self.texts(try table.selectors(of: Self.reference(inner))) == Self.selectors("inner", "child"))
        table.end(nested)
        #expect(Self.texts(try table.selectors(of: Self.reference(inner))) == Self.selectors("outer", "child"))
        table.end(outer)
    }

    @Test("a launch whose launcher has ended is over")
    func launcherEnds() throws {
        let table = LaunchTable(cgroups: nil)
        let launcher = try Self.shell("sleep 60 & wait")
        let command = try Self.child(of: launcher.pid)
        defer { kill(command, SIGKILL) }
        let launch = try table.begin(LaunchName("a"), by: Self.reference(launcher.pid), mainPID: command)
        let process = try Self.reference(command)
        #expect(try !table.selectors(of: process).isEmpty)
        launcher.end()
        #expect(!launch.isHeld)
        #expect(try table.selectors(of: process).isEmpty)
        table.end(launch)
    }

    @Test("only a running child of the launcher can be the first process")
    func refusesOthers() throws {
        let table = LaunchTable(cgroups: nil)
        let ended = try Self.shell("exit 0")
        ended.wait()
        let child = try Self.shell("sleep 60 & wait")
        defer { child.end() }
        let grandchild = try Self.child(of: child.pid)
        defer { kill(grandchild, SIGKILL) }
        for pid in [1, getpid(), getppid(), ended.pid, grandchild, -1, Int32.max] {
            #expect(throws: LaunchRefusal.notTheLaunchersChild) {
                try table.begin(LaunchName("a"), by: Self.reference(getpid()), mainPID: pid)
            }
        }
        #expect(table.count == 0, "a refused launch holds no place")
    }

    @Test("one launch for a launcher, so many for a user, so many for the node")
    func limits() throws {
        let (one, two) = (try Self.shell("sleep 60 & wait"), try Self.shell("sleep 60 & wait"))
        defer { one.end() }
        defer { two.end() }
        let table = LaunchTable(cgroups: nil, limits: LaunchTable.Limits(perUser: 1, total: 5))
        let first = try table.begin(LaunchName("a"), by: Self.reference(getpid()), mainPID: one.pid)
        #expect(throws: LaunchRefusal.alreadyLaunching) {
            try table.begin(LaunchName("b"), by: Self.reference(getpid()), mainPID: two.pid)
        }
        let inner = try Self.child(of: one.pid)
        defer { kill(inner, SIGKILL) }
        #expect(throws: LaunchRefusal.tooManyOfUser) {
            try table.begin(LaunchName("b"), by: Self.reference(one.pid), mainPID: inner)
        }
        table.end(first)
        let again = try table.begin(LaunchName("b"), by: Self.reference(one.pid), mainPID: inner)
        table.end(again)
        let full = LaunchTable(cgroups: nil, limits: LaunchTable.Limits(perUser: 5, total: 0))
        #expect(throws: LaunchRefusal.tooMany) {
            try full.begin(LaunchName("a"), by: Self.reference(getpid()), mainPID: one.pid)
        }
    }

    @Test("a launch can be taken up again when only what the first process left still runs")
    func withoutMain() throws {
        let table = LaunchTable(cgroups: nil)
        let child = try Self.shell("sleep 60 & wait")
        defer { child.end() }
        let launch = try table.begin(LaunchName("a"), by: Self.reference(getpid()), mainPID: 0)
        #expect(Self.texts(try table.selectors(of: Self.reference(child.pid))) == Self.selectors("a", "child"))
        table.end(launch)
    }
}
