import AuditTrail
import ControlPlaneAPI
import FoundationEssentials
import GRPCCore
import TransparencyLog

/// `agentshield.admin.v1.Log`: the audit log for administrators.
struct LogService: Agentshield_Admin_V1_Log.SimpleServiceProtocol {
    let log: AuditLog

    /// Entries that one call streams at most.
    static let maximumEntries: UInt64 = 10_000
    /// Entries read from storage at once.
    static let chunk = 256

    func getInfo(
        request: Agentshield_Admin_V1_GetLogInfoRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_LogInfo {
        .with {
            $0.origin = log.origin
            $0.vkey = log.vkey
            $0.size = UInt64(clamping: log.size)
        }
    }

    func getCheckpoint(
        request: Agentshield_Admin_V1_GetCheckpointRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Checkpoint {
        .with { $0.note = Data(log.checkpoint().bytes) }
    }

    func listEntries(
        request: Agentshield_Admin_V1_ListLogEntriesRequest, response: RPCWriter<Agentshield_Admin_V1_LogEntry>,
        context: ServerContext
    ) async throws {
        guard let first = Int64(exactly: request.first) else {
            throw RPCError(code: .outOfRange, message: "there is no such entry")
        }
        var left = Int(min(request.count == 0 ? Self.maximumEntries : request.count, Self.maximumEntries))
        var index = first
        while left > 0 {
            let entries = try await log.entries(from: index, count: min(left, Self.chunk))
            guard !entries.isEmpty else { return }
            for entry in entries {
                try await response.write(
                    .with {
                        $0.index = UInt64(clamping: entry.index)
                        $0.data = Data(entry.leaf)
                    })
            }
            left -= entries.count
            index += Int64(entries.count)
        }
    }

    func getTile(
        request: Agentshield_Admin_V1_GetTileRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Tile {
        let coordinate: TileCoordinate
        do {
            coordinate = try TileCoordinate(
                level: Int(request.level), index: Int64(clamping: request.index), width: Int(request.width))
        } catch {
            throw RPCError(code: .invalidArgument, message: "\(error)")
        }
        do throws(AuditError) {
            let tile = try await log.tile(coordinate)
            return .with { $0.data = Data(tile.bytes) }
        } catch {
            throw RPCError(
                code: error == .notFound ? .notFound : .unavailable, message: "there is no tile `\(coordinate.path)`")
        }
    }

    func prove(
        request: Agentshield_Admin_V1_ProveRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Proof {
        guard let index = Int64(exactly: request.index), index < log.size,
            let entry = try await log.entries(from: index, count: 1).first
        else {
            throw RPCError(code: .outOfRange, message: "there is no entry \(request.index)")
        }
        let proof = try await log.proof(index: index)
        return .with {
            $0.proof = Data(proof.serialize())
            $0.entry.index = request.index
            $0.entry.data = Data(entry.leaf)
        }
    }
}
