import Crypto
import Foundation
import SPIFFE
import SwiftASN1
import Testing
import X509

@Suite struct `Certificate requests` {
    @Test func `a request that we make is read by us and by a second implementation`() throws {
        let key = P256.Signing.PrivateKey()
        let bytes = try CSRBuilder.make(
            privateKey: key, uri: "spiffe://example.org/agent", dnsNames: ["a.example.org", "b.example.org"])
        let request = try CertificateSigningRequest(parsing: bytes)
        #expect(request.publicKey == SubjectPublicKey(key.publicKey))
        #expect(request.publicKey.p256?.rawRepresentation == key.publicKey.rawRepresentation)
        #expect(request.uriSANs == ["spiffe://example.org/agent"])
        #expect(request.dnsSANs == ["a.example.org", "b.example.org"])
        let other = try X509.CertificateSigningRequest(derEncoded: bytes)
        #expect(other.publicKey.isValidSignature(other.signature, for: other))
        #expect(try CertificateSigningRequest.parse(der: CSRBuilder.make(privateKey: key)).uriSANs.isEmpty)
    }

    @Test func `requests of every offered kind of key are read`() throws {
        let rsa = try Certificate.PrivateKey(pemEncoded: Fixtures.rsa2048)
        for (key, kind) in [
            (Certificate.PrivateKey(P256.Signing.PrivateKey()), SubjectPublicKey.Kind.p256),
            (Certificate.PrivateKey(P384.Signing.PrivateKey()), .p384),
            (Certificate.PrivateKey(P521.Signing.PrivateKey()), .p521),
            (Certificate.PrivateKey(Curve25519.Signing.PrivateKey()), .ed25519), (rsa, .rsa(bits: 2048)),
        ] {
            let other = try X509.CertificateSigningRequest(
                version: .v1, subject: DistinguishedName { CommonName("agent") }, privateKey: key,
                attributes: .init([
                    .init(
                        ExtensionRequest(
                            extensions: Certificate.Extensions {
                                SubjectAlternativeNames([.uniformResourceIdentifier("spiffe://example.org/x")])
                            }))
                ]))
            var serializer = DER.Serializer()
            try serializer.serialize(other)
            let request = try CertificateSigningRequest(parsing: serializer.serializedBytes)
            #expect(request.publicKey.kind == kind)
            #expect(request.uriSANs == ["spiffe://example.org/x"])
        }
    }

    @Test func `the proof of possession has to be the key's`() throws {
        let bytes = try CSRBuilder.make(privateKey: P256.Signing.PrivateKey())
        let other = try CSRBuilder.make(privateKey: P256.Signing.PrivateKey())
        // Same lengths throughout: swap the keys' points, keep algorithm and signature.
        let first = try #require(bytes.firstRange(of: [0x03, 0x42, 0x00, 0x04] as [UInt8])).upperBound
        let second = try #require(other.firstRange(of: [0x03, 0x42, 0x00, 0x04] as [UInt8])).upperBound
        var forged = bytes
        forged.replaceSubrange(first..<first + 64, with: other[second..<second + 64])
        #expect(throws: CSRError.badSignature) { try CertificateSigningRequest(parsing: forged) }
    }

