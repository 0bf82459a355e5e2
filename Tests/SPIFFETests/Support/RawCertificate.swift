import Crypto
import SPIFFE

/// A certificate in which every part can be wrong.
struct RawCertificate {
    struct Extension {
        var oid: [UInt8]
        var isCritical: Bool
        var value: [UInt8]

        static let sanOID: [UInt8] = [0x55, 0x1d, 0x11]

        static func uris(_ uris: [String], isCritical: Bool = false) -> Extension {
            Extension(
                oid: sanOID, isCritical: isCritical,
                value: der { $0.element(0x30) { names in for uri in uris { names.primitive(0x86, uri.utf8) } } })
        }

        static func basicConstraints(_ content: [UInt8], isCritical: Bool = true) -> Extension {
            Extension(oid: [0x55, 0x1d, 0x13], isCritical: isCritical, value: der { $0.primitive(0x30, content) })
        }

        static func keyUsage(_ content: [UInt8], isCritical: Bool = true) -> Extension {
            Extension(oid: [0x55, 0x1d, 0x0f], isCritical: isCritical, value: der { $0.primitive(0x03, content) })
        }

        static func purposes(_ purposes: [UInt8]) -> Extension {
            Extension(
                oid: [0x55, 0x1d, 0x25], isCritical: false,
                value: der { writer in
                    writer.element(0x30) { list in
                        for purpose in purposes { list.primitive(0x06, [0x2b, 6, 1, 5, 5, 7, 3, purpose]) }
                    }
                })
        }

        static func other(_ oid: [UInt8], isCritical: Bool) -> Extension {
            Extension(oid: oid, isCritical: isCritical, value: [0x05, 0x00])
        }
    }

    static let digitalSignature: [UInt8] = [7, 0x80]
    static let keyCertSign: [UInt8] = [2, 0x04]
    static let isCA: [UInt8] = [0x01, 0x01, 0xff]
    static let ecdsa: [UInt8] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]

    var version: [UInt8] = [0xa0, 0x03, 0x02, 0x01, 0x02]
    var serial: [UInt8] = [0x02, 0x01, 0x05]
    var innerAlgorithm = ecdsa
    var outerAlgorithm = ecdsa
    var issuer: [UInt8] = Self.name("issuer")
    var notBefore = der { $0.time(now - 60) }
    var notAfter = der { $0.time(now + 3600) }
    var subject: [UInt8] = Self.name("subject")
    var key = P256.Signing.PrivateKey()
    var spki: [UInt8]?
    var uniqueIDs: [UInt8] = []
    var extensions: [Extension]? = Self.leafExtensions()
    var trailing: [UInt8] = []

    static func leafExtensions(_ uris: [String] = ["spiffe://example.org/agent"]) -> [Extension] {
        [.uris(uris), .keyUsage(digitalSignature), .purposes([1, 2]), .basicConstraints([])]
    }

    static func caExtensions() -> [Extension] { [.keyUsage(keyCertSign), .basicConstraints(isCA)] }

    static func name(_ commonName: String) -> [UInt8] {
        der { writer in
            writer.element(0x30) { name in
                name.element(0x31) { set in
                    set.element(0x30) { pair in
                        pair.primitive(0x06, [0x55, 0x04, 0x03])
                        pair.primitive(0x0c, commonName.utf8)
                    }
                }
            }
        }
    }

    func tbs() -> [UInt8] {
        der { writer in
            writer.element(0x30) { tbs in
                tbs.raw(version)
                tbs.raw(serial)
                tbs.raw(innerAlgorithm)
                tbs.raw(issuer)
                tbs.element(0x30) { validity in
                    validity.raw(notBefore)
                    validity.raw(notAfter)
                }
                tbs.raw(subject)
                tbs.raw(spki ?? SubjectPublicKey(key.publicKey).derSPKI)
                tbs.raw(uniqueIDs)
                if let extensions {
                    tbs.element(0xa3) { field in
                        field.element(0x30) { list in
                            for item in extensions {
                                list.element(0x30) { fields in
                                    fields.primitive(0x06, item.oid)
                                    if item.isCritical { fields.primitive(0x01, [0xff]) }
                                    fields.primitive(0x04, item.value)
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Signs with the issuer's key, or its own.
    func signed(by signer: P256.Signing.PrivateKey? = nil) throws -> [UInt8] {
        let tbs = tbs()
        let signature = [UInt8](try (signer ?? key).signature(for: tbs).derRepresentation)
        return der { writer in
            writer.element(0x30) { outer in
                outer.raw(tbs)
                outer.raw(outerAlgorithm)
                outer.bitString(signature)
            }
        } + trailing
    }
}

/// The bytes that a closure writes.
func der(_ body: (inout DERWriter) -> Void) -> [UInt8] {
    var writer = DERWriter()
    body(&writer)
    return writer.bytes
}
