import Crypto
import CryptoExtras
import Foundation
import SPIFFE
import Synchronization
import Testing

@testable import Issuance

struct KeyStoreTests {
    private let random = SeededBytes(seed: 11)

    private func temporaryDirectory() throws -> String {
        let path = NSTemporaryDirectory() + "keys-" + UUID().uuidString
        return path
    }

    private func mode(_ path: String) throws -> Int {
        try #require(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    @Test(
        "a key comes back as it was made, and is gone once removed", arguments: [false, true],
        AuthorityKey.Algorithm.allCases)
    func roundTrip(onDisk: Bool, algorithm: AuthorityKey.Algorithm) async throws {
        let path = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let store: any KeyStore =
            onDisk
            ? try DiskKeyStore(directory: path, randomBytes: random.draw) : MemoryKeyStore(randomBytes: random.draw)
        let id = try KeyID("x509-a")
        #expect(try await store.load(id, algorithm) == nil)
        let key = try await store.create(id, algorithm)
        #expect(try await store.load(id, algorithm)?.derSPKI == key.derSPKI)
        #expect(try await store.list() == [id])
        #expect(key.algorithm == algorithm)
        for other in AuthorityKey.Algorithm.allCases where other != algorithm {
            let name = onDisk ? "x509-a.pem" : "x509-a"
            await #expect(throws: KeyStoreError.damaged(name)) { _ = try await store.load(id, other) }
        }
        let second = try await store.create(id, algorithm)
        #expect(second.derSPKI != key.derSPKI)
        #expect(try await store.load(id, algorithm)?.derSPKI == second.derSPKI)
        try await store.remove(id)
        try await store.remove(id)
        #expect(try await store.load(id, algorithm) == nil)
        #expect(try await store.list().isEmpty)
    }

    @Test func `an RSA key of another size is none of ours`() async throws {
        let path = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let store = try DiskKeyStore(directory: path, randomBytes: random.draw)
        let id = try KeyID("entra-a")
        let large = try _RSA.Signing.PrivateKey(keySize: .bits3072)
        try SecretDirectory(path: path).replace("entra-a.pem", with: Array(large.pkcs8PEMRepresentation.utf8))
        await #expect(throws: KeyStoreError.damaged("entra-a.pem")) { _ = try await store.load(id, .rsa2048) }
        let key = try await store.create(id, .rsa2048)
        let text = try String(contentsOfFile: path + "/entra-a.pem", encoding: .utf8)
        #expect(text.hasPrefix("-----BEGIN PRIVATE KEY-----"))
        let read = try _RSA.Signing.PrivateKey(pemRepresentation: text)
        #expect(read.keySizeInBits == 2048)
        #expect([UInt8](read.publicKey.derRepresentation) == key.derSPKI)
    }

    @Test func `directory and files are for this user alone, whatever the umask, and survive a restart`() async throws {
        let path = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let id = try KeyID("jwt-b")
        let key = try await DiskKeyStore(directory: path, randomBytes: random.draw).create(id, .p256)
        #expect(try mode(path) == 0o700)
        #expect(try mode(path + "/jwt-b.pem") == 0o600)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["jwt-b.pem"])
        let text = try String(contentsOfFile: path + "/jwt-b.pem", encoding: .utf8)
        #expect(text.hasPrefix("-----BEGIN PRIVATE KEY-----"))
        let again = try DiskKeyStore(directory: path, randomBytes: random.draw)
        #expect(try await again.load(id, .p256)?.derSPKI == key.derSPKI)
    }

