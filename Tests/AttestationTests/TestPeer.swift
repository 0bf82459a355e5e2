import Foundation
import Testing

@testable import Attestation

/// A small program that connects to a socket and then does what it is told over that connection.
enum TestPeerProgram {
    static let source = #"""
        #define _GNU_SOURCE
        #include <grp.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/socket.h>
        #include <sys/un.h>
        #include <unistd.h>

        static void answer(int fd) { if (write(fd, "k", 1) != 1) _exit(9); }

        int main(int argc, char **argv) {
            int fd;
            if (argc < 3) return 2;
            if (strcmp(argv[1], "fd") == 0) {
                fd = atoi(argv[2]);
            } else {
                if (argc > 3) {
                    gid_t groups[64]; int count = 0;
                    for (int i = 4; i < argc && count < 64; i++) groups[count++] = (gid_t)atol(argv[i]);
                    uid_t id = (uid_t)atol(argv[3]);
                    if (setgroups(count, groups) || setresgid(id, id, id) || setresuid(id, id, id)) return 3;
                }
                if (strcmp(argv[1], "run") == 0) {
                    execl(argv[2], argv[2], "connect", getenv("PEER_SOCKET"), (char *)0);
                    return 4;
                }
                struct sockaddr_un address = {.sun_family = AF_UNIX};
                strncpy(address.sun_path, argv[2], sizeof address.sun_path - 1);
                fd = socket(AF_UNIX, SOCK_STREAM, 0);
                if (connect(fd, (struct sockaddr *)&address, sizeof address)) return 5;
            }
            answer(fd);
            for (;;) {
                char line[512]; size_t length = 0;
                while (length < sizeof line - 1) {
                    if (read(fd, line + length, 1) != 1) return 0;
                    if (line[length] == '\n') break;
                    length++;
                }
                line[length] = 0;
                if (strncmp(line, "uid ", 4) == 0) {
                    uid_t id = (uid_t)atol(line + 4);
                    if (setresuid(id, id, id)) return 6;
                    answer(fd);
                } else if (strncmp(line, "gid ", 4) == 0) {
                    gid_t id = (gid_t)atol(line + 4);
                    if (setresgid(id, id, id)) return 6;
                    answer(fd);
                } else if (strncmp(line, "exec ", 5) == 0) {
                    char number[16];
                    snprintf(number, sizeof number, "%d", fd);
                    execl(line + 5, line + 5, "fd", number, (char *)0);
                    return 7;
                } else if (strcmp(line, "fork") == 0) {
                    if (fork() > 0) _exit(0);
                    answer(fd);
                } else {
                    return 0;
                }
            }
        }
        """#

    /// A directory that every user can enter, with the compiled program `peer` in it. Nil without a C compiler.
    static let directory: URL? = {
        let directory = URL(fileURLWithPath: "/tmp/agentshield-peer-\(UUID().uuidString.prefix(8))")
        do {
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory.path)
            let source = directory.appendingPathComponent("peer.c")
            try Self.source.write(to: source, atomically: true, encoding: .utf8)
            for compiler in ["cc", "clang"] {
                let program = directory.appendingPathComponent("peer").path
                let process = try ChildProcess("/usr/bin/env", [compiler, "-O1", "-o", program, source.path])
                guard process.wait() == 0 else { continue }
                atexit {
                    if let directory = TestPeerProgram.directory { try? FileManager.default.removeItem(at: directory) }
                }
                return directory
            }
        } catch {}
        return nil
    }()

    /// A copy of the program under a new name, with these permissions.
    static func copy(_ name: String, permissions: Int = 0o755) throws -> String {
        let directory = try #require(directory)
        let path = directory.appendingPathComponent("\(name)-\(UUID().uuidString.prefix(8))").path
        let program = try Data(contentsOf: directory.appendingPathComponent("peer"))
        // Closed in children of other tests, which live for long: a program that somebody may write cannot be run (ETXTBSY).
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        try #require(file >= 0)
        defer { close(file) }
        try #require(program.withUnsafeBytes { write(file, $0.baseAddress, $0.count) } == program.count)
        try #require(fchmod(file, mode_t(permissions)) == 0)
        return path
    }
}

let isRoot = geteuid() == 0
let hasCompiler = TestPeerProgram.directory != nil

/// A child that is ended and collected by its number alone: its own children do not matter.
final class ChildProcess {
    let pid: pid_t
    private var status: Int32?

    init(_ program: String, _ arguments: [String], socketPath: String? = nil) throws {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        var words = Self.cStrings([program] + arguments)
        var environment = Self.cStrings(["PATH=\(path)", "PEER_SOCKET=\(socketPath ?? "")"])
        defer { (words + environment).forEach { free($0) } }
        var pid: pid_t = 0
        // ETXTBSY: another test's fork holds the copy of the program open for writing for a moment.
        var code = posix_spawn(&pid, program, nil, nil, &words, &environment)
        for _ in 0..<500 where code == ETXTBSY {
            usleep(10_000)
            code = posix_spawn(&pid, program, nil, nil, &words, &environment)
        }
        try #require(code == 0)
        self.pid = pid
    }

    deinit { end() }

    private static func cStrings(_ words: [String]) -> [UnsafeMutablePointer<CChar>?] {
        words.map { word in strdup(word) } + [nil]
    }

    /// Waits for its end and answers the wait status.
    @discardableResult
    func wait() -> Int32 {
        if let status { return status }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        self.status = status
        return status
    }

    func end() {
        guard status == nil else { return }
        kill(pid, SIGKILL)
        wait()
    }
}

/// What SO_PEERCRED fills in.
struct PeerCredentials {
    var pid: Int32 = 0
    var uid: UInt32 = 0
    var gid: UInt32 = 0
}

/// A started test program and the server's end of its connection, with what the kernel says of the peer.
final class TestPeer {
    let process: ChildProcess
    let connection: Int32
    let credentials: PeerCredentials
    let pidfd: Int32?

    /// Starts the program; `arguments` follow the socket path: a user ID and supplementary groups.
    init(program: String, _ arguments: [String] = [], running other: String? = nil) throws {
        let socketPath = "/tmp/agentshield-\(UUID().uuidString.prefix(12)).sock"
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer {
            close(listener)
            unlink(socketPath)
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: socketPath.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0 && listen(listener, 8) == 0 && chmod(socketPath, 0o777) == 0)
        process = try ChildProcess(
            program, (other.map { ["run", $0] } ?? ["connect", socketPath]) + arguments, socketPath: socketPath)
        var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        try #require(poll(&waiting, 1, 20_000) == 1)
        connection = accept(listener, nil, nil)
        var credentials = PeerCredentials()
        var length = socklen_t(MemoryLayout<PeerCredentials>.size)
        try #require(getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0)
        self.credentials = credentials
        // SO_PEERPIDFD, Linux 6.5.
        var descriptor: Int32 = -1
        length = socklen_t(MemoryLayout<Int32>.size)
        pidfd = getsockopt(connection, SOL_SOCKET, 77, &descriptor, &length) == 0 ? descriptor : nil
        try expectAnswer()
    }

    deinit {
        close(connection)
        if let pidfd { close(pidfd) }
        quit()
    }

    /// Sends a command and waits for its answer, or for the end of the program.
    func tell(_ command: String) throws {
        let line = Array((command + "\n").utf8)
        try #require(write(connection, line, line.count) == line.count)
        try expectAnswer()
    }

    /// Ends the program and collects it.
    func quit() {
        process.end()
    }

    func reference(withPIDFD: Bool = true) throws -> ProcessReference {
        try ProcessReference.open(
            pid: credentials.pid, uid: credentials.uid, gid: credentials.gid, pidfd: withPIDFD ? pidfd : nil)
    }

    private func expectAnswer() throws {
        var waiting = pollfd(fd: connection, events: Int16(POLLIN), revents: 0)
        try #require(poll(&waiting, 1, 20_000) == 1)
        var byte: UInt8 = 0
        try #require(read(connection, &byte, 1) == 1)
    }
}
