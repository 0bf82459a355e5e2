import Attestation
import GRDB
package import Registry
import SPIFFE
import SQLiteFile

/// Registration entries in `registry.sqlite`.
package struct SQLiteEntryStore: EntryStore {
    let database: SQLiteDatabase

    package func allEntries() async throws(StoreError) -> [RegistrationEntry] {
        // On both readers at once: IDs are random unless somebody chose them. Nobody writes meanwhile, the registry sees to it.
        async let first = entries(where: "id < '8'")
        async let second = entries(where: "id >= '8'")
        return try await first.get() + second.get()
    }

    private func entries(where condition: String) async -> Result<[RegistrationEntry], StoreError> {
        do throws(StoreError) {
            return .success(
                try await database.storeRead { db in
                    // Row by row: an array of rows would first copy every column of every entry.
                    try Array(
                        Row.fetchCursor(db, sql: "SELECT \(Self.columns) FROM entry WHERE \(condition)").map(Self.entry)
                    )
                })
        } catch {
            return .failure(error)
        }
    }

    package func entry(id: String) async throws(StoreError) -> RegistrationEntry? {
        try await database.storeRead { db in
            try Row.fetchOne(db, sql: "SELECT \(Self.columns) FROM entry WHERE id = ?", arguments: [id]).map(Self.entry)
        }
    }

    package func apply(_ changes: [EntryChange]) async throws(StoreError) {
        try await database.storeWrite { db in
            for change in changes {
                switch change {
                case .insert(let entry):
                    try db.cachedStatement(sql: "INSERT INTO entry (\(Self.columns)) VALUES (\(Self.marks))")
                        .execute(arguments: Self.arguments(entry))
                case .replace(let entry):
                    let delete = try db.cachedStatement(sql: "DELETE FROM entry WHERE id = ?")
                    try delete.execute(arguments: [entry.id])
                    guard db.changesCount == 1 else { throw StoreError.conflict }
                    try db.cachedStatement(sql: "INSERT INTO entry (\(Self.columns)) VALUES (\(Self.marks))")
                        .execute(arguments: Self.arguments(entry))
                case .delete(let id):
                    try db.cachedStatement(sql: "DELETE FROM entry WHERE id = ?").execute(arguments: [id])
                }
            }
        }
    }

    private static let columns = """
        id, spiffe_id, parent_id, selectors, x509_svid_ttl, jwt_svid_ttl, federates_with, is_admin, is_downstream, \
        expires_at, dns_names, hint, revision, store_svid, created_at, disable_x509_svid_prefetch, jwt_svid_include_jti
        """
    private static let marks = Array(repeating: "?", count: 17).joined(separator: ", ")

    private static func arguments(_ entry: RegistrationEntry) -> StatementArguments {
        [
            entry.id, entry.spiffeID.string, entry.parentID.string,
            StoredList.encode(entry.selectors.map(\.description)), entry.x509SVIDTTL, entry.jwtSVIDTTL,
            StoredList.encode(entry.federatesWith.map(\.name)), entry.isAdmin, entry.isDownstream,
            entry.expiresAt?.milliseconds, StoredList.encode(entry.dnsNames), BlobValue.make(text: entry.hint),
            entry.revision,
            entry.storeSVID, entry.createdAt.milliseconds, entry.attributes.disableX509SVIDPrefetch,
            entry.attributes.jwtSVIDIncludeJTI,
        ]
    }

    private static func entry(_ row: Row) throws -> RegistrationEntry {
        RegistrationEntry(
            id: try row.decode(atIndex: 0), spiffeID: try SPIFFEID(row.decode(atIndex: 1)),
            parentID: try SPIFFEID(row.decode(atIndex: 2)),
            selectors: try StoredList.decode(row.decode(atIndex: 3)).map { try Selector(parsing: $0) },
            x509SVIDTTL: try row.decode(atIndex: 4), jwtSVIDTTL: try row.decode(atIndex: 5),
            federatesWith: try StoredList.decode(row.decode(atIndex: 6)).map { try TrustDomain($0) },
            isAdmin: try row.decode(atIndex: 7), isDownstream: try row.decode(atIndex: 8),
            expiresAt: try row.optionalTime(9), dnsNames: try StoredList.decode(row.decode(atIndex: 10)),
            hint: try row.freeText(11), revision: try row.decode(atIndex: 12),
            storeSVID: try row.decode(atIndex: 13), createdAt: try row.time(14),
            attributes: EntryAttributes(
                disableX509SVIDPrefetch: try row.decode(atIndex: 15), jwtSVIDIncludeJTI: try row.decode(atIndex: 16)))
    }
}
