#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The right to write to a data directory: one process at a time. Ends with the value, and with the process however it dies.
package final class DataDirectoryLock: Sendable {
    private let descriptor: Int32

    /// Takes the lock of an existing directory; throws `.inUse` when somebody has it.
    package init(directory: String) throws(SQLiteStorageError) {
        let path = directory + "/lock"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .failed(path: path, detail: "open gave error \(errno)") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let error = errno
            close(descriptor)
            throw error == EWOULDBLOCK
                ? .inUse(directory: directory) : .failed(path: path, detail: "flock gave error \(error)")
        }
    }

    deinit { close(descriptor) }
}
