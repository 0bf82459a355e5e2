import AuditTrail
import Hummingbird
import TransparencyLog

/// The C2SP tiles read path: `/log/checkpoint`, `/log/tile/…`, `/log/tile/entries/…`, and `/log/vkey` for first contact.
///
/// Whoever reaches the port can read the log: its entries hold identifiers and hashes, never secrets (docs/threat-model.md).
struct LogReadPath: Sendable {
    let log: AuditLog

    func register(on router: Router<HTTPContext>) {
        let group = router.group("log")
        group.get("checkpoint") { _, _ in
            Self.answer(log.checkpoint().bytes, "text/plain; charset=utf-8", immutable: false)
        }
        group.get("vkey") { _, _ in
            Self.answer(Array("\(log.vkey)\n".utf8), "text/plain; charset=utf-8", immutable: false)
        }
        group.get("tile/**") { request, _ in try await tile(request.uri.path) }
    }

    private func tile(_ path: String) async throws -> Response {
        let place = String(path.dropFirst("/log/".count))
        if place.hasPrefix("tile/entries/") { return try await entries(place) }
        guard let coordinate = try? TileCoordinate.parse(place) else { throw HTTPError(.notFound) }
        do throws(AuditError) {
            return Self.answer(try await log.tile(coordinate).bytes, "application/octet-stream", immutable: true)
        } catch {
            throw HTTPError(error == .notFound ? .notFound : .serviceUnavailable)
        }
    }

    private func entries(_ place: String) async throws -> Response {
        guard let bundle = try? EntryBundle.Coordinate.parse(place),
            bundle.leafTile.exists(inTreeOfSize: log.size)
        else { throw HTTPError(.notFound) }
        let first = bundle.index * Int64(EntryBundle.fullWidth)
        do {
            let entries = try await log.entries(from: first, count: bundle.width)
            guard entries.count == bundle.width else { throw HTTPError(.notFound) }
            return Self.answer(try EntryBundle.encode(entries.map(\.leaf)), "application/octet-stream", immutable: true)
        } catch is AuditError {
            throw HTTPError(.serviceUnavailable)
        }
    }

    private static func answer(_ bytes: [UInt8], _ type: String, immutable: Bool) -> Response {
        Response(
            status: .ok,
            headers: [
                .contentType: type,
                .cacheControl: immutable ? "public, max-age=31536000, immutable" : "no-cache",
            ],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
