#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// System calls on the files of a spool; each returns completely or throws.
struct SpoolFile: ~Copyable {
    private let descriptor: Int32

    init(path: String, flags: Int32) throws(SpoolError) {
        descriptor = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw SpoolFile.error("open") }
    }

    deinit { close(descriptor) }

    /// Takes the lock that ends with the process; throws `.inUse` when somebody else has it.
    func lock() throws(SpoolError) {
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            if errno == EWOULDBLOCK { throw .inUse }
            throw SpoolFile.error("flock")
        }
    }

    /// The whole content; files here are bounded by the spool's own limits.
    func readAll() throws(SpoolError) -> [UInt8] {
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw SpoolFile.error("read") }
            guard count > 0 else { return content }
            content.append(contentsOf: chunk[..<count])
        }
    }

    func write(_ bytes: [UInt8]) throws(SpoolError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                systemWrite(descriptor, UnsafeRawBufferPointer(rebasing: buffer[done...]))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw SpoolFile.error("write") }
            done += count
        }
    }

    func truncate(to length: Int) throws(SpoolError) {
        guard ftruncate(descriptor, off_t(length)) == 0 else { throw SpoolFile.error("ftruncate") }
    }

    func sync() throws(SpoolError) {
        guard fsync(descriptor) == 0 else { throw SpoolFile.error("fsync") }
    }

    /// Makes what was written durable, with the length of the file but not its times.
    func syncData() throws(SpoolError) {
        guard fdatasync(descriptor) == 0 else { throw SpoolFile.error("fdatasync") }
    }

    static func error(_ call: String) -> SpoolError {
        errno == ENOSPC || errno == EDQUOT ? .storageFull : .system(call: call, errno: errno)
    }

    /// Makes names durable that were created, renamed or removed in the directory.
    static func syncDirectory(_ path: String) throws(SpoolError) {
        try SpoolFile(path: path, flags: O_RDONLY | O_DIRECTORY).sync()
    }

    static func makeDirectory(_ path: String) throws(SpoolError) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw error("mkdir") }
    }

    static func remove(_ path: String) throws(SpoolError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw error("unlink") }
    }

    /// Puts a small file in the place of another, durably and as a whole.
    static func replace(_ path: String, with bytes: [UInt8], inDirectory directory: String) throws(SpoolError) {
        let temporary = path + ".new"
        do {
            let file = try SpoolFile(path: temporary, flags: O_WRONLY | O_CREAT | O_TRUNC)
            try file.write(bytes)
            try file.sync()
        }
        guard rename(temporary, path) == 0 else { throw error("rename") }
        try syncDirectory(directory)
    }

    /// The names in a directory.
    static func names(in directory: String) throws(SpoolError) -> [String] {
        guard let stream = opendir(directory) else { throw error("opendir") }
        defer { closedir(stream) }
        var names: [String] = []
        while let item = readdir(stream) {
            let name = withUnsafePointer(to: &item.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            names.append(name)
        }
        return names
    }
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    write(descriptor, bytes.baseAddress, bytes.count)
}
