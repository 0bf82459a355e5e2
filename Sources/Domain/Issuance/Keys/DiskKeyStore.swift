import CryptoExtras

/// Keys as PKCS#8 PEM files, one per key (`<name>.pem`), in a directory that only this user may enter.
package final class DiskKeyStore: KeyStore {
    private let directory: SecretDirectory
    private let randomBytes: RandomBytes

    /// Opens the directory, making it when it is missing; throws when others may enter it.
    package init(directory path: String, randomBytes: @escaping RandomBytes) throws(KeyStoreError) {
        directory = try SecretDirectory(path: path)
        self.randomBytes = randomBytes
    }

    package func create(
        _ id: KeyID, _ algorithm: AuthorityKey.Algorithm
    ) async throws(KeyStoreError) -> AuthorityKey {
        let key = try AuthorityKey.fresh(
            algorithm, randomBytes: randomBytes, rsaKeys: _RSA.Signing.PrivateKey.fresh)
        try directory.replace(Self.fileName(id), with: Array(key.pemRepresentation.utf8))
        return key
    }

    package func load(
        _ id: KeyID, _ algorithm: AuthorityKey.Algorithm
    ) async throws(KeyStoreError) -> AuthorityKey? {
        let name = Self.fileName(id)
        guard let bytes = try directory.read(name) else { return nil }
        guard let key = AuthorityKey(pemRepresentation: String(decoding: bytes, as: UTF8.self), algorithm) else {
            throw .damaged(name)
        }
        return key
    }

    package func remove(_ id: KeyID) async throws(KeyStoreError) {
        try directory.remove(Self.fileName(id))
    }

    /// The directory may hold other secrets: only `.pem` files whose stem is a key's name count.
    package func list() async throws(KeyStoreError) -> [KeyID] {
        try directory.list().compactMap { name in
            guard name.hasSuffix(Self.suffix) else { return nil }
            return try? KeyID(String(name.dropLast(Self.suffix.count)))
        }
    }

    private static let suffix = ".pem"

    private static func fileName(_ id: KeyID) -> String { id.string + suffix }
}
