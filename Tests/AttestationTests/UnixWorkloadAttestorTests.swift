import Crypto
import Foundation
import SPIFFE
import Testing

@testable import Attestation

@Suite(.enabled(if: hasCompiler), .serialized)
struct UnixWorkloadAttestorTests {
    private let plain = Self.attestor(discover: false)
    private let discovering = Self.attestor(discover: true)

    private static func attestor(discover: Bool, limit: Int64 = 0) -> UnixWorkloadAttestor {
        UnixWorkloadAttestor(discoverWorkloadPath: discover, workloadSizeLimit: limit) {
            UnixTime(seconds: Int64(Date().timeIntervalSince1970))
        }
    }

    private func values(_ workload: AttestedWorkload, _ kind: String) -> [String] {
        workload.selectors.filter { $0.type == "unix" && $0.value.hasPrefix(kind + ":") }
            .map { String($0.value.dropFirst(kind.count + 1)) }.sorted()
    }

    private func digest(_ path: String) throws -> String {
        SHA256.hash(data: try Data(contentsOf: URL(fileURLWithPath: path)))
            .map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    @Test("a process gets selectors for its user and group")
    func accounts() throws {
        let peer = try TestPeer(program: TestPeerProgram.copy("plain"))
        let workload = try plain.attest(peer.reference())
        #expect(workload.pid == peer.process.pid)
        #expect(workload.uid == geteuid())
        #expect(workload.gid == getegid())
        #expect(values(workload, "uid") == [String(geteuid())])
        #expect(values(workload, "gid") == [String(getegid())])
        if let name = getpwuid(geteuid()).map({ String(cString: $0.pointee.pw_name) }) {
            #expect(values(workload, "user") == [name])
        }
        if let name = getgrgid(getegid()).map({ String(cString: $0.pointee.gr_name) }) {
            #expect(values(workload, "group") == [name])
        }
        #expect(values(workload, "path").isEmpty)
        #expect(values(workload, "sha256").isEmpty)
    }

    @Test("user, group and supplementary groups are those of the process", .enabled(if: isRoot))
    func otherUser() throws {
        let peer = try TestPeer(program: TestPeerProgram.copy("other"), ["65534", "0", "54321"])
        let workload = try plain.attest(peer.reference())
        #expect(values(workload, "uid") == ["65534"])
        #expect(values(workload, "gid") == ["65534"])
        #expect(values(workload, "supplementary_gid") == ["0", "54321"])
        let root = String(cString: try #require(getgrgid(0)).pointee.gr_name)
        #expect(values(workload, "supplementary_group") == [root])
    }

    @Test("a user without a name has no name selectors and is attested all the same", .enabled(if: isRoot))
    func namelessUser() throws {
        let uid = "3999999999"
        let peer = try TestPeer(program: TestPeerProgram.copy("nameless"), [uid])
        let workload = try plain.attest(peer.reference())
        #expect(
            workload.selectors == [
                try Selector(parsing: "unix:uid:\(uid)"), try Selector(parsing: "unix:gid:\(uid)"),
            ])
    }

    @Test("with discovery the path and the digest of the running file are selectors")
    func discovery() throws {
        let program = try TestPeerProgram.copy("program")
        let peer = try TestPeer(program: program)
        for _ in 0..<2 {
            let workload = try discovering.attest(peer.reference())
            #expect(values(workload, "path") == [program])
            #expect(values(workload, "sha256") == [try digest(program)])
        }
    }

    @Test("the size limit: negative never hashes, 0 has no limit, more refuses what is larger")
    func sizeLimit() throws {
        let program = try TestPeerProgram.copy("sized")
        let size = try #require(try FileManager.default.attributesOfItem(atPath: program)[.size] as? Int64)
        let reference = try TestPeer(program: program)
        func attest(_ limit: Int64) throws -> AttestedWorkload {
            try Self.attestor(discover: true, limit: limit).attest(reference.reference())
        }
        #expect(try values(attest(-1), "sha256").isEmpty)
        #expect(try values(attest(-1), "path") == [program])
        #expect(try values(attest(0), "sha256").count == 1)
        #expect(try values(attest(size), "sha256").count == 1)
        #expect(throws: WorkloadAttestationError.executableTooLarge(size: size, limit: size - 1)) {
            try attest(size - 1)
        }
    }

