import Crypto
import Foundation
import SPIFFE
import SwiftASN1
import TestPrograms
import Testing
import X509

@Suite struct `Certificate templates` {
    @Test func `IP addresses are names of their own, here and in a second implementation`() throws {
        let authority = try TestAuthority()
        let key = P256.Signing.PrivateKey()
        let addresses = ["127.0.0.1", "::1"].compactMap { IPAddress($0) }
        let root = try ParsedCertificate(der: authority.der)
        let template = try CertificateTemplate.x509SVID(
            id: SPIFFEID("spiffe://example.org/agent"), dnsNames: ["localhost"], ipAddresses: addresses,
            publicKey: SubjectPublicKey(key.publicKey), issuer: CertificateIssuer(root),
            serialNumber: SerialNumber([9]), notBefore: now - 10, notAfter: now + 60)
        let bytes = try template.sign(with: key)
        #expect(try ParsedCertificate(der: bytes).extensions.ipSANs == addresses)
        let names = try Certificate(derEncoded: bytes).extensions.subjectAlternativeNames.map(Array.init)
        #expect(
            names?.suffix(2) == [
                .ipAddress(ASN1OctetString(contentBytes: [127, 0, 0, 1])),
                .ipAddress(ASN1OctetString(contentBytes: [UInt8](repeating: 0, count: 15) + [1])),
            ])
    }

    @Test(
        arguments: [
            ("127.0.0.1", [127, 0, 0, 1]), ("0.0.0.0", [0, 0, 0, 0]), ("255.255.255.255", [255, 255, 255, 255]),
            ("::", [UInt8](repeating: 0, count: 16)), ("::1", [UInt8](repeating: 0, count: 15) + [1]),
            ("2001:db8::7", [0x20, 1, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [7]),
            ("1::", [0, 1] + [UInt8](repeating: 0, count: 14)),
            ("1:2:3:4:5:6:7:8", [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8]),
            ("::ffff:192.0.2.1", [UInt8](repeating: 0, count: 10) + [255, 255, 192, 0, 2, 1]),
            ("1:2:3:4:5:6:1.2.3.4", [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 1, 2, 3, 4]),
        ] as [(String, [UInt8])])
    func `an IP address is read`(_ text: String, _ octets: [UInt8]) {
        #expect(IPAddress(text)?.octets == octets)
    }

    @Test(arguments: [
        "", "localhost", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.", "+1.2.3.4", ":", ":::", "::1::",
        "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::12345", "::g", "::+1", "fe80::1%lo", "[::1]",
        "1.2.3.4::1", ":1", "1:", "::1.2.3", String(repeating: "1", count: 64),
    ])
    func `what is no IP address is not read`(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func `a leaf reads the same in a second implementation`() throws {
        let authority = try TestAuthority()
        let key = P256.Signing.PrivateKey()
        let bytes = try authority.leaf(dnsNames: ["agent.example.org", "b.example.org"], key: key)
        let other = try Certificate(derEncoded: bytes)
        let root = try Certificate(derEncoded: authority.der)
        #expect(root.publicKey.isValidSignature(other.signature, for: other))
        #expect(other.version == .v3)
        #expect(Array(other.serialNumber.bytes) == [0x7f, 2])
        #expect(other.notValidBefore == Date(timeIntervalSince1970: Double(now.seconds - 10)))
        #expect(other.notValidAfter == Date(timeIntervalSince1970: Double(now.seconds + 3600)))
        #expect(other.publicKey == Certificate.PublicKey(key.publicKey))
        #expect(other.issuer == root.subject)
        let subject = try DistinguishedName {
            CountryName("US")
            OrganizationName("AgentShield")
            CommonName("agent.example.org")
        }
        #expect(other.subject.description == subject.description)
        #expect(
            try other.extensions.subjectAlternativeNames.map(Array.init) == [
                .uniformResourceIdentifier("spiffe://example.org/agent"), .dnsName("agent.example.org"),
                .dnsName("b.example.org"),
            ])
        #expect(try other.extensions.basicConstraints == .notCertificateAuthority)
        #expect(try other.extensions.keyUsage == X509.KeyUsage(digitalSignature: true))
        #expect(try other.extensions.extendedKeyUsage == ExtendedKeyUsage([.serverAuth, .clientAuth]))
        for (oid, isCritical) in [
            (ASN1ObjectIdentifier.X509ExtensionID.basicConstraints, true), (.X509ExtensionID.keyUsage, true),
            (.X509ExtensionID.extendedKeyUsage, false), (.X509ExtensionID.subjectAlternativeName, false),
            (.X509ExtensionID.subjectKeyIdentifier, false), (.X509ExtensionID.authorityKeyIdentifier, false),
        ] {
            #expect(other.extensions[oid: oid]?.critical == isCritical)
        }
        #expect(
            try other.extensions.subjectKeyIdentifier?.keyIdentifier.elementsEqual(
                Insecure.SHA1.hash(data: key.publicKey.x963Representation)) == true)
        #expect(
            try other.extensions.authorityKeyIdentifier?.keyIdentifier
                == root.extensions.subjectKeyIdentifier?.keyIdentifier)
    }

    @Test func `authorities read the same in a second implementation`() throws {
        let root = try TestAuthority(serial: 9, pathLength: 1)
        let child = try TestAuthority(serial: 10, signedBy: root, pathLength: 0)
        for (authority, issuer, pathLength) in [(root, root, 1), (child, root, 0)] {
            let other = try Certificate(derEncoded: authority.der)
            let parent = try Certificate(derEncoded: issuer.der)
            #expect(parent.publicKey.isValidSignature(other.signature, for: other))
            #expect(other.issuer == parent.subject)
            #expect(
                try other.extensions.basicConstraints == .isCertificateAuthority(maxPathLength: pathLength))
            #expect(try other.extensions.keyUsage == X509.KeyUsage(keyCertSign: true, cRLSign: true))
            #expect(
                try other.extensions.subjectAlternativeNames.map(Array.init) == [
                    .uniformResourceIdentifier("spiffe://example.org")
                ])
            #expect((try other.extensions.authorityKeyIdentifier != nil) == (pathLength == 0))
        }
        #expect(root.certificate.subject != child.certificate.subject)
        #expect(root.certificate.isSelfIssued)
        #expect(!child.certificate.isSelfIssued)
    }

    @Test func `the strict check of OpenSSL accepts root, intermediate and leaf`() async throws {
        let root = try TestAuthority(serial: 9)
        let child = try TestAuthority(serial: 10, signedBy: root, pathLength: 0)
        let folder = FileManager.default.temporaryDirectory.appending(path: "spiffe-\(UInt64.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        func write(_ name: String, _ bytes: [UInt8]) throws -> String {
            let file = folder.appending(path: name)
            try Data(PEM.encode(label: "CERTIFICATE", der: bytes).utf8).write(to: file)
            return file.path()
        }
        let program = try TestProgram([
            "openssl", "verify", "-x509_strict", "-attime", "\(now.seconds)", "-purpose", "sslclient", "-CAfile",
            write("root.pem", root.der), "-untrusted", write("child.pem", child.der),
            write("leaf.pem", child.leaf(dnsNames: ["agent.example.org"])),
        ])
        let code = try await program.ended()
        #expect(code == 0, "\(program.output)")
    }

    @Test func `times after 2049 and long names are written by the rules`() throws {
        let far = try #require(UnixTime(rfc3339: "2060-01-01T00:00:00Z"))
        let authority = try TestAuthority(notAfter: far + 1)
        let longName = String(repeating: "a", count: 60) + ".example.org"
        let bytes = try authority.leaf(dnsNames: [longName], notAfter: far)
        let parsed = try ParsedCertificate(der: bytes)
        #expect(parsed.notAfter == far)
        #expect(parsed.dnsSANs == [longName])
        let other = try Certificate(derEncoded: bytes)
        #expect(other.notValidAfter == Date(timeIntervalSince1970: Double(far.seconds)))
        #expect(!other.subject.description.contains("CN="))
    }

    @Test func `what makes no certificate is refused`() throws {
        let authority = try TestAuthority()
        func leafError(
            _ id: String = "spiffe://td/x", dns: [String] = [], from: UnixTime = now, to: UnixTime = now + 1
        ) -> CertificateTemplateError? {
            #expect(throws: CertificateTemplateError.self) {
                try CertificateTemplate.x509SVID(
                    id: SPIFFEID(id), dnsNames: dns, publicKey: authority.certificate.publicKey,
                    issuer: CertificateIssuer(authority.certificate), serialNumber: SerialNumber([1]), notBefore: from,
                    notAfter: to)
            }
        }
        #expect(leafError("spiffe://td") == .rootPath)
        #expect(leafError(from: now + 1, to: now) == .badValidity)
        #expect(leafError(to: UnixTime(milliseconds: .max)) == .badValidity)
        for name in [
            "", "a..b", ".a", "a.", "-a.b", "a-.b", "a b", "a\u{0}b", "ä.b", "*", "a.*.b", "*a.b",
            String(repeating: "a", count: 64), Array(repeating: "abcdefg", count: 40).joined(separator: "."),
        ] {
            #expect(leafError(dns: ["ok.example", name]) == .badDNSName(name))
        }
        for name in ["a", "*.a.b", "A-1_x.b", "1.2.3.4"] { #expect(DNSName.isValid(name)) }
        #expect(throws: CertificateTemplateError.badPathLength) { try TestAuthority(pathLength: -1) }
        #expect(throws: CertificateTemplateError.badPathLength) { try TestAuthority(pathLength: 9) }
    }

    @Test func `the parser gives back what the template wrote`() throws {
        let authority = try TestAuthority(pathLength: 2)
        let key = P256.Signing.PrivateKey()
        let leaf = try ParsedCertificate(der: authority.leaf(dnsNames: ["a.b"], key: key))
        #expect(leaf.uriSANs == ["spiffe://example.org/agent"])
        #expect(leaf.dnsSANs == ["a.b"])
        #expect(leaf.issuer == authority.certificate.subject)
        #expect(leaf.notBefore == now - 10)
        #expect(leaf.notAfter == now + 3600)
        #expect(leaf.serialNumber.bytes == [0x7f, 2])
        #expect(!leaf.isCA)
        #expect(leaf.keyUsage == .digitalSignature)
        #expect(leaf.extensions.keyUsageIsCritical)
        #expect(leaf.extendedKeyUsage?.map(\.description) == ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"])
        #expect(leaf.subjectKeyIdentifier == leaf.publicKey.subjectKeyIdentifier)
        #expect(leaf.authorityKeyIdentifier == authority.certificate.subjectKeyIdentifier)
        #expect(leaf.signatureAlgorithm == .ecdsaWithSHA256)
        #expect(leaf.unknownCriticalExtensions.isEmpty)
        #expect(leaf.isSigned(by: authority.certificate.publicKey))
        #expect(!leaf.isSigned(by: leaf.publicKey))
        #expect(authority.certificate.basicConstraints?.pathLength == 2)
        #expect(authority.certificate.isCA)
        #expect(authority.certificate.keyUsage == [.keyCertSign, .cRLSign])
    }
}
