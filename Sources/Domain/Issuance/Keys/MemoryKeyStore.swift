import CryptoExtras
import Synchronization

/// Keys that live as long as the process.
package final class MemoryKeyStore: KeyStore {
    private let keys = Mutex<[KeyID: AuthorityKey]>([:])
    private let randomBytes: RandomBytes
    private let rsaKeys: RSAKeyGenerator

    /// An empty store that draws keys from `randomBytes`, but those for RSA, which come from `rsaKeys`.
    package init(
        randomBytes: @escaping RandomBytes, rsaKeys: @escaping RSAKeyGenerator = _RSA.Signing.PrivateKey.fresh
    ) {
        self.randomBytes = randomBytes
        self.rsaKeys = rsaKeys
    }

    package func create(
        _ id: KeyID, _ algorithm: AuthorityKey.Algorithm
    ) async throws(KeyStoreError) -> AuthorityKey {
        let key = try AuthorityKey.fresh(algorithm, randomBytes: randomBytes, rsaKeys: rsaKeys)
        keys.withLock { $0[id] = key }
        return key
    }

    package func load(
        _ id: KeyID, _ algorithm: AuthorityKey.Algorithm
    ) async throws(KeyStoreError) -> AuthorityKey? {
        guard let key = keys.withLock({ $0[id] }) else { return nil }
        guard key.algorithm == algorithm else { throw .damaged(id.string) }
        return key
    }

    package func remove(_ id: KeyID) async throws(KeyStoreError) {
        keys.withLock { $0[id] = nil }
    }

    package func list() async throws(KeyStoreError) -> [KeyID] {
        keys.withLock { Array($0.keys) }
    }
}
