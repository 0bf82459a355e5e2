/// One name or value of a form (RFC 6749 appendix B): `+` is a space, `%` and two digits a byte, all of it UTF-8.
enum FormText {
    /// Decodes; indices of the slice are offsets of the whole.
    static func decode(_ text: ArraySlice<UInt8>) throws(FormError) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            let byte = text[index]
            switch byte {
            case UInt8(ascii: "+"):
                bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard text.endIndex - index > 2, let high = ByteClass.hexValue(text[index + 1]),
                    let low = ByteClass.hexValue(text[index + 2])
                else { throw .invalidEscape(offset: index) }
                bytes.append(high << 4 | low)
                index += 2
            case _ where ByteClass.isControl(byte):
                throw .controlCharacter(offset: index)
            default:
                bytes.append(byte)
            }
            index += 1
        }
        guard let string = String(validating: bytes, as: UTF8.self) else { throw .invalidUTF8 }
        return string
    }

    /// Appends the encoded form: letters, digits and `*-._` stand for themselves, a space is `+`.
    static func append(_ text: String, to output: inout [UInt8]) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: " "): output.append(UInt8(ascii: "+"))
            case UInt8(ascii: "*"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"): output.append(byte)
            case _ where ByteClass.isLetter(byte) || ByteClass.isDigit(byte): output.append(byte)
            default: ByteClass.appendEscape(of: byte, to: &output)
            }
        }
    }
}