    @Test func `cut off anywhere it is refused`() throws {
        let bytes = try CSRBuilder.make(
            privateKey: P256.Signing.PrivateKey(), uri: "spiffe://example.org/agent", dnsNames: ["a.b"])
        for count in 0..<bytes.count {
            #expect(throws: CSRError.self) { try CertificateSigningRequest(parsing: Array(bytes.prefix(count))) }
        }
        #expect(throws: CSRError.malformed(.trailingBytes)) {
            try CertificateSigningRequest(parsing: bytes + [0])
        }
    }

    @Test func `with any bit of any byte flipped it is refused`() throws {
        let bytes = try CSRBuilder.make(
            privateKey: P256.Signing.PrivateKey(), uri: "spiffe://example.org/agent", dnsNames: ["a.b"])
        for index in bytes.indices {
            for bit in 0..<8 {
                var changed = bytes
                changed[index] ^= 1 << bit
                #expect(throws: CSRError.self) { try CertificateSigningRequest(parsing: changed) }
            }
        }
    }

    @Test func `every length byte replaced by every value is survived`() throws {
        let bytes = try CSRBuilder.make(privateKey: P256.Signing.PrivateKey(), uri: "spiffe://example.org/agent")
        for index in 0..<80 {
            for value in UInt8.min ... .max where value != bytes[index] {
                var changed = bytes
                changed[index] = value
                #expect(throws: CSRError.self) { try CertificateSigningRequest(parsing: changed) }
            }
        }
    }

    struct Raw {
        var version: [UInt8] = [2, 1, 0]
        var subject: [UInt8] = [0x30, 0]
        var spki: [UInt8]?
        var attributes: [UInt8] = [0xa0, 0]
        var algorithm = RawCertificate.ecdsa

        func signed() throws -> [UInt8] {
            let key = P256.Signing.PrivateKey()
            let info = der { writer in
                writer.element(0x30) { info in
                    info.raw(version)
                    info.raw(subject)
                    info.raw(spki ?? SubjectPublicKey(key.publicKey).derSPKI)
                    info.raw(attributes)
                }
            }
            let signature = [UInt8](try key.signature(for: info).derRepresentation)
            return der { writer in
                writer.element(0x30) { outer in
                    outer.raw(info)
                    outer.raw(algorithm)
                    outer.bitString(signature)
                }
            }
        }

        static func attribute(_ values: [[UInt8]], oid: [UInt8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 0x0e])
            -> [UInt8]
        {
            der { writer in
                writer.element(0x30) { attribute in
                    attribute.primitive(0x06, oid)
                    attribute.element(0x31) { set in for value in values { set.raw(value) } }
                }
            }
        }

        static func attributes(_ list: [[UInt8]]) -> [UInt8] {
            der { $0.element(0xa0) { field in for item in list { field.raw(item) } } }
        }
    }

    @Test func `each rule has its error`() throws {
        let duplicate = der { list in
            list.element(0x30) { extensions in
                for _ in 0..<2 {
                    extensions.element(0x30) { one in
                        one.primitive(0x06, [0x55, 0x1d, 0x25])
                        one.primitive(0x04, [0x30, 0x03, 0x06, 0x01, 0x2a])
                    }
                }
            }
        }
        let san = try ObjectIdentifierBytes(content: [0x55, 0x1d, 0x25])
        let table: [(Raw, CSRError)] = [
            (Raw(version: [2, 1, 1]), .unsupportedVersion),
            (
                Raw(algorithm: [0x30, 0x09, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01]),
                .unsupportedSignatureAlgorithm
            ),
            (Raw(algorithm: [0x30, 0x0c] + RawCertificate.ecdsa.dropFirst(2) + [5, 0]), .malformed(.trailingBytes)),
            (Raw(algorithm: [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70]), .badSignature),
            (Raw(attributes: []), .malformed(.truncated)),
            (Raw(subject: [0x30, 0x02, 0x31, 0x00]), .malformed(.truncated)),
            (Raw(attributes: Raw.attributes([Raw.attribute([])])), .malformed(.truncated)),
            (Raw(attributes: Raw.attributes([Raw.attribute([[0x30, 0], [0x30, 0]])])), .malformed(.trailingBytes)),
            (
                Raw(attributes: Raw.attributes([Raw.attribute([[0x30, 0]]), Raw.attribute([[0x30, 0]])])),
                .duplicateExtensionRequest
            ),
            (Raw(attributes: Raw.attributes([Raw.attribute([duplicate])])), .extensions(.duplicate(san))),
            (
                Raw(attributes: Raw.attributes(Array(repeating: Raw.attribute([[5, 0]], oid: [0x2a]), count: 17))),
                .tooManyAttributes
            ),
        ]
        for (raw, error) in table {
            #expect(throws: error) { try CertificateSigningRequest(parsing: raw.signed()) }
        }
        #expect(throws: Never.self) {
            _ = try CertificateSigningRequest(parsing: Raw().signed())
            _ = try CertificateSigningRequest(
                parsing: Raw(
                    attributes: Raw.attributes([Raw.attribute([[0x30, 0]]), Raw.attribute([[5, 0]], oid: [0x2a])])
                ).signed())
        }
        #expect(throws: CSRError.tooLarge) {
            try CertificateSigningRequest(parsing: [UInt8](repeating: 0x30, count: 16_385))
        }
    }

    @Test func `weak and broken keys are refused`() throws {
        func rsa(bits: Int, exponent: [UInt8]) -> [UInt8] {
            let modulus = [0xff] + [UInt8](repeating: 0x55, count: bits / 8 - 1)
            let key = der {
                $0.element(0x30) { numbers in
                    numbers.unsignedInteger(modulus)
                    numbers.unsignedInteger(exponent)
                }
            }
            return der {
                $0.element(0x30) { spki in
                    spki.raw([0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0])
                    spki.bitString(key)
                }
            }
        }
        func curve(_ oid: [UInt8], _ point: [UInt8]) -> [UInt8] {
            der {
                $0.element(0x30) { spki in
                    spki.element(0x30) { algorithm in
                        algorithm.primitive(0x06, [0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1])
                        algorithm.primitive(0x06, oid)
                    }
                    spki.bitString(point)
                }
            }
        }
        let p256: [UInt8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]
        let key = P256.Signing.PrivateKey().publicKey
        let table: [([UInt8], PublicKeyError)] = [
            (rsa(bits: 1024, exponent: [1, 0, 1]), .rsaSize(1024)),
            (rsa(bits: 8192, exponent: [1, 0, 1]), .rsaSize(8192)),
            (rsa(bits: 2048, exponent: [1]), .malformed(.badValue)),
            (rsa(bits: 2048, exponent: [2]), .malformed(.badValue)),
            (rsa(bits: 2048, exponent: [1, 0, 0, 0, 1]), .malformed(.badValue)),
            (curve(p256, [4] + [UInt8](repeating: 1, count: 64)), .invalidKey), (curve(p256, [0]), .invalidKey),
            (curve(p256, [UInt8](key.compressedRepresentation)), .invalidKey),
            (curve(p256, [UInt8](key.x963Representation) + [0]), .invalidKey),
            (curve([0x2b, 0x81, 0x04, 0x00, 0x0a], [UInt8](key.x963Representation)), .unsupported),
            (curve([0x2b, 0x81, 0x04, 0x00, 0x22], [UInt8](key.x963Representation)), .invalidKey),
            ([0x30, 0x0a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x01, 0x00], .invalidKey),
            ([0x30, 0x0a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6f, 0x03, 0x01, 0x00], .unsupported),
            ([], .malformed(.truncated)),
        ]
        for (spki, error) in table {
            #expect(throws: error) { try SubjectPublicKey(derSPKI: spki) }
            guard !spki.isEmpty else { continue }
            #expect(throws: CSRError.publicKey(error)) {
                try CertificateSigningRequest(parsing: Raw(spki: spki).signed())
            }
        }
    }
}
