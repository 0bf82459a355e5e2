package import Crypto

/// Makes certificate requests, for node agents and tests.
package enum CSRBuilder {
    /// A PKCS#10 request with an empty subject, signed with the key (ECDSA, SHA-256); throws only if signing fails.
    package static func make(
        privateKey: P256.Signing.PrivateKey, uri: String? = nil, dnsNames: [String] = []
    ) throws -> [UInt8] {
        var info = DERWriter()
        info.element(DERTag.sequence) { info in
            info.primitive(DERTag.integer, [0])
            info.raw(DistinguishedName.empty)
            info.raw(SubjectPublicKey(privateKey.publicKey).derSPKI)
            info.element(DERTag.constructedContext(0)) { attributes in
                guard uri != nil || !dnsNames.isEmpty else { return }
                attributes.element(DERTag.sequence) { attribute in
                    attribute.primitive(DERTag.objectIdentifier, ObjectIdentifierBytes.extensionRequest.content)
                    attribute.element(DERTag.set) { values in
                        values.element(DERTag.sequence) { extensions in
                            CertificateTemplate.writeNames(to: &extensions, uri: uri, dnsNames: dnsNames)
                        }
                    }
                }
            }
        }
        return try CertificateTemplate.sign(info.bytes, with: privateKey)
    }
}
