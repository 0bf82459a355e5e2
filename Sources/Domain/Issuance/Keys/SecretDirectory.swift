#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A directory of small secret files that only this user may read (0700, files 0600).
///
/// A file is replaced whole or not at all: written beside, synced, renamed, and the directory synced, so that a crash
/// leaves the old bytes or the new ones. Files are opened relative to the directory that was checked, never through a
/// symbolic link. Names come from this program, never from a peer.
package final class SecretDirectory: Sendable {
    private let path: String
    private let descriptor: Int32

    /// Opens the directory, making it with mode 0700 when it is missing, and clears what an interrupted write left.
    package init(path: String) throws(KeyStoreError) {
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw Self.failure("make the directory of") }
        let opened = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard opened >= 0 else {
            throw errno == ENOTDIR || errno == ELOOP ? .insecureDirectory(path) : Self.failure("open the directory of")
        }
        var status = stat()
        guard fstat(opened, &status) == 0, status.st_uid == geteuid(), status.st_mode & 0o077 == 0 else {
            close(opened)
            throw .insecureDirectory(path)
        }
        self.path = path
        descriptor = opened
        for name in try names() where name.hasPrefix(Self.temporaryPrefix) {
            unlinkat(descriptor, name, 0)
        }
    }

    deinit {
        close(descriptor)
    }

    /// The bytes of a file; nil when there is none. Throws when others may read it or it is not a plain file.
    package func read(_ name: String) throws(KeyStoreError) -> [UInt8]? {
        // O_NONBLOCK: a named pipe put here must not hold us up before the check refuses it.
        let file = openat(descriptor, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw errno == ELOOP ? .insecureFile(name) : Self.failure("open")
        }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw Self.failure("look at") }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(), status.st_mode & 0o077 == 0 else {
            throw .insecureFile(name)
        }
        guard status.st_size <= Self.maximumSize else { throw .damaged(name) }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var filled = 0
        while filled < bytes.count {
            let count = bytes.withUnsafeMutableBytes { buffer in
                #if canImport(Darwin)
                    Darwin.read(file, buffer.baseAddress?.advanced(by: filled), buffer.count - filled)
                #elseif canImport(Glibc)
                    Glibc.read(file, buffer.baseAddress?.advanced(by: filled), buffer.count - filled)
                #else
                    Musl.read(file, buffer.baseAddress?.advanced(by: filled), buffer.count - filled)
                #endif
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw count == 0 ? .damaged(name) : Self.failure("read") }
            filled += count
        }
        return bytes
    }

    /// Puts these bytes in the place of the file's old ones, durably and in one step.
    package func replace(_ name: String, with bytes: [UInt8]) throws(KeyStoreError) {
        let temporary = Self.temporaryPrefix + name
        unlinkat(descriptor, temporary, 0)
        let file = openat(descriptor, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Self.failure("create") }
        var failed: KeyStoreError?
        // The file mode must not depend on the process's umask.
        if fchmod(file, 0o600) != 0 { failed = Self.failure("protect") }
        var written = 0
        while failed == nil, written < bytes.count {
            let count = bytes.withUnsafeBytes { write(file, $0.baseAddress?.advanced(by: written), $0.count - written) }
            if count >= 0 { written += count } else if errno != EINTR { failed = Self.failure("write") }
        }
        if failed == nil, fsync(file) != 0 { failed = Self.failure("sync") }
        if close(file) != 0, failed == nil { failed = Self.failure("close") }
        if failed == nil, renameat(descriptor, temporary, descriptor, name) != 0 { failed = Self.failure("rename") }
        if let failed {
            unlinkat(descriptor, temporary, 0)
            throw failed
        }
        guard fsync(descriptor) == 0 else { throw Self.failure("sync the directory of") }
    }

    /// Removes the file; one that is not there is no error.
    package func remove(_ name: String) throws(KeyStoreError) {
        if unlinkat(descriptor, name, 0) != 0 {
            guard errno == ENOENT else { throw Self.failure("remove") }
            return
        }
        guard fsync(descriptor) == 0 else { throw Self.failure("sync the directory of") }
    }

    /// The names of all files, without those of interrupted writes.
    package func list() throws(KeyStoreError) -> [String] {
        try names().filter { !$0.hasPrefix(".") }
    }

    /// Largest secret file, in bytes.
    package static let maximumSize = 65_536

    private static let temporaryPrefix = ".new-"

    private func names() throws(KeyStoreError) -> [String] {
        // A fresh descriptor: reading a directory moves the offset that duplicates would share.
        let copy = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0 else { throw Self.failure("list") }
        guard let stream = fdopendir(copy) else {
            close(copy)
            throw Self.failure("list")
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { field in
                field.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: field.pointee)) {
                    String(cString: $0)
                }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    private static func failure(_ operation: String) -> KeyStoreError {
        let code = errno
        return code == ENOSPC || code == EDQUOT ? .storageFull : .system(operation: operation, errno: code)
    }
}
