package import Crypto

/// PSS signatures with a salt of any length (RFC 8017 §8.1.2), which the library does not check: see
/// docs/decisions/15-rsa-pss-of-any-salt.md.
///
/// Node agents written in Go sign with the longest salt that fits, and the library insists on one of 32 bytes. Only public
/// values pass through here, so nothing has to take the same time always. One check costs about twenty multiplications of
/// the modulus's size.
package struct RSAVerification: Sendable {
    private let modulus: MontgomeryModulus
    private let exponent: UInt32
    private let bits: Int

    /// The key's numbers; `nil` for a key of another kind.
    package init?(_ key: SubjectPublicKey) {
        guard case .rsa(let bits) = key.kind else { return nil }
        var reader = DERReader(key.keyBytes)
        guard var numbers = try? reader.open(DERTag.sequence), let modulus = try? numbers.integer(),
            let exponent = try? numbers.smallInteger(), let made = MontgomeryModulus(modulus.drop { $0 == 0 })
        else { return nil }
        self.modulus = made
        self.exponent = UInt32(exponent)
        self.bits = bits
    }

    /// Whether it is a PSS signature with SHA-256, MGF1 with SHA-256 and a salt of whatever length (§8.1.2, §9.1.2).
    package func isValidPSS(_ signature: [UInt8], digest: SHA256.Digest) -> Bool {
        guard let whole = open(signature) else { return false }
        let encodedBits = bits - 1
        let encodedCount = (encodedBits + 7) / 8
        guard whole.prefix(whole.count - encodedCount).allSatisfy({ $0 == 0 }) else { return false }
        let encoded = Array(whole.suffix(encodedCount))
        let hashCount = SHA256.byteCount
        guard encoded.count >= hashCount + 2, encoded.last == 0xbc else { return false }
        let dataCount = encoded.count - hashCount - 1
        let hash = Array(encoded[dataCount..<(dataCount + hashCount)])
        let unused = 8 * encodedCount - encodedBits
        let mask = Self.mgf1(hash, count: dataCount)
        guard let top = encoded.first, unused == 0 || top >> (8 - unused) == 0 else { return false }
        var data = zip(encoded, mask).map { $0 ^ $1 }
        data[0] &= UInt8(0xff >> unused)
        guard let separator = data.firstIndex(where: { $0 != 0 }), data[separator] == 1 else { return false }
        var message = SHA256()
        message.update(data: [UInt8](repeating: 0, count: 8))
        message.update(data: Array(digest))
        message.update(data: Array(data[(separator + 1)...]))
        return message.finalize().elementsEqual(hash)
    }

    /// The signature to the power of the exponent, as many bytes as the modulus; `nil` for a wrong length or a number
    /// that is not below the modulus.
    private func open(_ signature: [UInt8]) -> [UInt8]? {
        guard signature.count == (bits + 7) / 8 else { return nil }
        return modulus.power(signature, exponent, count: signature.count)
    }

    private static func mgf1(_ seed: [UInt8], count: Int) -> [UInt8] {
        var mask: [UInt8] = []
        mask.reserveCapacity(count + SHA256.byteCount)
        var counter: UInt32 = 0
        while mask.count < count {
            var block = SHA256()
            block.update(data: seed)
            block.update(data: (0..<4).map { UInt8(truncatingIfNeeded: counter >> (24 - 8 * UInt32($0))) })
            mask.append(contentsOf: block.finalize())
            counter += 1
        }
        return Array(mask.prefix(count))
    }
}
