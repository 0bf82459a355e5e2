import GRDB
package import Registry
package import SPIFFE
import SQLiteFile

/// Bundles of other trust domains in `registry.sqlite`.
package struct SQLiteFederatedBundleStore: FederatedBundleStore {
    let database: SQLiteDatabase

    package func allBundles() async throws(StoreError) -> [FederatedBundle] {
        try await database.storeRead { db in
            try Row.fetchAll(db, sql: "SELECT trust_domain, document, updated_at FROM federated_bundle").map(
                Self.bundle)
        }
    }

    package func bundle(for trustDomain: TrustDomain) async throws(StoreError) -> FederatedBundle? {
        try await database.storeRead { db in
            try Row.fetchOne(
                db, sql: "SELECT trust_domain, document, updated_at FROM federated_bundle WHERE trust_domain = ?",
                arguments: [trustDomain.name]
            ).map(Self.bundle)
        }
    }

    package func apply(_ changes: [FederatedBundleChange]) async throws(StoreError) {
        try await database.storeWrite { db in
            for change in changes {
                switch change {
                case .put(let bundle):
                    try db.execute(
                        sql:
                            "INSERT OR REPLACE INTO federated_bundle (trust_domain, document, updated_at) VALUES (?, ?, ?)",
                        arguments: [
                            bundle.trustDomain.name, BlobValue.make(bundle.document), bundle.updatedAt.milliseconds,
                        ])
                case .delete(let trustDomain):
                    try db.execute(
                        sql: "DELETE FROM federated_bundle WHERE trust_domain = ?", arguments: [trustDomain.name])
                }
            }
        }
    }

    private static func bundle(_ row: Row) throws -> FederatedBundle {
        FederatedBundle(
            trustDomain: try TrustDomain(row.decode(atIndex: 0)), document: try row.bytes(1), updatedAt: try row.time(2)
        )
    }
}
