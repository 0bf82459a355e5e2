import Glibc

/// A bound Unix socket on disk.
struct UnixSocket: Sendable {
    let path: String
    /// Bound, not yet listening; the owner closes it.
    let descriptor: Int32
    private let device: dev_t
    private let inode: ino_t

    /// Prepares the directory, removes a socket that a dead server left behind, and binds.
    ///
    /// The permissions are on the socket before it has a name, so that there is no moment with wider ones.
    static func bind(path: String, access: SocketAccess) throws(SocketError) -> UnixSocket {
        try SocketDirectory.prepare(path: path, access: access)
        try removeStale(path)
        let descriptor = try makeSocket(path)
        // The file takes the mode of the socket's inode less the umask; chmod adds what the umask took.
        guard fchmod(descriptor, access.socketMode) == 0, Self.call(Glibc.bind, descriptor, path) == 0 else {
            let number = errno
            close(descriptor)
            throw number == EADDRINUSE ? .inUse(path) : .failed(path, errno: number)
        }
        var status = stat()
        guard chmod(path, access.socketMode) == 0, lstat(path, &status) == 0 else {
            let number = errno
            unlink(path)
            close(descriptor)
            throw .failed(path, errno: number)
        }
        return UnixSocket(path: path, descriptor: descriptor, device: status.st_dev, inode: status.st_ino)
    }

    /// Removes the name, unless another server has taken it over meanwhile.
    func unlinkIfOwn() {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_dev == device, status.st_ino == inode else { return }
        unlink(path)
    }

    private static func removeStale(_ path: String) throws(SocketError) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw .failed(path, errno: errno)
        }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path) }
        let probe = try makeSocket(path)
        defer { close(probe) }
        // Anything but a refusal means that somebody is there: a full backlog, for one.
        guard call(Glibc.connect, probe, path) != 0, errno == ECONNREFUSED else { throw .inUse(path) }
        guard unlink(path) == 0 || errno == ENOENT else { throw .failed(path, errno: errno) }
    }

    private static func makeSocket(_ path: String) throws(SocketError) -> Int32 {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { throw .failed(path, errno: errno) }
        return descriptor
    }

    private static func call(
        _ function: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32, _ descriptor: Int32, _ path: String
    ) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { place in
            // One byte less: the terminating zero stays.
            UnsafeMutableRawBufferPointer(rebasing: place.dropLast()).copyBytes(from: path.utf8)
        }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                function(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
