import Glibc

/// A small file that belongs to somebody else, such as the operator's PKI.
enum OutsideFile {
    /// Largest file that is read, in bytes.
    static let maximumSize = 1 << 20

    /// Why a file could not be read.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// The bytes of a regular file.
    static func read(_ path: String) throws(Failure) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard file >= 0 else { throw reason() }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw reason() }
        guard status.st_mode & S_IFMT == S_IFREG else { throw Failure(description: "it is no file") }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = Glibc.read(file, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw reason() }
            guard count > 0 else { return bytes }
            bytes += buffer[..<count]
            guard bytes.count <= maximumSize else { throw Failure(description: "it is too large") }
        }
    }

    private static func reason() -> Failure {
        Failure(description: strerror(errno).map { String(cString: $0) } ?? "error \(errno)")
    }
}
