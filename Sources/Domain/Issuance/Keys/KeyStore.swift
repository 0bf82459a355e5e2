/// Where the private keys of authorities are kept.
///
/// Implementations guarantee: when `create` returns, the key is as durable as the store can make it; `load` returns the
/// same key until `remove`; a key is never handed out while others could read or replace it.
package protocol KeyStore: Sendable {
    /// Makes a fresh key under this name, replacing an older one atomically.
    func create(_ id: KeyID, _ algorithm: AuthorityKey.Algorithm) async throws(KeyStoreError) -> AuthorityKey
    /// The key under this name; nil when there is none. Throws `.damaged` for one of another algorithm.
    func load(_ id: KeyID, _ algorithm: AuthorityKey.Algorithm) async throws(KeyStoreError) -> AuthorityKey?
    /// Forgets the key; removing a name that is not there is no error.
    func remove(_ id: KeyID) async throws(KeyStoreError)
    /// The names of all keys, in no order.
    func list() async throws(KeyStoreError) -> [KeyID]
}

/// Random bytes handed in: returns exactly as many as asked, from a source fit for keys.
package typealias RandomBytes = @Sendable (Int) -> [UInt8]

/// Why a key store could not do what it was asked.
package enum KeyStoreError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The name of a key is empty, too long or has bytes outside `a-z 0-9 -`.
    case badID
    /// The directory is not one, has another owner, or others may enter it.
    case insecureDirectory(String)
    /// The key's file is not a plain file, has another owner, or others may read it.
    case insecureFile(String)
    /// The key's file does not hold a private key of its algorithm in PEM.
    case damaged(String)
    /// The disk is full.
    case storageFull
    /// The operating system refused; the operation and its error number.
    case system(operation: String, errno: Int32)
    /// The source of randomness gave no usable key.
    case badRandomness

    /// The reason in words.
    package var description: String {
        switch self {
        case .badID: "a key's name has 1 to \(KeyID.maximumLength) bytes of `a-z 0-9 -`"
        case .insecureDirectory(let path):
            "the key directory `\(path)` must be a directory of this user that nobody else may enter (mode 0700)"
        case .insecureFile(let name):
            "the key file `\(name)` must be a plain file of this user that nobody else may read (mode 0600)"
        case .damaged(let name): "the key file `\(name)` does not hold a private key of its kind"
        case .storageFull: "no space left for a key"
        case .system(let operation, let errno): "cannot \(operation) a key file, error \(errno)"
        case .badRandomness: "the source of randomness gave no usable key"
        }
    }
}
