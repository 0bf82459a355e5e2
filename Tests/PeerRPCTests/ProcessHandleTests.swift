import Foundation
import TestPrograms
import Testing

@testable import PeerRPC

struct ProcessHandleTests {
    @Test func `a handle closes its descriptors with its last reference`() throws {
        let program = try TestProgram(["sleep", "600"])
        defer { program.kill() }
        // Nobody else in this process has a descriptor of that directory.
        let path = "/proc/\(program.pid)"
        var handle = ProcessHandle.open(pid: program.pid, pidfd: nil)
        let directory = try #require(handle?.directory)
        #expect(target(of: directory) == path)
        handle = nil
        #expect(target(of: directory) != path)
    }

    @Test func `the process is what it was, until it ends`() throws {
        let program = try TestProgram(["sleep", "600"])
        let handle = try #require(ProcessHandle.open(pid: program.pid, pidfd: nil))
        #expect(handle.isRunning)
        program.kill()
        #expect(!handle.isRunning)
        let descriptor = openat(handle.directory, "status", O_RDONLY)
        #expect(descriptor == -1)
        #expect(ProcessHandle.open(pid: program.pid, pidfd: nil) == nil)
    }

    @Test(arguments: [0, -1, Int32.max]) func `a process that is not there has no handle`(_ pid: Int32) {
        #expect(ProcessHandle.open(pid: pid, pidfd: nil) == nil)
    }

    private func target(of descriptor: Int32) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(descriptor)")
    }
}
