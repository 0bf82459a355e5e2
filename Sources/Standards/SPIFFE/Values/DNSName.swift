/// The rule for DNS names that may go into certificates.
package enum DNSName {
    /// Whether the name has labels of 1 to 63 letters, digits, dashes or underscores, 253 bytes at most, no dot at the
    /// end; the first label may be `*`.
    package static func isValid(_ name: String) -> Bool {
        let bytes = name.utf8
        guard !bytes.isEmpty, bytes.count <= 253 else { return false }
        let labels = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        for (index, label) in labels.enumerated() {
            if index == 0, labels.count > 1, label.elementsEqual("*".utf8) { continue }
            guard (1...63).contains(label.count), label.first != UInt8(ascii: "-"), label.last != UInt8(ascii: "-"),
                label.allSatisfy(isLabelByte)
            else { return false }
        }
        return true
    }

    private static func isLabelByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

/// A text from outside, fit for a message: in backticks, cut to 64 bytes, everything unprintable replaced.
func quoted(_ text: String) -> String {
    let shown = text.utf8.prefix(64).map {
        (0x20...0x7e).contains($0) && $0 != UInt8(ascii: "`") ? $0 : UInt8(ascii: "?")
    }
    return "`" + String(decoding: shown, as: UTF8.self) + (text.utf8.count > 64 ? "…`" : "`")
}
