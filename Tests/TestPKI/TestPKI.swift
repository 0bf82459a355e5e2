package import Crypto
import Foundation
package import SPIFFE
import SwiftASN1
package import X509

/// A PKI outside: authorities and certificates of any shape.
package struct TestPKI: Sendable {
    /// A certificate with its key.
    package struct Holder: Sendable {
        package let certificate: Certificate
        package let key: P256.Signing.PrivateKey

        package var der: [UInt8] {
            get throws {
                var serializer = DER.Serializer()
                try serializer.serialize(certificate)
                return serializer.serializedBytes
            }
        }

        package var pem: [UInt8] {
            get throws { Array(PEM.encode(label: PEM.certificateLabel, der: try der).utf8) }
        }
    }

    /// The moment from which validity counts.
    package let now: UnixTime

    package init(now: UnixTime) { self.now = now }

    /// What a certificate says; by itself that of a client.
    package struct Shape: Sendable {
        package var subject = "client"
        package var names: [GeneralName] = [.dnsName("a.example.org")]
        package var isCA = false
        package var pathLength: Int?
        package var usage: X509.KeyUsage? = X509.KeyUsage(digitalSignature: true)
        package var purposes: [ExtendedKeyUsage.Usage]?
        package var isPurposeCritical = false
        package var nameConstraints: NameConstraints?
        package var from: Int64 = -60
        package var until: Int64 = 3600

        package static func authority(_ subject: String, _ change: (inout Shape) -> Void = { _ in }) -> Shape {
            var shape = Shape()
            shape.subject = subject
            shape.names = []
            shape.isCA = true
            shape.usage = X509.KeyUsage(keyCertSign: true)
            shape.until = 86_400
            change(&shape)
            return shape
        }

        package static func client(_ change: (inout Shape) -> Void = { _ in }) -> Shape {
            var shape = Shape()
            change(&shape)
            return shape
        }
    }

    /// Makes a certificate, signed by itself where there is no issuer.
    package func make(_ shape: Shape, by issuer: Holder? = nil) throws -> Holder {
        let key = P256.Signing.PrivateKey()
        let subject = try DistinguishedName { CommonName(shape.subject) }
        let certificate = try Certificate(
            version: .v3,
            // By itself the library makes numbers of 21 bytes, which is one too many (RFC 5280 §4.1.2.2).
            serialNumber: Certificate.SerialNumber(bytes: (0..<16).map { _ in UInt8.random(in: 1...127) }),
            publicKey: Certificate.PublicKey(key.publicKey),
            notValidBefore: date(shape.from), notValidAfter: date(shape.until),
            issuer: issuer?.certificate.subject ?? subject, subject: subject,
            signatureAlgorithm: .ecdsaWithSHA256, extensions: Self.extensions(shape),
            issuerPrivateKey: Certificate.PrivateKey(issuer?.key ?? key))
        return Holder(certificate: certificate, key: key)
    }

    private func date(_ offset: Int64) -> Date { Date(timeIntervalSince1970: Double(now.seconds + offset)) }

    private static func extensions(_ shape: Shape) throws -> Certificate.Extensions {
        try Certificate.Extensions {
            Critical(
                shape.isCA
                    ? X509.BasicConstraints.isCertificateAuthority(maxPathLength: shape.pathLength)
                    : X509.BasicConstraints.notCertificateAuthority)
            if let usage = shape.usage { Critical(usage) }
            if let purposes = shape.purposes, shape.isPurposeCritical { Critical(try ExtendedKeyUsage(purposes)) }
            if let purposes = shape.purposes, !shape.isPurposeCritical { try ExtendedKeyUsage(purposes) }
            if let constraints = shape.nameConstraints { Critical(constraints) }
            if !shape.names.isEmpty { SubjectAlternativeNames(shape.names) }
        }
    }
}

/// A chain as a server takes it from TLS.
package func presented(_ chain: TestPKI.Holder...) throws -> PresentedCertificate {
    try PresentedCertificate(unverified: chain.map { try $0.der })
}
