package import Crypto
import Synchronization

/// Keys that live as long as the process.
package final class MemoryKeyStore: KeyStore {
    private let keys = Mutex<[KeyID: P256.Signing.PrivateKey]>([:])
    private let randomBytes: RandomBytes

    /// An empty store that draws keys from `randomBytes`.
    package init(randomBytes: @escaping RandomBytes) {
        self.randomBytes = randomBytes
    }

    package func create(_ id: KeyID) async throws(KeyStoreError) -> P256.Signing.PrivateKey {
        let key = try P256.Signing.PrivateKey.fresh(randomBytes: randomBytes)
        keys.withLock { $0[id] = key }
        return key
    }

    package func load(_ id: KeyID) async throws(KeyStoreError) -> P256.Signing.PrivateKey? {
        keys.withLock { $0[id] }
    }

    package func remove(_ id: KeyID) async throws(KeyStoreError) {
        keys.withLock { $0[id] = nil }
    }

    package func list() async throws(KeyStoreError) -> [KeyID] {
        keys.withLock { Array($0.keys) }
    }
}
