/// Builds DER in one growing buffer: lengths are put in once the content is there.
package struct DERWriter: Sendable {
    /// What was written so far.
    package private(set) var bytes: [UInt8] = []

    /// An empty writer with room for so many bytes.
    package init(capacity: Int = 512) {
        bytes.reserveCapacity(capacity)
    }

    /// Appends bytes that are DER already.
    package mutating func raw(_ encoded: some Collection<UInt8>) {
        bytes.append(contentsOf: encoded)
    }

    /// Appends a primitive element.
    package mutating func primitive(_ tag: UInt8, _ content: some Collection<UInt8>) {
        bytes.append(tag)
        appendLength(content.count)
        bytes.append(contentsOf: content)
    }

    /// Appends an element whose content the closure writes.
    package mutating func element(_ tag: UInt8, _ body: (inout DERWriter) -> Void) {
        bytes.append(tag)
        bytes.append(0)
        let start = bytes.count
        body(&self)
        let length = bytes.count - start
        if length < 0x80 {
            bytes[start - 1] = UInt8(length)
            return
        }
        let lengthBytes = Self.lengthBytes(length)
        bytes[start - 1] = 0x80 | UInt8(lengthBytes.count)
        bytes.insert(contentsOf: lengthBytes, at: start)
    }

    /// Appends a BIT STRING of whole bytes.
    package mutating func bitString(_ content: some Collection<UInt8>) {
        bytes.append(DERTag.bitString)
        appendLength(content.count + 1)
        bytes.append(0)
        bytes.append(contentsOf: content)
    }

    /// Appends a positive INTEGER from its big-endian bytes.
    package mutating func unsignedInteger(_ magnitude: some Collection<UInt8>) {
        let significant = magnitude.drop { $0 == 0 }
        let needsPad = (significant.first ?? 0x80) >= 0x80
        bytes.append(DERTag.integer)
        appendLength(significant.count + (needsPad ? 1 : 0))
        if needsPad { bytes.append(0) }
        bytes.append(contentsOf: significant)
    }

    /// Appends a Time: UTCTime through 2049, GeneralizedTime otherwise (RFC 5280 §4.1.2.5).
    package mutating func time(_ time: UnixTime) {
        if let content = time.utcTime {
            primitive(DERTag.utcTime, content)
        } else {
            primitive(DERTag.generalizedTime, time.generalizedTime)
        }
    }

    private mutating func appendLength(_ length: Int) {
        if length < 0x80 {
            bytes.append(UInt8(length))
        } else {
            let lengthBytes = Self.lengthBytes(length)
            bytes.append(0x80 | UInt8(lengthBytes.count))
            bytes.append(contentsOf: lengthBytes)
        }
    }

    private static func lengthBytes(_ length: Int) -> [UInt8] {
        var remaining = length
        var result: [UInt8] = []
        while remaining > 0 {
            result.insert(UInt8(remaining & 0xff), at: 0)
            remaining >>= 8
        }
        return result
    }
}