    @Test("a key file that others may reach is refused", arguments: [0o640, 0o604, 0o660, 0o666, 0o610])
    func wideFile(mode: Int) async throws {
        let path = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let store = try DiskKeyStore(directory: path, randomBytes: random.draw)
        _ = try await store.create(try KeyID("x509-a"), .p256)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path + "/x509-a.pem")
        await #expect(throws: KeyStoreError.insecureFile("x509-a.pem")) {
            _ = try await store.load(try KeyID("x509-a"), .p256)
        }
    }

    @Test("a directory that others may enter is refused", arguments: [0o750, 0o705, 0o777, 0o701])
    func wideDirectory(mode: Int) throws {
        let path = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: mode])
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        #expect(throws: KeyStoreError.insecureDirectory(path)) {
            try DiskKeyStore(directory: path, randomBytes: random.draw)
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give files away"))
    func `files and directories of another user are refused`()
        async throws
    {
        let path = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let store = try DiskKeyStore(directory: path, randomBytes: random.draw)
        let id = try KeyID("x509-a")
        _ = try await store.create(id, .p256)
        #expect(chown(path + "/x509-a.pem", 65_534, 65_534) == 0)
        await #expect(throws: KeyStoreError.insecureFile("x509-a.pem")) { _ = try await store.load(id, .p256) }
        #expect(chown(path, 65_534, 65_534) == 0)
        #expect(throws: KeyStoreError.insecureDirectory(path)) {
            try DiskKeyStore(directory: path, randomBytes: random.draw)
        }
    }

    @Test func `links, pipes and directories in the place of a key are refused`() async throws {
        let path = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let store = try DiskKeyStore(directory: path, randomBytes: random.draw)
        _ = try await store.create(try KeyID("x509-a"), .p256)
        #expect(symlink(path + "/x509-a.pem", path + "/x509-link.pem") == 0)
        #expect(mkfifo(path + "/x509-pipe.pem", 0o600) == 0)
        #expect(mkdir(path + "/x509-dir.pem", 0o700) == 0)
        for name in ["x509-link", "x509-pipe", "x509-dir"] {
            await #expect(throws: KeyStoreError.insecureFile(name + ".pem")) {
                _ = try await store.load(try KeyID(name), .p256)
            }
        }
        #expect(throws: KeyStoreError.insecureDirectory(path + "-link")) {
            #expect(symlink(path, path + "-link") == 0)
            defer { unlink(path + "-link") }
            _ = try DiskKeyStore(directory: path + "-link", randomBytes: random.draw)
        }
    }

    @Test(
        "a file that holds no key is told apart from one that is missing",
        arguments: ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
    func damaged(text: String) async throws {
        let path = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let store = try DiskKeyStore(directory: path, randomBytes: random.draw)
        try SecretDirectory(path: path).replace("x509-a.pem", with: Array(text.utf8))
        await #expect(throws: KeyStoreError.damaged("x509-a.pem")) {
            _ = try await store.load(try KeyID("x509-a"), .p256)
        }
    }

    @Test func `what an interrupted write left behind is cleared away, other secrets are left alone`() async throws {
        let path = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let directory = try SecretDirectory(path: path)
        try directory.replace("checkpoint.key", with: [1, 2, 3])
        try Data([9]).write(to: URL(fileURLWithPath: path + "/.new-x509-a.pem"))
        let store = try DiskKeyStore(directory: path, randomBytes: random.draw)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["checkpoint.key"])
        #expect(try await store.list().isEmpty)
        #expect(try directory.read("checkpoint.key") == [1, 2, 3])
    }

    @Test(
        "key names that could mean another file are refused",
        arguments: ["", "-a", "a/b", "..", "A", "a.pem", "a b", "ä", String(repeating: "a", count: 65)])
    func badNames(name: String) {
        #expect(throws: KeyStoreError.badID) { try KeyID(name) }
    }

    @Test func `keys are drawn by rejection sampling, and a broken source ends in an error`() throws {
        let order: [UInt8] = [
            0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
            0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
        ]
        let zero = [UInt8](repeating: 0, count: 32)
        let one = [UInt8](repeating: 0, count: 31) + [1]
        let draws = Mutex([zero, order, [UInt8](repeating: 0xff, count: 32), one])
        let key = try P256.Signing.PrivateKey.fresh { _ in draws.withLock { $0.removeFirst() } }
        #expect(Array(key.rawRepresentation) == one)
        let left = draws.withLock(\.count)
        #expect(left == 0)
        #expect(throws: KeyStoreError.badRandomness) { try P256.Signing.PrivateKey.fresh { _ in zero } }
        #expect(throws: KeyStoreError.badRandomness) { try P256.Signing.PrivateKey.fresh { _ in [1, 2, 3] } }
    }
}
