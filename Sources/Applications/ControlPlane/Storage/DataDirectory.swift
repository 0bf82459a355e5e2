import AgentDirectory
import AgentRegistry
import Approvals
import AuditTrail
import Crypto
import Issuance
import Registry
import SQLiteFile
import SQLiteStorage
import TransparencyLog

/// Everything below the data directory: the lock, the databases, the keys.
struct DataDirectory: Sendable {
    /// Names of the entries of a data directory that are not databases.
    enum Name {
        static let keys = "keys"
        /// The audit log's signing key, in `keys/`.
        static let checkpointKey = "audit-log.pem"
        /// The audit log's verifier key and name, for those who read the log of a stopped control plane.
        static let verifierKey = "audit-log.vkey"
    }

    private let path: String
    private let root: SecretDirectory
    private let keys: SecretDirectory
    private let lock: DataDirectoryLock
    private let audit: SQLiteAuditStore
    private let registry: SQLiteRegistryDatabase
    private let world: ControlPlane.World

    /// Takes the directory for this process alone, makes it if needed (mode 0700), and opens both databases.
    static func open(_ path: String, world: ControlPlane.World) async throws -> DataDirectory {
        let root = try SecretDirectory(path: path)
        let lock = try DataDirectoryLock(directory: path)
        return DataDirectory(
            path: path, root: root, keys: try SecretDirectory(path: "\(path)/\(Name.keys)"), lock: lock,
            audit: try SQLiteAuditStore.open(directory: path),
            registry: try SQLiteRegistryDatabase.open(directory: path),
            world: world)
    }

    func close() {
        audit.database.close()
        registry.database.close()
    }

    var auditStore: any AuditStore { audit }
    var registryStores: RegistryStores { registry.registryStores }
    var authorityStore: any AuthorityStore { registry.authorityStore }
    var revocationStore: any RevocationStore { registry.revocationStore }
    var directoryStore: any DirectoryStore { registry.directoryStore }
    var approvalStore: any ApprovalStore { registry.approvalStore }
    var agentRegistryStore: any AgentRegistryStore { registry.agentRegistryStore }
    var spoolCursors: any SpoolCursorStore { registry.spoolCursorStore }

    func keyStore() throws -> any KeyStore {
        try DiskKeyStore(directory: "\(path)/\(Name.keys)/authorities", randomBytes: world.randomBytes)
    }

    /// The audit log's key; made at the first start. It signs checkpoints and nothing else.
    ///
    /// A log without its key is refused: a new key would break the chain that auditors hold on to.
    func checkpointSigner(origin: String) async throws -> NoteSigner {
        if let stored = try keys.read(Name.checkpointKey) {
            guard let seed = try? PEMSeed.decode(stored),
                let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed)
            else { throw DataDirectoryError.damagedCheckpointKey(path) }
            // A new log under the old key would be a fork. Only a crash in the very first start may leave the key alone.
            let isEmpty = try await audit.loadTail().size == 0
            let isUnused = try await registry.authorityStore.load().records.isEmpty
            guard !isEmpty || isUnused else { throw DataDirectoryError.missingLog(path) }
            try checkOrigin(origin)
            return try NoteSigner(name: origin, privateKey: key)
        }
        guard try await audit.loadTail().size == 0 else { throw DataDirectoryError.missingCheckpointKey(path) }
        let key = try Curve25519.Signing.PrivateKey(rawRepresentation: world.randomBytes(32))
        try keys.replace(Name.checkpointKey, with: PEMSeed.encode(Array(key.rawRepresentation)))
        return try NoteSigner(name: origin, privateKey: key)
    }

    /// The data directory of another trust domain has a log of another name.
    private func checkOrigin(_ origin: String) throws {
        guard let stored = try root.read(Name.verifierKey) else { return }
        let text = String(decoding: stored.filter { $0 != 0x0a }, as: UTF8.self)
        guard let verifier = try? NoteVerifier(vkey: text), verifier.name != origin else { return }
        throw DataDirectoryError.otherTrustDomain(path, log: verifier.name)
    }

    /// Puts the verifier key beside the databases.
    func writeVerifierKey(_ vkey: String) throws {
        let text = Array("\(vkey)\n".utf8)
        guard try root.read(Name.verifierKey) != text else { return }
        try root.replace(Name.verifierKey, with: text)
    }
}

/// Why a data directory cannot be used.
enum DataDirectoryError: Error, CustomStringConvertible {
    case damagedCheckpointKey(String)
    case missingCheckpointKey(String)
    case missingLog(String)
    case otherTrustDomain(String, log: String)

    var description: String {
        switch self {
        case .damagedCheckpointKey(let path):
            "`\(path)/keys/audit-log.pem` is damaged: restore it from a backup"
        case .missingLog(let path):
            "the audit log in `\(path)` is gone while its key is there: restore `audit.sqlite` from a backup"
        case .otherTrustDomain(let path, let log):
            "`\(path)` is the data directory of another trust domain: its audit log is `\(log)`"
        case .missingCheckpointKey(let path):
            "`\(path)/keys/audit-log.pem` is gone while the audit log is not empty: restore it from a backup"
        }
    }
}
