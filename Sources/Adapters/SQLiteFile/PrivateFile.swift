#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Files that only their owner may read.
package enum PrivateFile {
    /// Makes an empty file with mode 0600 where there is none; SQLite gives its side files the same mode.
    package static func create(_ path: String) throws(SQLiteStorageError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw errno == ENOSPC
                ? .storageFull(path: path) : .failed(path: path, detail: "open gave error \(errno)")
        }
        close(descriptor)
    }
}
