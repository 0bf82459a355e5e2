/// What notes, checkpoints and proofs have in common as text.
enum LogText {
    static let newline = UInt8(ascii: "\n")

    /// True for UTF-8 without control characters other than newline (signed-note, "Format").
    static func isPlain(_ bytes: some Collection<UInt8>) -> Bool {
        guard bytes.allSatisfy({ $0 >= 0x20 || $0 == newline }) else { return false }
        return String(validating: bytes, as: UTF8.self) != nil
    }

    /// The lines of a text in which every line ends in a newline; nil when the last one does not.
    static func lines(_ text: ArraySlice<UInt8>) -> [ArraySlice<UInt8>]? {
        guard text.last == newline else { return nil }
        return text.dropLast().split(separator: newline, omittingEmptySubsequences: false)
    }

    /// A line as a string; the caller has checked that the whole text is UTF-8.
    static func string(_ line: ArraySlice<UInt8>) -> String {
        String(decoding: line, as: UTF8.self)
    }

    /// Equality byte by byte: Swift's own equality of strings takes different encodings of one character as equal.
    static func areSame(_ left: String, _ right: String) -> Bool {
        left.utf8.elementsEqual(right.utf8)
    }

    /// The text for an error message: at most 80 bytes, anything but printable ASCII as a question mark.
    static func excerpt(_ text: some Sequence<UInt8>) -> String {
        let start = Array(text.prefix(81))
        let shown = start.prefix(80).map { (0x20...0x7e).contains($0) ? $0 : UInt8(ascii: "?") }
        return String(decoding: shown, as: UTF8.self) + (start.count > 80 ? "…" : "")
    }
}
