import Crypto
import Foundation
import SPIFFE
import SwiftASN1
import TestPrograms
import Testing
@_spi(FixedExpiryValidationTime) import X509

@testable import Issuance

/// What others make of the credentials: swift-certificates, OpenSSL, and a verifier of tokens written here.
struct OracleTests {
    private func chain(_ domain: TestDomain) async throws -> (leafs: [IssuedX509SVID], root: [UInt8]) {
        let authorities = try await domain.open()
        let issuer = domain.issuer(authorities)
        let key = try P256.Signing.PrivateKey.fresh(randomBytes: domain.random.draw).publicKey
        let entry = try domain.entry(dnsNames: ["api.example.org", "api"])
        let leafs = [
            try await issuer.issueX509SVID(for: domain.caller, entry: entry, csr: try domain.request()),
            try await issuer.issueX509SVID(for: domain.caller, entry: try domain.entry(), csr: try domain.request()),
            try await issuer.issueNodeSVID(
                for: domain.caller, id: try SPIFFEID("spiffe://example.org/spire/agent/x"), csr: try domain.request()),
            try await issuer.issueServerSVID(publicKey: SPIFFE.SubjectPublicKey(key), requestID: "r"),
            try await issuer.mintX509SVID(
                for: domain.caller, csr: try domain.request(uri: "spiffe://example.org/m", dnsNames: ["m.example.org"])),
        ]
        return (leafs, try #require(authorities.x509Active).certificate.der)
    }

    @Test func `swift-certificates verifies every leaf and reads the same names`() async throws {
        try await TestDomain.run { domain in
            let (leafs, root) = try await chain(domain)
            let now = Date(timeIntervalSince1970: TimeInterval(domain.clock.now.seconds))
            for svid in leafs {
                let leaf = try Certificate(derEncoded: svid.leaf.der)
                var verifier = Verifier(rootCertificates: CertificateStore([try Certificate(derEncoded: root)])) {
                    RFC5280Policy(fixedExpiryValidationTime: now)
                }
                let result = await verifier.validate(
                    leaf: leaf, intermediates: CertificateStore())
                guard case .validCertificate(let path) = result else {
                    Issue.record("\(result)")
                    continue
                }
                #expect(path.count == 2)
                let names = try #require(try leaf.extensions.subjectAlternativeNames)
                #expect(names.first == .uniformResourceIdentifier(svid.id.string))
                #expect(try leaf.extensions.keyUsage == KeyUsage(digitalSignature: true))
                #expect(try leaf.extensions.basicConstraints == .notCertificateAuthority)
            }
        }
    }

    @Test func `the first DNS name is the common name too`() async throws {
        try await TestDomain.run { domain in
            let (leafs, _) = try await chain(domain)
            let names = try leafs.map { svid -> String? in
                let subject = try Certificate(derEncoded: svid.leaf.der).subject
                for part in subject {
                    for attribute in part where attribute.type == .RDNAttributeType.commonName {
                        return attribute.value.description
                    }
                }
                return nil
            }
            #expect(names == ["api.example.org", nil, nil, nil, "m.example.org"])
        }
    }

    @Test func `openssl verifies every leaf strictly, and a leaf below a downstream authority`() async throws {
        try await TestDomain.run { domain in
            let (leafs, root) = try await chain(domain)
            let directory = NSTemporaryDirectory() + "openssl-" + UUID().uuidString
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
            defer { try? FileManager.default.removeItem(atPath: directory) }
            func write(_ name: String, _ der: [UInt8]) throws -> String {
                let path = "\(directory)/\(name).pem"
                try PEM.encode(label: PEM.certificateLabel, der: der).write(
                    toFile: path, atomically: true, encoding: .utf8)
                return path
            }
            let rootFile = try write("root", root)
            let time = String(domain.clock.now.seconds)
            for (number, svid) in leafs.enumerated() {
                for purpose in ["sslserver", "sslclient"] {
                    let status = try await openSSL(
                        "verify", "-x509_strict", "-purpose", purpose, "-attime", time, "-CAfile", rootFile,
                        try write("leaf\(number)", svid.leaf.der))
                    #expect(status == 0, "\(svid.id)")
                }
            }
            // A control plane of its own below this one.
            let key = try P256.Signing.PrivateKey.fresh(randomBytes: domain.random.draw)
            let request = try CertificateSigningRequest(
                parsing: try CSRBuilder.make(privateKey: key, uri: "spiffe://example.org"))
            let downstream = try await domain.issuer(try await domain.open()).issueDownstreamCA(
                for: domain.caller, entry: try domain.entry(isDownstream: true), csr: request)
            let intermediate = try ParsedCertificate(der: try #require(downstream.chain.first))
            let leaf = try CertificateTemplate.x509SVID(
                id: try SPIFFEID("spiffe://example.org/below"), publicKey: try domain.request().publicKey,
                issuer: CertificateIssuer(intermediate), serialNumber: try SerialNumber([1]),
                notBefore: domain.clock.now - 10, notAfter: domain.clock.now + 60
            ).sign(with: key)
            let status = try await openSSL(
                "verify", "-x509_strict", "-attime", time, "-CAfile", rootFile, "-untrusted",
                try write("intermediate", intermediate.der), try write("below", leaf))
            #expect(status == 0)
        }
    }

    private func openSSL(_ arguments: String...) async throws -> Int32 {
        try await TestProgram(["openssl"] + arguments).ended()
    }

    @Test func `a token verifies with nothing but Foundation and the bundle's key`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let svid = try await domain.issuer(authorities).issueJWTSVID(
                for: domain.caller, entry: try domain.entry(), audience: ["a", "b"])
            let parts = svid.token.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            try #require(parts.count == 3)
            let header = try JSONDecoder().decode([String: String].self, from: try decode(parts[0]))
            let jwks = try JSONDecoder().decode(KeySet.self, from: Data(authorities.bundle.jwtJWKS()))
            let key = try #require(jwks.keys.first { $0.kid == header["kid"] })
            let point = try decode(key.x) + decode(key.y)
            let publicKey = try P256.Signing.PublicKey(rawRepresentation: point)
            let signature = try P256.Signing.ECDSASignature(rawRepresentation: try decode(parts[2]))
            #expect(publicKey.isValidSignature(signature, for: Data((parts[0] + "." + parts[1]).utf8)))
            #expect(!publicKey.isValidSignature(signature, for: Data((parts[0] + "." + parts[1] + "A").utf8)))
            let claims = try JSONDecoder().decode(Claims.self, from: try decode(parts[1]))
            #expect(claims.sub == svid.id.string)
            #expect(claims.aud == ["a", "b"])
            #expect(claims.exp == domain.clock.now.seconds + 300)
        }
    }

    private struct KeySet: Decodable {
        struct Key: Decodable {
            let kid: String
            let x: String
            let y: String
        }
        let keys: [Key]
    }

    private struct Claims: Decodable {
        let sub: String
        let aud: [String]
        let exp: Int64
    }

    private func decode(_ text: String) throws -> Data {
        var base64 = text.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
        while base64.count % 4 != 0 { base64 += "=" }
        return try #require(Data(base64Encoded: base64))
    }
}
