import GRDB
package import Registry
package import SPIFFE
import SQLiteFile

/// Federation relationships in `registry.sqlite`.
package struct SQLiteFederationRelationshipStore: FederationRelationshipStore {
    let database: SQLiteDatabase

    private static let columns = "SELECT trust_domain, url, endpoint_id FROM federation_relationship"

    package func allRelationships() async throws(StoreError) -> [FederationRelationship] {
        try await database.storeRead { db in
            try Row.fetchAll(db, sql: Self.columns).map(Self.relationship)
        }
    }

    package func relationship(with trustDomain: TrustDomain) async throws(StoreError) -> FederationRelationship? {
        try await database.storeRead { db in
            try Row.fetchOne(db, sql: Self.columns + " WHERE trust_domain = ?", arguments: [trustDomain.name])
                .map(Self.relationship)
        }
    }

    package func apply(_ changes: [FederationRelationshipChange]) async throws(StoreError) {
        try await database.storeWrite { db in
            for change in changes {
                switch change {
                case .put(let relationship):
                    let endpointID: String? =
                        switch relationship.profile {
                        case .web: nil
                        case .spiffe(let id): id.string
                        }
                    try db.execute(
                        sql: """
                            INSERT OR REPLACE INTO federation_relationship (trust_domain, url, endpoint_id)
                            VALUES (?, ?, ?)
                            """,
                        arguments: [
                            relationship.trustDomain.name, relationship.bundleEndpointURL.string, endpointID,
                        ])
                case .delete(let trustDomain):
                    try db.execute(
                        sql: "DELETE FROM federation_relationship WHERE trust_domain = ?",
                        arguments: [trustDomain.name])
                }
            }
        }
    }

    /// The profile is `https_web` where no endpoint ID is stored.
    private static func relationship(_ row: Row) throws -> FederationRelationship {
        let endpointID: String? = try row.decodeIfPresent(String.self, atIndex: 2)
        return FederationRelationship(
            trustDomain: try TrustDomain(row.decode(atIndex: 0)),
            bundleEndpointURL: try HTTPSURL(row.decode(atIndex: 1)),
            profile: try endpointID.map { .spiffe(endpointID: try SPIFFEID($0)) } ?? .web)
    }
}
