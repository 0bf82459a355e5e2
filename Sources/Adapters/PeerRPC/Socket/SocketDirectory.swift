import Glibc

/// Who may connect to a Unix socket.
package enum SocketAccess: Sendable {
    /// The server's own user only: directory 0700 when it is made, socket 0600.
    case owner
    /// Everybody on the machine, because the kernel tells who calls: directory 0755 when it is made, socket 0777.
    case everyone

    var directoryMode: mode_t { self == .owner ? 0o700 : 0o755 }
    var socketMode: mode_t { self == .owner ? 0o600 : 0o777 }
}

/// The directory of a Unix socket. Whoever can write there can put another socket in its place.
package enum SocketDirectory {
    /// Makes the directory of the socket at `path` (and missing ones above it), or checks the one that is there: it
    /// must belong to this process's user and be writable by nobody else.
    package static func prepare(path: String, access: SocketAccess) throws(SocketError) {
        let directory = try Self.directory(of: path)
        try make(directory, mode: access.directoryMode)
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .directoryNotOpened(directory, errno: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .directoryNotOpened(directory, errno: errno) }
        guard status.st_uid == geteuid() else { throw .directoryOwnedByAnother(directory, uid: status.st_uid) }
        guard status.st_mode & 0o022 == 0 else { throw .directoryWritableByOthers(directory) }
    }

    static func directory(of path: String) throws(SocketError) -> String {
        guard path.utf8.first == UInt8(ascii: "/") else { throw .pathNotAbsolute(path) }
        guard path.utf8.count <= SocketError.maximumPathLength else { throw .pathTooLong(path) }
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")), path.utf8.index(after: slash) < path.utf8.endIndex
        else { throw .pathNotAbsolute(path) }
        return slash == path.utf8.startIndex ? "/" : String(path[..<slash])
    }

    private static func make(_ directory: String, mode: mode_t) throws(SocketError) {
        if mkdir(directory, mode) == 0 { return }
        switch errno {
        case EEXIST, EISDIR: return
        case ENOENT:
            // Directories above stay readable; only the last one has the mode that counts.
            try make(Self.directory(of: directory), mode: 0o755)
            guard mkdir(directory, mode) == 0 || errno == EEXIST else {
                throw .directoryNotOpened(directory, errno: errno)
            }
        default: throw .directoryNotOpened(directory, errno: errno)
        }
    }
}
