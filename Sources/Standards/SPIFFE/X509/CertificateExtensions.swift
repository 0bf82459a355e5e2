/// The bits of the KeyUsage extension (RFC 5280 §4.2.1.3).
package struct KeyUsage: OptionSet, Hashable, Sendable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    package static let digitalSignature = KeyUsage(rawValue: 0x8000)
    package static let nonRepudiation = KeyUsage(rawValue: 0x4000)
    package static let keyEncipherment = KeyUsage(rawValue: 0x2000)
    package static let dataEncipherment = KeyUsage(rawValue: 0x1000)
    package static let keyAgreement = KeyUsage(rawValue: 0x0800)
    package static let keyCertSign = KeyUsage(rawValue: 0x0400)
    package static let cRLSign = KeyUsage(rawValue: 0x0200)
}

/// The BasicConstraints extension (RFC 5280 §4.2.1.9).
package struct BasicConstraints: Hashable, Sendable {
    /// Whether the key may sign certificates.
    package let isCA: Bool
    /// How many further CA certificates may follow below this one.
    package let pathLength: Int?
}

/// The extensions that this product acts on, and the names of those that it would have to understand but does not.
package struct CertificateExtensions: Sendable {
    /// URI names, in their order.
    package private(set) var uriSANs: [String] = []
    /// DNS names, in their order.
    package private(set) var dnsSANs: [String] = []
    /// IP addresses, in their order.
    package private(set) var ipSANs: [IPAddress] = []
    package private(set) var hasSubjectAlternativeName = false
    package private(set) var subjectAlternativeNameIsCritical = false
    package private(set) var basicConstraints: BasicConstraints?
    package private(set) var basicConstraintsAreCritical = false
    package private(set) var keyUsage: KeyUsage?
    package private(set) var keyUsageIsCritical = false
    package private(set) var extendedKeyUsage: [ObjectIdentifierBytes]?
    package private(set) var subjectKeyIdentifier: [UInt8]?
    package private(set) var authorityKeyIdentifier: [UInt8]?
    /// Critical extensions that are not understood. Name constraints are listed even when they are not critical:
    /// whoever sets them relies on them, and they are not evaluated here.
    package private(set) var unknownCritical: [ObjectIdentifierBytes] = []

    /// Most extensions of one certificate.
    package static let maximumCount = 64

    /// No extensions at all.
    init() {}

    /// Reads `Extensions`; every extension may occur once.
    init(_ container: DERReader) throws(CertificateExtensionError) {
        var container = container
        // A list: for so few, looking through it is cheaper than hashing.
        var seen: [ObjectIdentifierBytes] = []
        do throws(DERError) {
            guard !container.isAtEnd else { throw .badValue }
        } catch {
            throw .malformed(error)
        }
        while !container.isAtEnd {
            let one: (oid: ObjectIdentifierBytes, isCritical: Bool, value: DERElement)
            do throws(DERError) {
                one = try Self.readOne(&container)
            } catch {
                throw .malformed(error)
            }
            guard !seen.contains(one.oid) else { throw .duplicate(one.oid) }
            guard seen.count < Self.maximumCount else { throw .tooMany }
            seen.append(one.oid)
            do throws(DERError) {
                try apply(one.oid, isCritical: one.isCritical, value: one.value)
            } catch {
                throw .malformedValue(one.oid, error)
            }
        }
    }

    private static func readOne(
        _ container: inout DERReader
    ) throws(DERError) -> (oid: ObjectIdentifierBytes, isCritical: Bool, value: DERElement) {
        var fields = try container.open(DERTag.sequence)
        let oid = try fields.objectIdentifier()
        var isCritical = false
        if fields.nextTag == DERTag.boolean {
            isCritical = try fields.boolean()
            // DER leaves out a value that is the default.
            guard isCritical else { throw .badValue }
        }
        let value = try fields.element(DERTag.octetString)
        try fields.finish()
        return (oid, isCritical, value)
    }

    private mutating func apply(
        _ oid: ObjectIdentifierBytes, isCritical: Bool, value: DERElement
    ) throws(DERError) {
        var reader = try value.readerOfPrimitive()
        switch oid {
        case .subjectAlternativeName:
            hasSubjectAlternativeName = true
            subjectAlternativeNameIsCritical = isCritical
            var names = try reader.open(DERTag.sequence)
            try readNames(&names)
        case .basicConstraints:
            basicConstraintsAreCritical = isCritical
            basicConstraints = try Self.readBasicConstraints(&reader)
        case .keyUsage:
            keyUsageIsCritical = isCritical
            keyUsage = KeyUsage(rawValue: try reader.namedBits())
        case .extendedKeyUsage:
            var purposes = try reader.open(DERTag.sequence)
            var list: [ObjectIdentifierBytes] = []
            repeat {
                list.append(try purposes.objectIdentifier())
            } while !purposes.isAtEnd
            extendedKeyUsage = list
        case .subjectKeyIdentifier:
            subjectKeyIdentifier = Array(try reader.element(DERTag.octetString).content)
        case .authorityKeyIdentifier:
            var fields = try reader.open(DERTag.sequence)
            authorityKeyIdentifier = try fields.optionalElement(DERTag.context(0)).map { Array($0.content) }
            while !fields.isAtEnd { _ = try fields.element() }
        case .nameConstraints:
            unknownCritical.append(oid)
            return
        default:
            if isCritical { unknownCritical.append(oid) }
            return
        }
        try reader.finish()
    }

    private mutating func readNames(_ names: inout DERReader) throws(DERError) {
        repeat {
            let name = try names.element()
            switch name.tag {
            case DERTag.context(6): uriSANs.append(try Self.ia5(name.content))
            case DERTag.context(2): dnsSANs.append(try Self.ia5(name.content))
            case DERTag.context(7):
                guard let address = IPAddress(octets: name.content) else { throw .badValue }
                ipSANs.append(address)
            case 0x80...0xbf: continue
            default: throw .unexpectedTag
            }
        } while !names.isAtEnd
    }

    private static func ia5(_ content: ArraySlice<UInt8>) throws(DERError) -> String {
        guard !content.isEmpty, content.allSatisfy({ (0x21...0x7e).contains($0) }) else { throw .badValue }
        return String(decoding: content, as: UTF8.self)
    }

    private static func readBasicConstraints(_ reader: inout DERReader) throws(DERError) -> BasicConstraints {
        var fields = try reader.open(DERTag.sequence)
        // An explicit FALSE is not DER but common in the field, and says nothing else than its absence.
        let isCA = fields.nextTag == DERTag.boolean ? try fields.boolean() : false
        let pathLength = fields.isAtEnd ? nil : try fields.smallInteger()
        try fields.finish()
        guard isCA || pathLength == nil else { throw .badValue }
        return BasicConstraints(isCA: isCA, pathLength: pathLength)
    }
}

/// Why the extensions of a certificate or request were refused.
package enum CertificateExtensionError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The list is not DER.
    case malformed(DERError)
    /// An extension's value is not what its type says.
    case malformedValue(ObjectIdentifierBytes, DERError)
    /// An extension occurs twice (RFC 5280 §4.2).
    case duplicate(ObjectIdentifierBytes)
    /// More than 64 extensions.
    case tooMany

    package var description: String {
        switch self {
        case .malformed(let error): "the extensions are malformed: \(error)"
        case .malformedValue(let oid, let error): "extension `\(oid)` is malformed: \(error)"
        case .duplicate(let oid): "extension `\(oid)` occurs twice"
        case .tooMany: "there are more than \(CertificateExtensions.maximumCount) extensions"
        }
    }
}
