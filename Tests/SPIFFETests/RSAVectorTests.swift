import Crypto
import Foundation
import SPIFFE
import Testing

/// RSA signatures judged by vectors that others made.
@Suite struct RSAVectorTests {
    private struct Wycheproof: Decodable {
        struct Group: Decodable {
            let file: String
            let salt: Int
            let key: String
            let tests: [Case]
        }
        struct Case: Decodable {
            let tcId: Int
            let comment: String
            let msg: String
            let sig: String
            let result: String
        }
        let groups: [Group]
    }

    private struct LargeKeys: Decodable {
        struct Key: Decodable {
            let bits: Int
            let spki: String
            let signatures: [Signature]
        }
        struct Signature: Decodable {
            let hash: String
            let padding: String
            let salt: Int?
            let sig: String
        }
        let message: String
        let keys: [Key]
    }

    private func read<File: Decodable>(_ name: String, as type: File.Type) throws -> File {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        return try JSONDecoder().decode(type, from: Data(contentsOf: folder.appending(path: "Vectors/\(name)")))
    }

    private func bytes(_ hex: String) throws -> [UInt8] { try #require(HexText.decode(hex)) }

    @Test func `PSS of any salt is what Wycheproof says, but for signatures whose only fault is another salt's length`()
        throws
    {
        let file = try read("wycheproof-rsa-pss.json", as: Wycheproof.self)
        var valid = 0
        var refused = 0
        for group in file.groups {
            let key = try #require(RSAVerification(SubjectPublicKey(derSPKI: bytes(group.key))))
            for test in group.tests {
                let isValid = key.isValidPSS(try bytes(test.sig), digest: SHA256.hash(data: try bytes(test.msg)))
                let expected = test.result == "valid" || test.comment.hasPrefix("s_len changed to ")
                #expect(isValid == expected, "\(group.file) \(test.tcId): \(test.comment)")
                if isValid { valid += 1 } else { refused += 1 }
            }
        }
        #expect(valid > 190 && refused > 100)
        // One group for each length of a salt that Wycheproof has with SHA-256.
        #expect(Set(file.groups.map(\.salt)) == [0, 20, 28, 32, 48, 64])
    }

    @Test func `keys beyond 4096 bits verify by the library, and PSS of any salt by our own`() throws {
        let file = try read("rsa-large-keys.json", as: LargeKeys.self)
        let message = Array(file.message.utf8)
        for vector in file.keys {
            let key = try SubjectPublicKey(derSPKI: bytes(vector.spki), rsaBits: 2048...8192)
            #expect(key.kind == .rsa(bits: vector.bits))
            #expect(throws: PublicKeyError.rsaSize(vector.bits)) { try SubjectPublicKey(derSPKI: bytes(vector.spki)) }
            let own = try #require(RSAVerification(key))
            let algorithms: [String: X509SignatureAlgorithm] = [
                "sha256": .rsaPKCS1WithSHA256, "sha384": .rsaPKCS1WithSHA384, "sha512": .rsaPKCS1WithSHA512,
            ]
            for signature in vector.signatures {
                var sig = try bytes(signature.sig)
                let isPSS = signature.padding == "pss"
                for (hash, algorithm) in algorithms {
                    let expected = !isPSS && hash == signature.hash
                    #expect(key.isValidSignature(sig, for: message, algorithm: algorithm) == expected)
                }
                // A certificate's salt is as long as its digest.
                #expect(
                    key.isValidSignature(sig, for: message, algorithm: .rsaPSSWithSHA256) == (signature.salt == 32))
                #expect(own.isValidPSS(sig, digest: SHA256.hash(data: message)) == isPSS)
                sig[sig.count - 1] ^= 1
                #expect(!own.isValidPSS(sig, digest: SHA256.hash(data: message)))
                #expect(!key.isValidSignature(sig, for: message, algorithm: algorithms[signature.hash] ?? .ed25519))
            }
        }
    }
}
