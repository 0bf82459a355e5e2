import Glibc
import Issuance
import SQLiteStorage
package import TransparencyLog

/// The audit log in a data directory, opened for reading only; works beside a running control plane too.
package struct StoredLog: Sendable {
    /// The log's verifier key as written beside it. Whoever distrusts the directory brings the key from elsewhere.
    package let vkey: String
    /// The log's name.
    package let origin: String
    private let store: SQLiteAuditStore

    package init(dataDirectory: String) throws {
        // Opening a secret directory would make it.
        guard access(dataDirectory, F_OK) == 0 else { throw StoredLogError.noLog(dataDirectory) }
        let root = try SecretDirectory(path: dataDirectory)
        guard let key = try root.read(DataDirectory.Name.verifierKey) else {
            throw StoredLogError.noLog(dataDirectory)
        }
        let text = String(decoding: key, as: UTF8.self)
        vkey = text.hasSuffix("\n") ? String(text.dropLast()) : text
        origin = try NoteVerifier(vkey: vkey).name
        store = try SQLiteAuditStore.openReadOnly(directory: dataDirectory)
    }

    package func size() async throws -> Int64 {
        try await store.loadTail().size
    }

    package func checkpoint() async throws -> [UInt8] {
        guard let note = try await store.checkpoint() else { throw StoredLogError.noCheckpoint }
        return note
    }

    package func entries(from index: Int64, count: Int) async throws -> [[UInt8]] {
        try await store.entries(from: index, count: count).map(\.leaf)
    }

    package func tile(_ coordinate: TileCoordinate) async throws -> Tile {
        guard let tile = try await store.tile(coordinate) else { throw StoredLogError.missingTile(coordinate) }
        return tile
    }

    /// A proof under the stored checkpoint, and the entry that it proves.
    package func proof(of index: Int64) async throws -> (proof: [UInt8], entry: [UInt8]) {
        let signed = try SignedCheckpoint.open(
            try await checkpoint(), verifiers: [NoteVerifier(vkey: vkey)], origin: origin)
        guard index >= 0, index < signed.checkpoint.size, let entry = try await entries(from: index, count: 1).first
        else {
            throw StoredLogError.noEntry(index)
        }
        let proof = try await InclusionProof.make(index: index, size: signed.checkpoint.size) {
            try await store.tile($0)
        }
        return (try TLogProof(extra: nil, proof: proof, checkpoint: signed).serialize(), entry)
    }
}

/// Why a stored log cannot be read.
enum StoredLogError: Error, CustomStringConvertible {
    case noLog(String)
    case noCheckpoint
    case missingTile(TileCoordinate)
    case noEntry(Int64)

    var description: String {
        switch self {
        case .noLog(let path): "`\(path)` holds no audit log"
        case .noCheckpoint: "the audit log is empty"
        case .missingTile(let coordinate): "the tile `\(coordinate.path)` is missing"
        case .noEntry(let index): "there is no entry \(index)"
        }
    }
}
