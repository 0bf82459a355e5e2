import Crypto
import SPIFFE
import Testing

@Suite struct `X509-SVIDs and PEM` {
    @Test func `an SVID takes the forms of files and of the Workload API and comes back`() throws {
        let root = try TestAuthority()
        let child = try TestAuthority(serial: 2, signedBy: root)
        let key = P256.Signing.PrivateKey()
        let svid = try X509SVID(chain: [child.leaf(key: key), child.der], privateKey: key)
        #expect(svid.id.string == "spiffe://example.org/agent")
        #expect(svid.expiresAt == now + 3600)
        let second = try X509SVID(chainConcatenated: svid.chainConcatenated, pkcs8: svid.pkcs8)
        #expect(second.chain == svid.chain)
        #expect(second.privateKey.rawRepresentation == key.rawRepresentation)
        let third = try X509SVID(chainPEM: svid.chainPEM, privateKeyPEM: svid.privateKeyPEM)
        #expect(third.chain == svid.chain)
        #expect(third.pkcs8 == svid.pkcs8)
    }

    @Test func `a key that is not the leaf's, or not in PKCS#8, is refused`() throws {
        let root = try TestAuthority()
        let key = P256.Signing.PrivateKey()
        let leaf = try root.leaf(key: key)
        #expect(throws: X509SVIDError.keyDoesNotMatch) {
            try X509SVID(chain: [leaf], privateKey: P256.Signing.PrivateKey())
        }
        #expect(throws: X509SVIDError.keyDoesNotMatch) { try X509SVID(chain: [leaf], privateKey: root.key) }
        let pkcs8 = [UInt8](key.derRepresentation)
        // SEC1 is what PKCS#8 carries in its OCTET STRING.
        var reader = DERReader(pkcs8)
        var fields = try reader.open(0x30)
        _ = try fields.element()
        _ = try fields.element()
        let sec1 = Array(try fields.element(0x04).content)
        let wrong = [
            sec1, [], pkcs8 + [0], Array(pkcs8.dropLast()), [UInt8](P384.Signing.PrivateKey().derRepresentation),
        ]
        for bytes in wrong {
            #expect(throws: X509SVIDError.badPrivateKey) { try X509SVID(chain: [leaf], pkcs8: bytes) }
        }
    }

    @Test func `chains that are none are refused`() throws {
        let root = try TestAuthority()
        let key = P256.Signing.PrivateKey()
        let leaf = try root.leaf(key: key)
        let pkcs8 = [UInt8](key.derRepresentation)
        #expect(throws: X509SVIDError.emptyChain) { try X509SVID(chain: [], privateKey: key) }
        #expect(throws: X509SVIDError.emptyChain) { try X509SVID(chainConcatenated: [], pkcs8: pkcs8) }
        #expect(throws: X509SVIDError.chainTooLong) {
            try X509SVID(chain: Array(repeating: leaf, count: 9), privateKey: key)
        }
        #expect(throws: X509SVIDError.malformedChain(.trailingBytes)) {
            try X509SVID(chainConcatenated: Array(repeating: leaf, count: 9).flatMap { $0 }, pkcs8: pkcs8)
        }
        #expect(throws: X509SVIDError.malformedChain(.truncated)) {
            try X509SVID(chainConcatenated: leaf + [0x30], pkcs8: pkcs8)
        }
        #expect(throws: X509SVIDError.profile(.rootPath)) { try X509SVID(chain: [root.der], privateKey: root.key) }
    }

    @Test func `no private key is printed`() throws {
        let key = P256.Signing.PrivateKey()
        let svid = try X509SVID(chain: [TestAuthority().leaf(key: key)], privateKey: key)
        var dumped = ""
        dump(svid, to: &dumped)
        for text in [dumped, "\(svid)", String(reflecting: svid)] {
            #expect(!text.showsKey)
            #expect(text.contains("example.org"))
        }
    }

    @Test func `PEM is read back, in whatever line ends`() throws {
        for count in [1, 47, 48, 49, 96, 1000] {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
            let text = PEM.encode(label: "CERTIFICATE", der: bytes)
            #expect(text.split(separator: "\n").allSatisfy { $0.utf8.count <= 64 })
            #expect(try PEM.decodeAll(text, label: "CERTIFICATE", limit: 1) == [bytes])
            let dos = "\r\n" + text.split(separator: "\n").joined(separator: "\r\n") + "\r\n \r\n"
            #expect(try PEM.decodeAll(dos + dos, label: "CERTIFICATE", limit: 2) == [bytes, bytes])
        }
    }

    @Test(arguments: [
        ("", PEMError.noBlock), ("\n \n", .noBlock), ("x", .textOutsideBlock),
        ("-----BEGIN A-----\nAAAA\n-----END A-----\nx", .textOutsideBlock),
        (" -----BEGIN A-----\nAAAA\n-----END A-----\n", .textOutsideBlock),
        ("-----BEGIN B-----\nAAAA\n-----END B-----\n", .unexpectedLabel),
        ("-----BEGIN A-----\nAAAA\n-----END B-----\n", .unterminated), ("-----BEGIN A-----\nAAAA", .unterminated),
        ("-----BEGIN A-----\nAAAA\n-----BEGIN A-----\n", .unterminated),
        ("-----BEGIN A-----\n\nAAAA\n-----END A-----\n", .badLine),
        ("-----BEGIN A-----\nProc-Type: 4\n-----END A-----\n", .badBase64),
        ("-----BEGIN A-----\n-----END A-----\n", .badBase64), ("-----BEGIN A-----\nAAA\n-----END A-----\n", .badBase64),
        ("-----BEGIN A-----\nAAA=AAAA\n-----END A-----\n", .badBase64),
        ("-----BEGIN A-----\nAA AA\n-----END A-----\n", .badBase64),
        ("-----BEGIN A-----\nAAB=\n-----END A-----\n", .badBase64),
        ("-----BEGIN A-----\nAAAA\n-----END A-----\n-----BEGIN A-----\nAAAA\n-----END A-----\n", .tooMany(limit: 1)),
        ("-----BEGIN A-----\n" + String(repeating: "A", count: 68) + "\n-----END A-----\n", .badLine),
        (String(repeating: "\n", count: (1 << 20) + 1), .tooLarge),
    ])
    func `other PEM is refused`(_ text: String, _ error: PEMError) {
        #expect(throws: error) { try PEM.decodeAll(text, label: "A", limit: 1) }
    }
}

extension String {
    fileprivate var showsKey: Bool { contains("PrivateKey") || contains("backing") }
}
