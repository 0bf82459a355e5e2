#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A file descriptor that is closed with its last reference, and the few reads that attestation needs.
final class OwnedDescriptor: Sendable {
    /// Longest path that a link may hold, in bytes.
    static let maximumPathLength = 4096

    let number: Int32

    private init(owning number: Int32) {
        self.number = number
    }

    deinit {
        close(number)
    }

    /// Opens a path; `ENOENT` and `ESRCH` mean that the process is gone.
    static func open(_ path: String, flags: Int32) throws(WorkloadAttestationError) -> OwnedDescriptor {
        try OwnedDescriptor(owning: checked { systemOpen(path, flags) })
    }

    /// Duplicates a descriptor that stays the caller's.
    init(duplicating descriptor: Int32) throws(WorkloadAttestationError) {
        number = try Self.checked { fcntl(descriptor, F_DUPFD_CLOEXEC, 0) }
    }

    /// Opens a name below this directory.
    func open(_ name: String, flags: Int32) throws(WorkloadAttestationError) -> OwnedDescriptor {
        try OwnedDescriptor(owning: Self.checked { openat(number, name, flags) })
    }

    /// Reads a whole small file below this directory; longer than `limit` bytes is an error.
    func readFile(_ name: String, limit: Int) throws(WorkloadAttestationError) -> [UInt8] {
        let file = try open(name, flags: O_RDONLY | O_CLOEXEC)
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = try file.read(into: &chunk)
            guard count > 0 else { return content }
            guard content.count + count <= limit else { throw .procMalformed }
            content.append(contentsOf: chunk[..<count])
        }
    }

    /// Reads the next bytes into the buffer; 0 at the end.
    func read(into buffer: inout [UInt8]) throws(WorkloadAttestationError) -> Int {
        let descriptor = number
        return Int(
            try Self.checked {
                buffer.withUnsafeMutableBytes {
                    Int32(truncatingIfNeeded: systemRead(descriptor, $0.baseAddress, $0.count))
                }
            })
    }

    /// Text of the symbolic link below this directory.
    func readLink(_ name: String) throws(WorkloadAttestationError) -> String {
        var buffer = [CChar](repeating: 0, count: Self.maximumPathLength)
        let descriptor = number
        let count = try Self.checked {
            Int32(truncatingIfNeeded: readlinkat(descriptor, name, &buffer, buffer.count))
        }
        // A link that fills the buffer may have been cut.
        guard count > 0, count < Self.maximumPathLength,
            let text = String(validating: buffer[..<Int(count)].map(UInt8.init(bitPattern:)), as: UTF8.self)
        else { throw .procMalformed }
        return text
    }

    /// Runs a system call, again when a signal interrupted it.
    private static func checked(_ call: () -> Int32) throws(WorkloadAttestationError) -> Int32 {
        while true {
            let result = call()
            guard result < 0 else { return result }
            switch errno {
            case EINTR: continue
            case ENOENT, ESRCH: throw .processExited
            case let code: throw .procUnreadable(code)
            }
        }
    }
}

// Inside the class the names `open` and `read` are its own methods.
private func systemOpen(_ path: String, _ flags: Int32) -> Int32 { open(path, flags) }
private func systemRead(_ descriptor: Int32, _ target: UnsafeMutableRawPointer?, _ count: Int) -> Int {
    read(descriptor, target, count)
}
