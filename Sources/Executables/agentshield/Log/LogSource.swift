import ControlPlane
import ControlPlaneAPI
import FoundationEssentials
import GRPCCore
import PeerRPC
import TransparencyLog

/// Where the audit log is read: from a running control plane, or from the data directory of a stopped one.
protocol LogSource: Sendable {
    /// Name, key and size of the log. The key is what the reader trusts: with `-vkey` it comes from elsewhere.
    func info() async throws -> LogDescription
    /// The latest signed checkpoint.
    func checkpoint() async throws -> [UInt8]
    /// Up to `count` entries from `first` on.
    func entries(from first: Int64, count: Int) async throws -> [[UInt8]]
    func tile(_ coordinate: TileCoordinate) async throws -> Tile
    /// A `.tlog-proof` file and the entry it proves.
    func proof(of index: Int64) async throws -> (proof: [UInt8], entry: [UInt8])
}

struct LogDescription: Sendable {
    let origin: String
    let vkey: String
    let size: Int64
}

/// The log over the admin socket.
struct SocketLogSource: LogSource {
    let client: AdminClient

    private var log: Agentshield_Admin_V1_Log.Client<AdminClient.Transport> { client.log }

    func info() async throws -> LogDescription {
        let info = try await log.getInfo(Agentshield_Admin_V1_GetLogInfoRequest(), options: .failingFast)
        return LogDescription(origin: info.origin, vkey: info.vkey, size: Int64(clamping: info.size))
    }

    func checkpoint() async throws -> [UInt8] {
        Array(try await log.getCheckpoint(Agentshield_Admin_V1_GetCheckpointRequest(), options: .failingFast).note)
    }

    func entries(from first: Int64, count: Int) async throws -> [[UInt8]] {
        var request = Agentshield_Admin_V1_ListLogEntriesRequest()
        request.first = UInt64(clamping: first)
        request.count = UInt64(clamping: count)
        return try await log.listEntries(request, options: .failingFast) { response in
            var entries: [[UInt8]] = []
            for try await entry in response.messages { entries.append(Array(entry.data)) }
            return entries
        }
    }

    func tile(_ coordinate: TileCoordinate) async throws -> Tile {
        var request = Agentshield_Admin_V1_GetTileRequest()
        request.level = UInt32(clamping: coordinate.level)
        request.index = UInt64(clamping: coordinate.index)
        request.width = UInt32(clamping: coordinate.width)
        let data = try await log.getTile(request, options: .failingFast).data
        return try Tile(coordinate: coordinate, bytes: Array(data))
    }

    func proof(of index: Int64) async throws -> (proof: [UInt8], entry: [UInt8]) {
        var request = Agentshield_Admin_V1_ProveRequest()
        request.index = UInt64(clamping: index)
        let answer = try await log.prove(request, options: .failingFast)
        return (Array(answer.proof), Array(answer.entry.data))
    }
}

/// The log in the data directory of a stopped control plane, opened for reading only.
struct DirectoryLogSource: LogSource {
    let log: StoredLog

    init(dataDirectory: String) throws {
        do {
            log = try StoredLog(dataDirectory: dataDirectory)
        } catch {
            throw CommandFailure("\(error)")
        }
    }

    func info() async throws -> LogDescription {
        LogDescription(origin: log.origin, vkey: log.vkey, size: try await log.size())
    }

    func checkpoint() async throws -> [UInt8] { try await log.checkpoint() }

    func entries(from first: Int64, count: Int) async throws -> [[UInt8]] {
        try await log.entries(from: first, count: count)
    }

    func tile(_ coordinate: TileCoordinate) async throws -> Tile { try await log.tile(coordinate) }

    func proof(of index: Int64) async throws -> (proof: [UInt8], entry: [UInt8]) {
        try await log.proof(of: index)
    }
}