    @Test("a digest is not remembered for a file that changed a moment ago, and a changed file has a new one")
    func digestCache() throws {
        let cache = ExecutableDigestCache()
        let path = try TestPeerProgram.copy("content")
        func digest(now: UnixTime) throws -> (String, FileVersion) {
            let file = try OwnedDescriptor.open(path, flags: O_RDONLY)
            let version = try FileVersion(of: file)
            return (try cache.digest(of: file, version: version, limit: 0, now: now), version)
        }
        let (first, version) = try digest(now: UnixTime(seconds: Int64(Date().timeIntervalSince1970) + 60))
        #expect(try first == self.digest(path))
        // Remembered: a descriptor at the end of the file gives the same answer without reading.
        let file = try OwnedDescriptor.open(path, flags: O_RDONLY)
        lseek(file.number, 0, SEEK_END)
        #expect(try cache.digest(of: file, version: version, limit: 0, now: UnixTime(seconds: 0)) == first)
        try Data("something else".utf8).write(to: URL(fileURLWithPath: path))
        let (second, _) = try digest(now: UnixTime(seconds: 0))
        #expect(try second == self.digest(path))
        #expect(second != first)
        // Not remembered, because its change is not in the past: reading at the end finds another size.
        let changed = try OwnedDescriptor.open(path, flags: O_RDONLY)
        lseek(changed.number, 0, SEEK_END)
        let changedVersion = try FileVersion(of: changed)
        #expect(throws: WorkloadAttestationError.executableChanged) {
            try cache.digest(of: changed, version: changedVersion, limit: 0, now: UnixTime(seconds: 0))
        }
    }

    @Test("a process that has exited is refused", arguments: [true, false])
    func exited(withPIDFD: Bool) throws {
        let peer = try TestPeer(program: TestPeerProgram.copy("exiting"))
        let reference = try peer.reference(withPIDFD: withPIDFD)
        _ = try plain.attest(reference)
        peer.quit()
        #expect(throws: WorkloadAttestationError.processExited) { try plain.attest(reference) }
        #expect(throws: WorkloadAttestationError.processExited) { try peer.reference(withPIDFD: withPIDFD) }
    }

    @Test("a process that has exited is refused before anybody has collected it")
    func zombie() throws {
        let child = try ChildProcess("/bin/sleep", ["60"])
        let pid = child.pid
        let reference = try ProcessReference.open(pid: pid, uid: geteuid(), gid: getegid(), pidfd: nil)
        kill(pid, SIGKILL)
        var information = siginfo_t()
        try #require(waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) == 0)
        #expect(throws: WorkloadAttestationError.processExited) { try plain.attest(reference) }
        #expect(throws: WorkloadAttestationError.processExited) {
            try ProcessReference.open(pid: pid, uid: geteuid(), gid: getegid(), pidfd: nil)
        }
        child.end()
    }

    @Test("a reused PID does not answer for the process that connected", .enabled(if: isRoot))
    func reusedPID() throws {
        let peer = try TestPeer(program: TestPeerProgram.copy("victim"))
        let reference = try peer.reference(withPIDFD: false)
        let pid = peer.credentials.pid
        peer.quit()
        var successor: ChildProcess?
        // Others start processes too, so it may take a few tries to get the number.
        for _ in 0..<500 where successor?.pid != pid {
            successor?.end()
            guard let file = fopen("/proc/sys/kernel/ns_last_pid", "w") else { return }
            fputs(String(pid - 1), file)
            fclose(file)
            successor = try ChildProcess("/bin/sleep", ["60"])
        }
        defer { successor?.end() }
        try #require(successor?.pid == pid)
        #expect(throws: WorkloadAttestationError.processExited) { try plain.attest(reference) }
        // The pidfd of the connection also refuses a late look at the number.
        if peer.pidfd != nil {
            #expect(throws: WorkloadAttestationError.processExited) { try peer.reference() }
        }
    }

    @Test("a remembered start time that differs is refused")
    func staleStartTime() throws {
        let peer = try TestPeer(program: TestPeerProgram.copy("stale"))
        let now = try peer.reference()
        let stale = ProcessReference(
            pid: now.pid, uid: now.uid, gid: now.gid, startTime: now.startTime - 1,
            directory: try OwnedDescriptor.open("/proc/\(now.pid)", flags: O_RDONLY | O_DIRECTORY), pidfd: nil)
        #expect(throws: WorkloadAttestationError.processReplaced) { try plain.attest(stale) }
    }

    @Test(
        "a process that changed its user or group after it connected is refused", .enabled(if: isRoot),
        arguments: ["uid", "gid"])
    func changedCredentials(kind: String) throws {
        let peer = try TestPeer(program: TestPeerProgram.copy("changing"))
        let reference = try peer.reference()
        _ = try plain.attest(reference)
        try peer.tell("\(kind) 65534")
        #expect(throws: WorkloadAttestationError.credentialsChanged) { try plain.attest(reference) }
    }

    @Test("the credentials are the kernel's, not anybody's claim")
    func otherClaim() throws {
        let peer = try TestPeer(program: TestPeerProgram.copy("claimed"))
        let reference = try ProcessReference.open(
            pid: peer.credentials.pid, uid: peer.credentials.uid + 1, gid: peer.credentials.gid, pidfd: peer.pidfd)
        #expect(throws: WorkloadAttestationError.credentialsChanged) { try plain.attest(reference) }
    }

    @Test("a process that runs a setuid program over its old connection is refused", .enabled(if: isRoot))
    func setuidAfterConnect() throws {
        let setuid = try TestPeerProgram.copy("setuid", permissions: 0o4755)
        let peer = try TestPeer(program: TestPeerProgram.copy("caller"), ["65534"])
        let reference = try peer.reference()
        #expect(try values(plain.attest(reference), "uid") == ["65534"])
        try peer.tell("exec \(setuid)")
        #expect(throws: WorkloadAttestationError.credentialsChanged) { try plain.attest(reference) }
        #expect(throws: WorkloadAttestationError.credentialsChanged) { try plain.attest(peer.reference()) }
    }

    @Test("a setuid program that connects itself has its effective user", .enabled(if: isRoot))
    func setuidConnects() throws {
        let setuid = try TestPeerProgram.copy("setuid", permissions: 0o4755)
        let peer = try TestPeer(program: TestPeerProgram.copy("starter"), ["65534"], running: setuid)
        #expect(peer.credentials.uid == 0)
        let workload = try discovering.attest(peer.reference())
        #expect(values(workload, "uid") == ["0"])
        #expect(values(workload, "path") == [setuid])
    }

    @Test("a connection inherited across exec is attested as the program that runs now")
    func inheritedAcrossExec() throws {
        let first = try TestPeerProgram.copy("first")
        let second = try TestPeerProgram.copy("second")
        let peer = try TestPeer(program: first)
        let reference = try peer.reference()
        #expect(try values(discovering.attest(reference), "path") == [first])
        try peer.tell("exec \(second)")
        #expect(try values(discovering.attest(reference), "path") == [second])
    }

    @Test("a connection whose process has gone is refused, also when a child goes on using it")
    func inheritedByChild() throws {
        let peer = try TestPeer(program: TestPeerProgram.copy("parent"))
        let reference = try peer.reference()
        try peer.tell("fork")
        peer.process.wait()
        #expect(throws: WorkloadAttestationError.processExited) { try plain.attest(reference) }
    }

    @Test("a deleted executable is refused with discovery and ignored without")
    func deletedExecutable() throws {
        let program = try TestPeerProgram.copy("deleted")
        let peer = try TestPeer(program: program)
        try FileManager.default.removeItem(atPath: program)
        #expect(throws: WorkloadAttestationError.executableDeleted) { try discovering.attest(peer.reference()) }
        #expect(try values(plain.attest(peer.reference()), "uid").count == 1)
    }

    @Test("an executable that was replaced at its path is refused: the path no longer says what runs")
    func replacedExecutable() throws {
        let program = try TestPeerProgram.copy("replaced")
        let peer = try TestPeer(program: program)
        let other = try TestPeerProgram.copy("successor")
        try #require(rename(other, program) == 0)
        #expect(throws: WorkloadAttestationError.executableDeleted) { try discovering.attest(peer.reference()) }
        // A file that pretends to be the deleted one does not help.
        let pretender = program + " (deleted)"
        try FileManager.default.copyItem(atPath: program, toPath: pretender)
        #expect(throws: WorkloadAttestationError.executableDeleted) { try discovering.attest(peer.reference()) }
    }

    @Test("a file whose name ends like a deleted one's is attested")
    func deletedInName() throws {
        let program = try TestPeerProgram.copy("plain") + " (deleted)"
        try FileManager.default.copyItem(atPath: TestPeerProgram.copy("source"), toPath: program)
        let peer = try TestPeer(program: program)
        #expect(try values(discovering.attest(peer.reference()), "path") == [program])
    }

    @Test(
        "a path in a mount namespace of its own makes no path selector, the digest is that of what runs",
        .enabled(if: isRoot))
    func ownMountNamespace() throws {
        let target = try TestPeerProgram.copy("trusted")
        let evil = try TestPeerProgram.copy("evil")
        let inner = target + ".inner"
        try """
        mount --make-rprivate / && printf x >> '\(evil)' && mount --bind '\(evil)' '\(target)' \\
            && exec '\(target)' connect "$1"
        """.write(toFile: inner, atomically: true, encoding: .utf8)
        let wrapper = target + ".sh"
        try "#!/bin/sh\nexec unshare -m /bin/sh '\(inner)' \"$2\"\n"
            .write(toFile: wrapper, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: wrapper)
        let peer = try TestPeer(program: wrapper)
        let workload = try discovering.attest(peer.reference())
        #expect(values(workload, "path").isEmpty)
        #expect(values(workload, "sha256") == [try digest(evil)])
        #expect(try digest(evil) != digest(target))
    }

    @Test("no process, no reference", arguments: [0, -1, Int32.max])
    func noProcess(pid: Int32) {
        let expected: WorkloadAttestationError = pid > 0 ? .processExited : .processUnknown
        #expect(throws: expected) { try ProcessReference.open(pid: pid, uid: 0, gid: 0, pidfd: nil) }
    }

    @Test("a reference closes what it opened and leaves the caller's pidfd alone")
    func descriptors() throws {
        func openDescriptors() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
        }
        let peer = try TestPeer(program: TestPeerProgram.copy("counted"))
        let before = try openDescriptors()
        for _ in 0..<20 { _ = try discovering.attest(peer.reference()) }
        #expect(try openDescriptors() <= before + 5)
        if let pidfd = peer.pidfd { #expect(fcntl(pidfd, F_GETFD) >= 0) }
    }
}
