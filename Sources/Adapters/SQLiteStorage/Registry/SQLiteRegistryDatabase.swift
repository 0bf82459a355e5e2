package import AgentDirectory
package import AgentRegistry
package import Approvals
package import AuditTrail
import GRDB
package import Issuance
package import Registry
package import SQLiteFile

/// `registry.sqlite`: registration entries, nodes, join tokens, federated bundles and relationships, authorities, spool
/// cursors, the agent directory, approvals and the agent registry.
package final class SQLiteRegistryDatabase: Sendable {
    /// The file, for those who look after it.
    package let database: SQLiteDatabase

    /// The file's name below the data directory.
    package static let fileName = "registry.sqlite"

    private init(database: SQLiteDatabase) { self.database = database }

    /// Opens or creates `registry.sqlite` in a data directory whose lock the caller holds.
    package static func open(directory: String) throws(SQLiteStorageError) -> SQLiteRegistryDatabase {
        SQLiteRegistryDatabase(database: try .open(path: "\(directory)/\(fileName)", schema: schema))
    }

    /// A registry that ends with the process, in an in-memory database.
    package static func inMemory() throws(SQLiteStorageError) -> SQLiteRegistryDatabase {
        SQLiteRegistryDatabase(database: try .inMemory(schema: schema))
    }

    /// The five stores of the registry.
    package var registryStores: RegistryStores {
        RegistryStores(
            entries: SQLiteEntryStore(database: database), nodes: SQLiteNodeStore(database: database),
            joinTokens: SQLiteJoinTokenStore(database: database),
            federatedBundles: SQLiteFederatedBundleStore(database: database),
            federationRelationships: SQLiteFederationRelationshipStore(database: database))
    }

    /// The authorities' store.
    package var authorityStore: any AuthorityStore { SQLiteAuthorityStore(database: database) }

    /// The revocations' store.
    package var revocationStore: any RevocationStore { SQLiteRevocationStore(database: database) }

    /// The agent directory's store.
    package var directoryStore: any DirectoryStore { SQLiteDirectoryStore(database: database) }

    /// The approvals' store.
    package var approvalStore: any ApprovalStore { SQLiteApprovalStore(database: database) }

    /// The agent registry's store.
    package var agentRegistryStore: any AgentRegistryStore { SQLiteAgentRegistryStore(database: database) }

    /// The spool intake's store.
    package var spoolCursorStore: any SpoolCursorStore { SQLiteSpoolCursorStore(database: database) }

    // Times are milliseconds since the epoch, lists are JSON arrays of texts, serial numbers are hex, free texts are their bytes.
    static let schema = DatabaseSchema(
        applicationID: 0x4173_5267,
        migrations: [
            """
            CREATE TABLE entry (
                id TEXT PRIMARY KEY NOT NULL, spiffe_id TEXT NOT NULL, parent_id TEXT NOT NULL,
                selectors TEXT NOT NULL, x509_svid_ttl INTEGER NOT NULL, jwt_svid_ttl INTEGER NOT NULL,
                federates_with TEXT NOT NULL, is_admin INTEGER NOT NULL, is_downstream INTEGER NOT NULL,
                expires_at INTEGER, dns_names TEXT NOT NULL, hint BLOB NOT NULL, revision INTEGER NOT NULL,
                store_svid INTEGER NOT NULL, created_at INTEGER NOT NULL,
                disable_x509_svid_prefetch INTEGER NOT NULL, jwt_svid_include_jti INTEGER NOT NULL
            ) WITHOUT ROWID;
            CREATE TABLE node (
                id TEXT PRIMARY KEY NOT NULL, attestation_type TEXT NOT NULL, current_serial TEXT,
                current_expires_at INTEGER NOT NULL, pending_serial TEXT, pending_expires_at INTEGER,
                can_reattest INTEGER NOT NULL, selectors TEXT NOT NULL, agent_version BLOB NOT NULL,
                is_banned INTEGER NOT NULL, created_at INTEGER NOT NULL
            ) WITHOUT ROWID;
            CREATE TABLE join_token (digest TEXT PRIMARY KEY NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;
            CREATE TABLE federated_bundle (
                trust_domain TEXT PRIMARY KEY NOT NULL, document BLOB NOT NULL, updated_at INTEGER NOT NULL
            );
            CREATE TABLE authority (
                position INTEGER PRIMARY KEY, kind TEXT NOT NULL, id BLOB NOT NULL, key_id TEXT, certificate BLOB,
                public_key BLOB NOT NULL, not_before INTEGER NOT NULL, not_after INTEGER NOT NULL, status TEXT NOT NULL,
                created_at INTEGER NOT NULL, UNIQUE (kind, id)
            );
            CREATE TABLE bundle_revision (id INTEGER PRIMARY KEY CHECK (id = 0), revision INTEGER NOT NULL);
            CREATE TABLE spool_cursor (
                node TEXT PRIMARY KEY NOT NULL, spool TEXT NOT NULL, sequence INTEGER NOT NULL, hash BLOB NOT NULL
            ) WITHOUT ROWID;
            """,
            """
            CREATE TABLE federation_relationship (
                trust_domain TEXT PRIMARY KEY NOT NULL, url TEXT NOT NULL, endpoint_id TEXT
            ) WITHOUT ROWID;
            """,
            """
            ALTER TABLE authority ADD COLUMN is_tainted INTEGER NOT NULL DEFAULT 0;
            """,
            """
            CREATE TABLE revocation (
                position INTEGER PRIMARY KEY, kind TEXT NOT NULL, value TEXT NOT NULL, expires_at INTEGER,
                reason BLOB NOT NULL, created_at INTEGER NOT NULL, cause TEXT, UNIQUE (kind, value)
            );
            CREATE TABLE revocation_sequence (id INTEGER PRIMARY KEY CHECK (id = 0), sequence INTEGER NOT NULL);
            """,
            """
            ALTER TABLE authority ADD COLUMN upstream_root TEXT;
            ALTER TABLE authority ADD COLUMN upstream_chain BLOB;
            """,
            """
            CREATE TABLE directory_record (
                kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, id)
            ) WITHOUT ROWID;
            """,
            "CREATE TABLE approval (id TEXT PRIMARY KEY NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;",
            """
            CREATE TABLE registered_agent (id TEXT PRIMARY KEY NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
            CREATE TABLE agent_card (
                agent TEXT NOT NULL, digest TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (agent, digest)
            );
            """,
        ])
}

extension SQLiteDatabase {
    func storeRead<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(StoreError) -> Value {
        do { return try await read(body).get() } catch { throw StoreError(storage: error) }
    }

    func storeWrite<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(StoreError) -> Value {
        do { return try await write(body).get() } catch { throw StoreError(storage: error) }
    }
}

extension StoreError {
    init(storage error: any Error) {
        if let error = error as? StoreError {
            self = error
            return
        }
        guard let error = error as? DatabaseError else {
            self = .failed("\(error)")
            return
        }
        switch error.resultCode {
        case .SQLITE_FULL: self = .storageFull
        case .SQLITE_CONSTRAINT: self = .conflict
        default: self = .failed(error.message ?? "error \(error.resultCode.rawValue)")
        }
    }
}
