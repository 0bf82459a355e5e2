import Crypto
import SPIFFE
import Synchronization

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Which file it is and which version of it: changes whenever the content may have changed.
struct FileVersion: Hashable {
    let device: UInt64
    let inode: UInt64
    let size: Int64
    let modifiedAt: Int64
    let changedAt: Int64

    /// Of an open file; it must be a regular one.
    init(of file: OwnedDescriptor) throws(WorkloadAttestationError) {
        var status = stat()
        guard fstat(file.number, &status) == 0 else { throw .executableUnreadable(errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .executableUnreadable(EINVAL) }
        self.init(status)
    }

    /// Of what a path leads to here; nil when there is nothing.
    init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    private init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        modifiedAt = Self.nanoseconds(status.st_mtim)
        changedAt = Self.nanoseconds(status.st_ctim)
    }

    /// Whether both are the same file, in whatever version.
    func isSameFile(as other: FileVersion) -> Bool {
        device == other.device && inode == other.inode
    }

    private static func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}

/// SHA-256 of executables, remembered by file version.
final class ExecutableDigestCache: Sendable {
    /// Programs remembered at most; when full it starts anew.
    static let capacity = 512

    /// A file changed less than this many milliseconds ago is hashed but not remembered: within one tick of the file
    /// system's clock it could change again without a trace in its times.
    static let settlingTime: Int64 = 2000

    private let digests = Mutex<[FileVersion: String]>([:])

    /// Lower-case hex SHA-256 of the open file, which must not be longer than `limit` bytes; 0 means no limit.
    func digest(
        of file: OwnedDescriptor, version: FileVersion, limit: Int64, now: UnixTime
    ) throws(WorkloadAttestationError) -> String {
        guard limit == 0 || version.size <= limit else {
            throw .executableTooLarge(size: version.size, limit: limit)
        }
        if let known = digests.withLock({ $0[version] }) { return known }
        let digest = try Self.hash(file, size: version.size)
        guard try FileVersion(of: file) == version else { throw .executableChanged }
        if now.milliseconds - version.changedAt / 1_000_000 >= Self.settlingTime {
            digests.withLock {
                if $0.count >= Self.capacity { $0.removeAll() }
                $0[version] = digest
            }
        }
        return digest
    }

    private static func hash(_ file: OwnedDescriptor, size: Int64) throws(WorkloadAttestationError) -> String {
        var hash = SHA256()
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        var total: Int64 = 0
        while true {
            let count: Int
            do {
                count = try file.read(into: &chunk)
            } catch .procUnreadable(let code) {
                throw .executableUnreadable(code)
            }
            guard count > 0 else { break }
            total += Int64(count)
            guard total <= size else { throw .executableChanged }
            hash.update(data: chunk[..<count])
        }
        guard total == size else { throw .executableChanged }
        return hexadecimal(hash.finalize())
    }

    private static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
