import Crypto
import Testing

@testable import SPIFFE

/// Powers compared with those of Python's `pow`. Both sides make their numbers from the same hashes.
@Suite struct MontgomeryModulusTests {
    @Test(
        "powers are those of another implementation",
        arguments: [
            (8, 3, "e036c35f92e61e66c437e9a248f7e6c647294fc2f1bfe06c2cbc58f7966beedc"),
            (8, 65537, "58976dc4bc439301a5960839b8d865c4d1fe41dddbcd76fcd935e8378e5e262b"),
            (8, 4294967295, "1fab92626b892fdea9c428a8bf46ef41fe54c43babab413ac28db8c9422a48a5"),
            (16, 3, "3656223ad4cc2fbb766b6fb723526792638136ff6ecb148f6e1c5536ffe73c24"),
            (16, 65537, "1e5574494d91ed07ce6bc91ad7cf5872d9e2679caeb4791e1cfccdbc8653f43e"),
            (16, 4294967295, "2392045b13c8cd70ed2affe40823a68dc93684f1f83c753544a61e56bf3ec393"),
            (33, 3, "63e2206a82f6ecffdbbc001f4dc1126a1d7da675b7bc8da6c3f2d4d38f953722"),
            (33, 65537, "c938c9c541a98083c852ac1089ded6542313d28fa33653f38539f51689dca9a5"),
            (33, 4294967295, "c290c9296ea4e9b5065f71b13cf75cfda939797a8ca7816eb8829a6b03e0eb2e"),
            (256, 3, "ae5f13b98d3f695996e621b7b0642e4e9539bebae50e9ec8d4f17bf552fbaff5"),
            (256, 65537, "91d7f85568a322bd9bc7e2cb5d7e41b0a0362feaa0304a672d550c755d4360c4"),
            (256, 17, "20e18f6d142d1c561d79a98356faa269cb7e9cbae82138ed91e4d19b25947abd"),
            (257, 3, "c217c5191de1fe9da2547cce22c174984530e3bf8529dc2ddf3d25faf91d72d9"),
            (257, 65537, "fa9088661e7e3097b41cb0115dc7901909b58d8a5b2b62f762441e4d38670fcb"),
            (257, 17, "3abc26df8e176871d136e8687a4644f5c2999159a06d4b83d0c305ed2e5e30c8"),
            (512, 3, "372c00d2e36ff337b3c71e77a80bc087fbd1b7f618c16ec950166ee90fa4b5cc"),
            (512, 65537, "2acf2431e3b8254748feb455dc028e837e254cbb9db412405e8b64ce02488e77"),
            (512, 17, "3bb36ea7fdd02de367a2b5a9f2cd72523828c5f80c8b3949d1951a6e0240f6a6"),
            (1024, 3, "caf226a4aae2dc3a25e1a78c6c526c5cdc9dc85e846d3843a42a5865c7218378"),
            (1024, 65537, "59990bda2421073c0ddd3d6a39ea30e976fb874e0abf3ac78da114739fad7af9"),
            (1024, 17, "1de2b5aaf9b0162e81c6cb051ef9ceeafc5e5fc5170dea8c32c130487e2c0241"),
        ] as [(Int, UInt32, String)])
    func power(size: Int, exponent: UInt32, digest: String) throws {
        var modulus = Self.number("n", size)
        modulus[0] = size == 257 ? 1 : modulus[0] | 0x80
        modulus[size - 1] |= 1
        var base = Self.number("b", size)
        base[0] = 0
        let power = try #require(MontgomeryModulus(modulus)?.power(base, exponent, count: size))
        #expect(
            SHA256.hash(data: power).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() == digest)
    }

    @Test("even numbers, one and nothing are no modulus", arguments: [[], [0], [1], [2], [0, 1], [255, 254]])
    func noModulus(bytes: [UInt8]) {
        #expect(MontgomeryModulus(bytes) == nil)
    }

    @Test("a base that is not below the modulus is refused")
    func base() throws {
        let modulus = try #require(MontgomeryModulus([0, 0, 7]))
        #expect(modulus.power([6], 3, count: 1) == [6])
        #expect(modulus.power([7], 3, count: 1) == nil)
        #expect(modulus.power([UInt8](repeating: 1, count: 9), 3, count: 1) == nil)
        #expect(modulus.power([0], 3, count: 2) == [0, 0])
        #expect(modulus.power([3], 0, count: 1) == nil)
    }

    private static func number(_ name: String, _ size: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var index = 0
        while bytes.count < size {
            bytes += SHA256.hash(data: Array("\(name)\(size)/\(index)".utf8))
            index += 1
        }
        return Array(bytes.prefix(size))
    }
}
