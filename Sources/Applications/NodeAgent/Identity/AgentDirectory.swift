import Glibc

/// The agent's own directory (0700) of small files (0600) that are replaced whole or not at all.
///
/// Names come from this program, never from a peer.
struct AgentDirectory: Sendable {
    let path: String

    /// Largest file that is read, in bytes.
    static let maximumFileSize = 1 << 20

    /// Opens the directory, or makes it with the ones above it.
    init(path: String) throws(NodeAgentError) {
        self.path = path
        try Self.make(path)
        var status = stat()
        guard stat(path, &status) == 0 else { throw failure("look at it") }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw .dataDirectory(path: path, reason: "it is no directory") }
        guard status.st_uid == geteuid() else {
            throw .dataDirectory(path: path, reason: "it belongs to user \(status.st_uid), not to user \(geteuid())")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw .dataDirectory(path: path, reason: "others may look into it; set its mode to 0700")
        }
    }

    /// Where a file of this name is.
    func path(of name: String) -> String { "\(path)/\(name)" }

    /// The bytes of a file; `nil` when there is none.
    func read(_ name: String) throws(NodeAgentError) -> [UInt8]? {
        let file = open(path(of: name), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw failure("open `\(name)`")
        }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw failure("look at `\(name)`") }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(), status.st_mode & 0o077 == 0 else {
            throw .dataDirectory(path: path, reason: "`\(name)` is not a file that only its owner can read")
        }
        guard status.st_size <= Self.maximumFileSize else {
            throw .dataDirectory(path: path, reason: "`\(name)` is too large")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var filled = 0
        while filled < bytes.count {
            let count = bytes.withUnsafeMutableBytes {
                Glibc.read(file, $0.baseAddress?.advanced(by: filled), $0.count - filled)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("read `\(name)`") }
            filled += count
        }
        return bytes
    }

    /// Puts these bytes in the place of the file's old ones, durably and in one step.
    func replace(_ name: String, with bytes: [UInt8]) throws(NodeAgentError) {
        let temporary = path(of: ".new-\(name)")
        unlink(temporary)
        let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("write `\(name)`") }
        var isGood = fchmod(file, 0o600) == 0
        var written = 0
        while isGood, written < bytes.count {
            let count = bytes.withUnsafeBytes { write(file, $0.baseAddress?.advanced(by: written), $0.count - written) }
            if count >= 0 { written += count } else if errno != EINTR { isGood = false }
        }
        isGood = isGood && fsync(file) == 0
        let problem = errno
        close(file)
        guard isGood, rename(temporary, path(of: name)) == 0 else {
            let number = isGood ? errno : problem
            unlink(temporary)
            throw .dataDirectory(path: path, reason: "cannot write `\(name)`: \(Self.text(number))")
        }
        try sync()
    }

    /// Removes the file; one that is not there is no error.
    func remove(_ name: String) throws(NodeAgentError) {
        guard unlink(path(of: name)) == 0 || errno == ENOENT else { throw failure("remove `\(name)`") }
        try sync()
    }

    private func sync() throws(NodeAgentError) {
        let directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw failure("open it") }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw failure("sync it") }
    }

    private func failure(_ operation: String) -> NodeAgentError {
        .dataDirectory(path: path, reason: "cannot \(operation): \(Self.text(errno))")
    }

    private static func make(_ path: String) throws(NodeAgentError) {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")), slash > path.utf8.startIndex
        else {
            throw .dataDirectory(path: path, reason: "cannot make it: \(text(errno))")
        }
        try make(String(path[..<slash]))
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw .dataDirectory(path: path, reason: "cannot make it: \(text(errno))")
        }
    }

    private static func text(_ number: Int32) -> String {
        strerror(number).map { String(cString: $0) } ?? "error \(number)"
    }
}
