import GRDB

/// Why a database or a data directory cannot be used; the text says what to do.
package enum SQLiteStorageError: Error, Sendable, Hashable {
    /// The file is not what SQLite wrote.
    case damaged(path: String, detail: String)
    /// The file is a SQLite database of something else.
    case foreign(path: String)
    /// The file was written by a newer version.
    case newer(path: String, version: Int, supported: Int)
    /// The database to read does not exist.
    case notFound(path: String)
    /// Another process serves this data directory.
    case inUse(directory: String)
    /// The database does not write through to the disk (`PRAGMA synchronous` is not FULL, or no write-ahead log).
    case notDurable(path: String)
    /// No space is left on the device.
    case storageFull(path: String)
    /// Anything else, such as missing permissions.
    case failed(path: String, detail: String)

    package init(_ error: any Error, path: String) {
        guard let error = error as? DatabaseError else {
            self = .failed(path: path, detail: "\(error)")
            return
        }
        switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: self = .damaged(path: path, detail: error.message ?? "not a database")
        case .SQLITE_FULL: self = .storageFull(path: path)
        default: self = .failed(path: path, detail: error.message ?? "error \(error.resultCode.rawValue)")
        }
    }
}

extension SQLiteStorageError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .damaged(let path, let detail):
            "the database `\(path)` is damaged (\(detail)): stop, keep a copy of the data directory, and restore the "
                + "directory as a whole from a backup"
        case .foreign(let path): "`\(path)` is no AgentShield database of this kind: give another data directory"
        case .newer(let path, let version, let supported):
            "the database `\(path)` has version \(version), this program knows up to \(supported): use the newer program"
        case .notFound(let path): "there is no database `\(path)`: check the data directory"
        case .inUse(let directory): "another process serves the data directory `\(directory)`: stop it first"
        case .notDurable(let path): "the database `\(path)` does not write through to the disk: use a local file system"
        case .storageFull(let path): "no space is left for the database `\(path)`: free some"
        case .failed(let path, let detail): "the database `\(path)` cannot be used: \(detail)"
        }
    }
}
