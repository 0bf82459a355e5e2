import Glibc

/// Why a Unix socket cannot be served.
package enum SocketError: Error, Equatable, CustomStringConvertible {
    /// Longest path that fits `sun_path` with its terminating zero.
    package static let maximumPathLength = 107

    /// The path does not begin with a slash or ends with one.
    case pathNotAbsolute(String)
    /// The path is longer than ``maximumPathLength`` bytes.
    case pathTooLong(String)
    /// The directory cannot be made or opened.
    case directoryNotOpened(String, errno: Int32)
    /// The directory belongs to another user.
    case directoryOwnedByAnother(String, uid: UInt32)
    /// The directory's group or everybody may write to it.
    case directoryWritableByOthers(String)
    /// Something that is not a socket has the name.
    case notASocket(String)
    /// Another server listens there.
    case inUse(String)
    /// The socket cannot be made, bound or removed.
    case failed(String, errno: Int32)

    package var description: String {
        switch self {
        case .pathNotAbsolute(let path): "`\(path)` is not an absolute path of a socket"
        case .pathTooLong(let path):
            "`\(path.prefix(64))…` is longer than \(Self.maximumPathLength) bytes, the limit for a socket"
        case .directoryNotOpened(let path, let number): "cannot open the directory `\(path)`: \(Self.text(number))"
        case .directoryOwnedByAnother(let path, let uid):
            "the directory `\(path)` belongs to user \(uid), not to user \(geteuid()) of this process"
        case .directoryWritableByOthers(let path):
            "the directory `\(path)` is writable by its group or by others; remove that permission"
        case .notASocket(let path): "`\(path)` exists and is not a socket"
        case .inUse(let path): "another process listens on `\(path)`"
        case .failed(let path, let number): "cannot listen on `\(path)`: \(Self.text(number))"
        }
    }

    private static func text(_ number: Int32) -> String {
        strerror(number).map { String(cString: $0) } ?? "error \(number)"
    }
}
