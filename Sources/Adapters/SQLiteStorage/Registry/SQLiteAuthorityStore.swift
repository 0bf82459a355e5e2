import GRDB
package import Issuance
package import Registry
import SPIFFE
import SQLiteFile

/// The trust domain's authorities in `registry.sqlite`, without their private keys.
package struct SQLiteAuthorityStore: AuthorityStore {
    let database: SQLiteDatabase

    package func load() async throws(StoreError) -> StoredAuthorities {
        try await database.storeRead { db in
            let rows = try Row.fetchAll(db, sql: "SELECT \(Self.columns) FROM authority ORDER BY position")
            let revision = try Int64.fetchOne(db, sql: "SELECT revision FROM bundle_revision")
            return StoredAuthorities(records: try rows.map(Self.record), bundleRevision: revision ?? 0)
        }
    }

    package func replace(with authorities: StoredAuthorities) async throws(StoreError) {
        try await database.storeWrite { db in
            try db.execute(sql: "DELETE FROM authority")
            let insert = try db.cachedStatement(
                sql: "INSERT INTO authority (\(Self.columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            for record in authorities.records { try insert.execute(arguments: Self.arguments(record)) }
            try db.execute(
                sql: "INSERT OR REPLACE INTO bundle_revision (id, revision) VALUES (0, ?)",
                arguments: [authorities.bundleRevision])
        }
    }

    // `position` is left to SQLite: rows of one transaction count up in the order of the records.
    private static let columns =
        "kind, id, key_id, certificate, public_key, not_before, not_after, status, created_at, is_tainted, "
        + "upstream_root, upstream_chain"

    private static func arguments(_ record: AuthorityRecord) -> StatementArguments {
        [
            record.kind.rawValue, BlobValue.make(text: record.id), record.keyID?.string,
            record.certificate.map(BlobValue.make),
            BlobValue.make(record.publicKey), record.notBefore.milliseconds, record.notAfter.milliseconds,
            record.status.rawValue, record.createdAt.milliseconds, record.isTainted,
            record.upstream?.rootID, record.upstream.map { BlobValue.make(Array($0.chain.joined())) },
        ]
    }

    /// The certificates in between stand one behind the other, as in the Workload API.
    private static func upstream(_ row: Row) throws -> AuthorityRecord.Upstream? {
        guard let rootID = try row.decodeIfPresent(String.self, atIndex: 10) else { return nil }
        let chain = try row.optionalBytes(11) ?? []
        return AuthorityRecord.Upstream(
            rootID: rootID, chain: try DERReader.split(chain, limit: X509SVIDVerifier.maximumChainLength))
    }

    private static func record(_ row: Row) throws -> AuthorityRecord {
        guard let kind = AuthorityRecord.Kind(rawValue: try row.decode(atIndex: 0)),
            let status = AuthorityRecord.Status(rawValue: try row.decode(atIndex: 7))
        else { throw StoreError.failed("a stored authority is damaged") }
        return AuthorityRecord(
            kind: kind, id: try row.freeText(1),
            keyID: try row.decodeIfPresent(String.self, atIndex: 2).map { try KeyID($0) },
            certificate: try row.optionalBytes(3), publicKey: try row.bytes(4), notBefore: try row.time(5),
            notAfter: try row.time(6), status: status, createdAt: try row.time(8),
            isTainted: try row.decode(atIndex: 9), upstream: try upstream(row))
    }
}
