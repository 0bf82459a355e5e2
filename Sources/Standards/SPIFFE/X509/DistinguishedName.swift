/// Checks and builds the Name of a certificate (RFC 5280 §4.1.2.4); names are compared by their bytes.
enum DistinguishedName {
    /// Reads a Name: a sequence of non-empty sets of type and value. Gives its DER.
    static func read(_ reader: inout DERReader) throws(DERError) -> [UInt8] {
        let element = try reader.element(DERTag.sequence)
        var sets = try element.reader()
        while !sets.isAtEnd {
            var set = try sets.open(DERTag.set)
            repeat {
                var attribute = try set.open(DERTag.sequence)
                _ = try attribute.objectIdentifier()
                _ = try attribute.element()
                try attribute.finish()
            } while !set.isAtEnd
        }
        return Array(element.encoded)
    }

    /// The last common name of a Name in DER, if it is a UTF8String, PrintableString or IA5String.
    static func commonName(of der: [UInt8]) -> String? {
        var found: String?
        do throws(DERError) {
            var outer = DERReader(der)
            var sets = try outer.open(DERTag.sequence)
            while !sets.isAtEnd {
                var set = try sets.open(DERTag.set)
                while !set.isAtEnd {
                    var attribute = try set.open(DERTag.sequence)
                    guard try attribute.objectIdentifier() == .commonName else { continue }
                    let value = try attribute.element()
                    guard [DERTag.utf8String, DERTag.printableString, DERTag.ia5String].contains(value.tag) else {
                        continue
                    }
                    found = String(validating: value.content, as: UTF8.self)
                }
            }
        } catch {
            return nil
        }
        return found
    }

    /// Writes `C=US, O=AgentShield` and, if given, a common name or a serial number attribute.
    static func write(to writer: inout DERWriter, commonName: String? = nil, serialNumber: String? = nil) {
        writer.element(DERTag.sequence) { name in
            name.raw(countryAndOrganization)
            if let commonName {
                attribute(&name, type: [0x55, 0x04, 0x03], tag: DERTag.utf8String, value: commonName)
            }
            if let serialNumber {
                attribute(&name, type: [0x55, 0x04, 0x05], tag: DERTag.printableString, value: serialNumber)
            }
        }
    }

    /// The DER of an empty Name.
    static let empty: [UInt8] = [DERTag.sequence, 0]
    /// Longest common name and serial number attribute, in characters (RFC 5280 appendix A.1).
    static let maximumAttributeLength = 64

    private static let countryAndOrganization: [UInt8] = {
        var writer = DERWriter(capacity: 48)
        attribute(&writer, type: [0x55, 0x04, 0x06], tag: DERTag.printableString, value: "US")
        attribute(&writer, type: [0x55, 0x04, 0x0a], tag: DERTag.printableString, value: "AgentShield")
        return writer.bytes
    }()

    private static func attribute(_ writer: inout DERWriter, type: [UInt8], tag: UInt8, value: String) {
        writer.element(DERTag.set) { set in
            set.element(DERTag.sequence) { pair in
                pair.primitive(DERTag.objectIdentifier, type)
                pair.primitive(tag, value.utf8)
            }
        }
    }
}
