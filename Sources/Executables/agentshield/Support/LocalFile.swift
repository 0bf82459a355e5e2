import Glibc

/// Small files named on the command line.
enum LocalFile {
    /// The bytes of a file, or of standard input for `-`; refuses what is larger than `limit` bytes.
    static func read(_ path: String, limit: Int) throws -> [UInt8] {
        let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CommandFailure("cannot read `\(path)`: \(reason())") }
        defer { if path != "-" { close(descriptor) } }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw CommandFailure("cannot read `\(path)`: \(reason())") }
            guard count > 0 else { return bytes }
            bytes += buffer[..<count]
            guard bytes.count <= limit else { throw CommandFailure("`\(path)` is larger than \(limit) bytes") }
        }
    }

    /// Writes a file whole: a temporary one beside it, synced, then renamed over it.
    static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws {
        let temporary = "\(path).tmp-\(getpid())"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw CommandFailure("cannot write `\(path)`: \(reason())") }
        defer { close(descriptor) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let why = reason()
                unlink(temporary)
                throw CommandFailure("cannot write `\(path)`: \(why)")
            }
            rest = rest.dropFirst(count)
        }
        guard fsync(descriptor) == 0, rename(temporary, path) == 0 else {
            let why = reason()
            unlink(temporary)
            throw CommandFailure("cannot write `\(path)`: \(why)")
        }
    }

    private static func reason() -> String {
        String(cString: strerror(errno))
    }
}

extension LocalFile {
    /// Throws unless there is a directory at `path`. Like SPIRE's commands, ours make none.
    static func checkDirectory(_ path: String, flag: String) throws {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw CommandFailure("\(flag): cannot use the directory `\(path)`: \(reason()); it is not made here")
        }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw CommandFailure("\(flag): `\(path)` is not a directory") }
    }

    /// Removes a file; one that is not there is no error.
    static func remove(_ path: String) {
        unlink(path)
    }
}
