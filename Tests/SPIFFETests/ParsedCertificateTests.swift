import Crypto
import Foundation
import SPIFFE
import Testing
import X509

@Suite struct `Certificates` {
    typealias Extension = RawCertificate.Extension

    static func error(_ change: (inout RawCertificate) -> Void) throws -> CertificateError? {
        var raw = RawCertificate()
        change(&raw)
        let bytes = try raw.signed()
        do throws(CertificateError) {
            _ = try ParsedCertificate(der: bytes)
            return nil
        } catch {
            return error
        }
    }

    @Test func `the plain test certificate is accepted`() throws {
        #expect(try Self.error { _ in } == nil)
        #expect(try Self.error { $0.extensions = nil } == nil)
        #expect(try Self.error { $0.serial = [2, 20, 0x7f] + [UInt8](repeating: 1, count: 19) } == nil)
        #expect(try Self.error { $0.notAfter = der { $0.primitive(0x18, "20400101000000Z".utf8) } } == nil)
    }

    @Test func `each broken rule of the envelope is named`() throws {
        let table: [(CertificateError, (inout RawCertificate) -> Void)] = [
            (.unsupportedVersion, { $0.version = [] }), (.unsupportedVersion, { $0.version = [0xa0, 3, 2, 1, 1] }),
            (.unsupportedVersion, { $0.version = [0xa0, 3, 2, 1, 3] }),
            (.malformed(.trailingBytes), { $0.version = [0xa0, 6, 2, 1, 2, 2, 1, 2] }),
            (.serialNumber(.notPositive), { $0.serial = [2, 1, 0] }),
            (.serialNumber(.notPositive), { $0.serial = [2, 1, 0x80] }),
            (.serialNumber(.tooLong), { $0.serial = [2, 21] + [UInt8](repeating: 1, count: 21) }),
            (.malformed(.badValue), { $0.serial = [2, 2, 0, 1] }), (.malformed(.badValue), { $0.serial = [2, 0] }),
            (.signatureAlgorithmMismatch, { $0.innerAlgorithm[11] = 3 }),
            (.signatureAlgorithmMismatch, { $0.outerAlgorithm[11] = 4 }),
            (
                .unsupportedSignatureAlgorithm,
                {
                    $0.innerAlgorithm = [0x30, 9, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]
                    $0.outerAlgorithm = $0.innerAlgorithm
                }
            ),
            (.badTime, { $0.notBefore = der { $0.primitive(0x17, "261301000000Z".utf8) } }),
            (.badTime, { $0.notAfter = der { $0.primitive(0x18, "20261101000000.5Z".utf8) } }),
            (.badTime, { $0.notAfter = [0x04, 0] }), (.malformed(.truncated), { $0.notAfter = [] }),
            (.malformed(.truncated), { $0.subject = [0x30, 2, 0x31, 0] }),
            (.malformed(.unexpectedTag), { $0.issuer = [0x31, 0] }),
            (.publicKey(.unsupported), { $0.spki = [0x30, 0x0a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6f, 3, 1, 0] }),
            (.malformed(.trailingBytes), { $0.uniqueIDs = [0x81, 2, 0, 1] }),
            (.malformed(.trailingBytes), { $0.uniqueIDs = [0x82, 2, 0, 1] }),
            (.malformed(.trailingBytes), { $0.trailing = [0] }),
        ]
        for (index, (expected, change)) in table.enumerated() {
            #expect(try Self.error(change) == expected, "row \(index)")
        }
        #expect(throws: CertificateError.tooLarge) {
            try ParsedCertificate(der: [UInt8](repeating: 0x30, count: 65_537))
        }
    }

    @Test func `each broken rule of the extensions is named`() throws {
        let san = try ObjectIdentifierBytes(content: Extension.sanOID)
        let basic = try ObjectIdentifierBytes(content: [0x55, 0x1d, 0x13])
        let usage = try ObjectIdentifierBytes(content: [0x55, 0x1d, 0x0f])
        let purposes = try ObjectIdentifierBytes(content: [0x55, 0x1d, 0x25])
        func value(_ oid: ObjectIdentifierBytes, _ bytes: [UInt8]) -> [Extension] {
            [Extension(oid: oid.content, isCritical: false, value: bytes)]
        }
        let table: [([Extension], CertificateExtensionError)] = [
            ([], .malformed(.badValue)),
            ([.uris(["a:b"]), .uris(["a:b"])], .duplicate(san)),
            (
                [.other([0x2a], isCritical: false), .other([0x2a], isCritical: true)],
                .duplicate(try ObjectIdentifierBytes(content: [0x2a]))
            ),
            ((0..<65).map { .other([0x2a, $0], isCritical: false) }, .tooMany),
            (value(san, []), .malformedValue(san, .truncated)),
            (value(san, [0x30, 0]), .malformedValue(san, .truncated)),
            (value(san, [0x30, 3, 0x86, 1, 0x61, 0]), .malformedValue(san, .trailingBytes)),
            (value(san, [0x30, 2, 0x86, 0]), .malformedValue(san, .badValue)),
            (value(san, [0x30, 3, 0x86, 1, 0x80]), .malformedValue(san, .badValue)),
            (value(san, [0x30, 3, 0x86, 1, 0x00]), .malformedValue(san, .badValue)),
            (value(san, [0x30, 3, 0x86, 1, 0x20]), .malformedValue(san, .badValue)),
            (value(san, [0x30, 3, 0x0c, 1, 0x61]), .malformedValue(san, .unexpectedTag)),
            ([.basicConstraints([1, 1, 1])], .malformedValue(basic, .badValue)),
            ([.basicConstraints([1, 1, 0xff, 2, 1, 0xff])], .malformedValue(basic, .badValue)),
            ([.basicConstraints([2, 1, 0])], .malformedValue(basic, .badValue)),
            ([.basicConstraints([1, 1, 0xff, 2, 1, 0, 5, 0])], .malformedValue(basic, .trailingBytes)),
            ([.keyUsage([7, 0x81])], .malformedValue(usage, .badValue)),
            ([.purposes([])], .malformedValue(purposes, .truncated)),
        ]
        for (index, (extensions, expected)) in table.enumerated() {
            #expect(try Self.error { $0.extensions = extensions } == .extensions(expected), "row \(index)")
        }
    }

    @Test func `unknown critical extensions and all name constraints are reported`() throws {
        var raw = RawCertificate()
        let constraints: [UInt8] = [0x55, 0x1d, 0x1e]
        raw.extensions = [
            .other([0x2a, 1], isCritical: true), .other([0x2a, 2], isCritical: false),
            .other(constraints, isCritical: false),
        ]
        let parsed = try ParsedCertificate(der: raw.signed())
        #expect(parsed.unknownCriticalExtensions.map(\.content) == [[0x2a, 1], constraints])
    }

    @Test func `other names are passed over, an explicit false is read`() throws {
        var raw = RawCertificate()
        raw.extensions = [
            Extension(
                oid: Extension.sanOID, isCritical: true,
                value: der {
                    $0.element(0x30) { names in
                        names.primitive(0x87, [127, 0, 0, 1])
                        names.primitive(0x86, "spiffe://a/b".utf8)
                        names.primitive(0x81, "x@y".utf8)
                        names.primitive(0x82, "a.b".utf8)
                    }
                }),
            .basicConstraints([1, 1, 0]),
        ]
        let parsed = try ParsedCertificate(der: raw.signed())
        #expect(parsed.uriSANs == ["spiffe://a/b"])
        #expect(parsed.dnsSANs == ["a.b"])
        #expect(parsed.extensions.subjectAlternativeNameIsCritical)
        #expect(parsed.basicConstraints?.isCA == false)
    }

    @Test func `certificates of a second implementation are read, with every offered signature`() throws {
        let rsa = try Certificate.PrivateKey(pemEncoded: Fixtures.rsa2048)
        let table: [(Certificate.PrivateKey, Certificate.SignatureAlgorithm, X509SignatureAlgorithm)] = [
            (.init(P256.Signing.PrivateKey()), .ecdsaWithSHA256, .ecdsaWithSHA256),
            (.init(P256.Signing.PrivateKey()), .ecdsaWithSHA384, .ecdsaWithSHA384),
            (.init(P384.Signing.PrivateKey()), .ecdsaWithSHA384, .ecdsaWithSHA384),
            (.init(P384.Signing.PrivateKey()), .ecdsaWithSHA512, .ecdsaWithSHA512),
            (.init(P521.Signing.PrivateKey()), .ecdsaWithSHA512, .ecdsaWithSHA512),
            (.init(Curve25519.Signing.PrivateKey()), .ed25519, .ed25519),
            (rsa, .sha256WithRSAEncryption, .rsaPKCS1WithSHA256), (rsa, .sha384WithRSAEncryption, .rsaPKCS1WithSHA384),
            (rsa, .sha512WithRSAEncryption, .rsaPKCS1WithSHA512),
        ]
        for (key, theirs, ours) in table {
            let name = try DistinguishedName {
                CountryName("DE")
                CommonName("Prüfstelle")
            }
            let other = try Certificate(
                version: .v3, serialNumber: .init(bytes: [0x91, 2, 3]), publicKey: key.publicKey,
                notValidBefore: Date(timeIntervalSince1970: 1_700_000_000),
                notValidAfter: Date(timeIntervalSince1970: 2_700_000_000), issuer: name, subject: name,
                signatureAlgorithm: theirs,
                extensions: Certificate.Extensions {
                    Critical(X509.BasicConstraints.isCertificateAuthority(maxPathLength: 3))
                    Critical(X509.KeyUsage(digitalSignature: true, keyCertSign: true, decipherOnly: true))
                    SubjectAlternativeNames([.dnsName("x.y"), .uniformResourceIdentifier("spiffe://td")])
                    SubjectKeyIdentifier(keyIdentifier: [1, 2, 3])
                    AuthorityKeyIdentifier(keyIdentifier: [4, 5])
                }, issuerPrivateKey: key)
            let parsed = try ParsedCertificate(der: [UInt8](other.serializeAsPEM().derBytes))
            #expect(parsed.signatureAlgorithm == ours)
            #expect(parsed.serialNumber.hex == "910203")
            #expect(parsed.notBefore.seconds == 1_700_000_000)
            #expect(parsed.notAfter.seconds == 2_700_000_000)
            #expect(parsed.basicConstraints?.pathLength == 3)
            #expect(parsed.keyUsage == [.digitalSignature, .keyCertSign, KeyUsage(rawValue: 0x0080)])
            #expect(parsed.uriSANs == ["spiffe://td"])
            #expect(parsed.subjectKeyIdentifier == [1, 2, 3])
            #expect(parsed.authorityKeyIdentifier == [4, 5])
            #expect(parsed.isSigned(by: parsed.publicKey))
            #expect(!parsed.isSigned(by: SubjectPublicKey(P256.Signing.PrivateKey().publicKey)))
        }
    }

    @Test func `PSS is read with one hash throughout, SHA-1 not at all`() throws {
        for (pem, algorithm) in [
            (Fixtures.pssSHA256, X509SignatureAlgorithm.rsaPSSWithSHA256), (Fixtures.pssSHA512, .rsaPSSWithSHA512),
        ] {
            let parsed = try ParsedCertificate(der: PEM.decodeAll(pem, label: "CERTIFICATE", limit: 1)[0])
            #expect(parsed.signatureAlgorithm == algorithm)
            #expect(parsed.isSigned(by: parsed.publicKey))
        }
        for pem in [Fixtures.pssShortSalt, Fixtures.sha1] {
            let bytes = try PEM.decodeAll(pem, label: "CERTIFICATE", limit: 1)[0]
            #expect(throws: CertificateError.unsupportedSignatureAlgorithm) { try ParsedCertificate(der: bytes) }
        }
    }

    @Test func `validity includes both ends`() throws {
        let leaf = try ParsedCertificate(der: TestAuthority().leaf(notBefore: now, notAfter: now + 60))
        #expect(!leaf.isValid(at: now.adding(milliseconds: -1)))
        #expect(leaf.isValid(at: now))
        #expect(leaf.isValid(at: (now + 60).adding(milliseconds: 999)))
        #expect(!leaf.isValid(at: now + 61))
    }

    @Test func `cut off anywhere it is refused`() throws {
        let bytes = try TestAuthority().leaf(dnsNames: ["a.b"])
        for count in 0..<bytes.count {
            #expect(throws: CertificateError.self) { try ParsedCertificate(der: Array(bytes.prefix(count))) }
        }
    }
}
