import Glibc
import Synchronization

/// A program that a test runs, ended and collected by its number, with its output in a file.
///
/// Foundation's `Process` and `Pipe` lose the end of a child, or of its output, on a machine with two threads now and then.
package final class TestProgram: Sendable {
    /// Why it could not be started, or did not end.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Its process ID.
    package let pid: Int32
    private let file: Int32
    /// Our end of its standard input: a socket, because one that nobody reads any more raises no signal.
    private let input: Mutex<Int32?>
    /// The wait status, once it is collected.
    private let status = Mutex<Int32?>(nil)

    /// Starts a program by its name in PATH, or by its path; it gets no environment but PATH.
    /// - Parameter hasInput: whether ``send(_:)`` will be used; else standard input is empty.
    package init(_ words: [String], hasInput: Bool = false) throws {
        var name = Array("/tmp/agentshield-output-XXXXXX".utf8CString)
        let file = mkstemp(&name)
        guard file >= 0 else { throw Failure(description: "no file for its output: error \(errno)") }
        _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        // Read through the descriptor alone, so that nothing stays behind.
        unlink(name)
        self.file = file
        var ends: [Int32] = [-1, -1]
        let result =
            hasInput
            ? socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends)
            : { () -> Int32 in
                ends[1] = open("/dev/null", O_RDONLY | O_CLOEXEC)
                return ends[1]
            }()
        defer { close(ends[1]) }
        guard result >= 0 else {
            close(file)
            throw Failure(description: "no standard input: error \(errno)")
        }
        input = Mutex(hasInput ? ends[0] : nil)
        var pid: pid_t = 0
        let code = Self.spawn(words, input: ends[1], output: file, &pid)
        guard code == 0 else {
            close(file)
            if hasInput { close(ends[0]) }
            throw Failure(description: "`\(words.first ?? "")` cannot be started: error \(code)")
        }
        self.pid = pid
    }

    deinit {
        kill()
        closeInput()
        close(file)
    }

    private static func spawn(_ words: [String], input: Int32, output: Int32, _ pid: inout pid_t) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO)
        // Threads of the runtime block signals, and a child would inherit that.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigaddset(&signals, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        var arguments = cStrings(words)
        var environment = cStrings(["PATH=\(path)"])
        defer { (arguments + environment).forEach { free($0) } }
        return posix_spawnp(&pid, words.first ?? "", &actions, &attributes, &arguments, &environment)
    }

    private static func cStrings(_ words: [String]) -> [UnsafeMutablePointer<CChar>?] {
        words.map { strdup($0) } + [nil]
    }

    // MARK: its life

    /// Whether it has not ended yet; it is collected when it has.
    package var isRunning: Bool { collect(WNOHANG) == nil }

    /// Its exit code, once it has ended by itself; 128 + n after signal n.
    package func ended(within limit: Duration = .seconds(20)) async throws -> Int32 {
        let deadline = ContinuousClock.now + limit
        while true {
            if let status = collect(WNOHANG) {
                let signal = status & 0x7f
                return signal == 0 ? (status >> 8) & 0xff : 128 + signal
            }
            guard ContinuousClock.now < deadline else {
                throw Failure(description: "it has not ended within \(limit); its output: \(output)")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Sends it a signal, unless it is gone.
    package func signal(_ number: Int32) {
        status.withLock { status in
            if status == nil { Glibc.kill(pid, number) }
        }
    }

    /// Ends it at once, and collects it.
    package func kill() {
        signal(SIGKILL)
        _ = collect(0)
    }

    // INVARIANT: after it is collected the number can be another process's, and nothing is done with it any more.
    private func collect(_ options: Int32) -> Int32? {
        status.withLock { status in
            guard status == nil else { return status }
            var word: Int32 = 0
            var result = waitpid(pid, &word, options)
            while result < 0, errno == EINTR { result = waitpid(pid, &word, options) }
            // Somebody else has collected it: it is gone, and how is not known.
            if result < 0 { word = 0x7f << 8 }
            if result != 0 { status = word }
            return status
        }
    }

    // MARK: what it reads and writes

    /// What it has written so far, standard output and standard error together.
    package var output: String {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = pread(file, &buffer, buffer.count, off_t(bytes.count))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }

    /// Writes to its standard input; lost when it has ended.
    package func send(_ text: String) {
        input.withLock { input in
            guard let input else { return }
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes {
                    Glibc.send(input, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return }
                rest = rest.dropFirst(count)
            }
        }
    }

    /// Its standard input ends.
    package func closeInput() {
        input.withLock { input in
            if let descriptor = input { close(descriptor) }
            input = nil
        }
    }
}
