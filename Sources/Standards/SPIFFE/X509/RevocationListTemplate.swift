package import Crypto

/// A certificate revocation list about to be signed (X.509 v2 CRL, RFC 5280 §5), written straight into DER.
package struct RevocationListTemplate: Sendable {
    /// One revoked certificate.
    package struct Entry: Hashable, Sendable {
        package let serialNumber: SerialNumber
        package let revokedAt: UnixTime

        package init(serialNumber: SerialNumber, revokedAt: UnixTime) {
            self.serialNumber = serialNumber
            self.revokedAt = revokedAt
        }
    }

    private let issuer: CertificateIssuer
    private let number: UInt64
    private let thisUpdate: UnixTime
    private let nextUpdate: UnixTime
    private let entries: [Entry]

    /// A complete list of one authority.
    /// - Parameter number: the CRL number (§5.2.3); grows with every list.
    package init(
        issuer: CertificateIssuer, number: UInt64, thisUpdate: UnixTime, nextUpdate: UnixTime, entries: [Entry]
    ) {
        self.issuer = issuer
        self.number = number
        self.thisUpdate = thisUpdate
        self.nextUpdate = nextUpdate
        self.entries = entries.sorted { $0.serialNumber < $1.serialNumber }
    }

    /// The list in DER, signed with ECDSA and SHA-256; throws only if signing fails.
    package func sign(with key: P256.Signing.PrivateKey) throws -> [UInt8] {
        try CertificateTemplate.sign(tbsCertList(), with: key)
    }

    private func tbsCertList() -> [UInt8] {
        var writer = DERWriter(capacity: 256 + entries.count * 40)
        writer.element(DERTag.sequence) { list in
            list.primitive(DERTag.integer, [1])
            list.element(DERTag.sequence) {
                $0.primitive(DERTag.objectIdentifier, ObjectIdentifierBytes.ecdsaWithSHA256.content)
            }
            list.raw(issuer.name)
            list.time(thisUpdate)
            list.time(nextUpdate)
            // Absent when empty (§5.1.2.6).
            if !entries.isEmpty {
                list.element(DERTag.sequence) { revoked in
                    for entry in entries {
                        revoked.element(DERTag.sequence) { fields in
                            fields.unsignedInteger(entry.serialNumber.bytes)
                            fields.time(entry.revokedAt)
                        }
                    }
                }
            }
            list.element(DERTag.constructedContext(0)) { field in
                field.element(DERTag.sequence) { extensions in
                    Self.write(.authorityKeyIdentifier, to: &extensions) { value in
                        value.element(DERTag.sequence) { $0.primitive(DERTag.context(0), issuer.keyIdentifier) }
                    }
                    Self.write(.crlNumber, to: &extensions) { value in
                        value.unsignedInteger(
                            stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> $0) })
                    }
                }
            }
        }
        return writer.bytes
    }

    private static func write(
        _ oid: ObjectIdentifierBytes, to writer: inout DERWriter, _ value: (inout DERWriter) -> Void
    ) {
        writer.element(DERTag.sequence) { fields in
            fields.primitive(DERTag.objectIdentifier, oid.content)
            fields.element(DERTag.octetString, value)
        }
    }
}
