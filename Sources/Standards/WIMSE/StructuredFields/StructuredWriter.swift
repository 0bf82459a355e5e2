import JOSE

// The one form that each value is written in (RFC 9651 §4.1). Signatures are over this form, whatever spaces the peer sent.

extension BareItem {
    var serialized: String {
        switch self {
        case .integer(let number): String(number)
        case .decimal(let thousandths): Self.decimal(thousandths)
        case .string(let text):
            "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
        case .token(let text): text
        case .bytes(let bytes): ":" + Base64.encode(bytes) + ":"
        case .boolean(let value): value ? "?1" : "?0"
        case .date(let seconds): "@" + String(seconds)
        case .displayString(let text): "%\"" + text.utf8.map(Self.displayed).joined() + "\""
        }
    }

    private static func decimal(_ thousandths: Int64) -> String {
        let size = thousandths.magnitude
        var digits = String(size % 1000)
        digits = String(repeating: "0", count: 3 - digits.utf8.count) + digits
        while digits.utf8.count > 1, digits.hasSuffix("0") { digits.removeLast() }
        return (thousandths < 0 ? "-" : "") + String(size / 1000) + "." + digits
    }

    private static func displayed(_ byte: UInt8) -> String {
        if (0x20...0x7E).contains(byte), byte != UInt8(ascii: "%"), byte != UInt8(ascii: "\"") {
            return String(Unicode.Scalar(byte))
        }
        return "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}

extension StructuredParameters {
    package var serialized: String {
        entries.map { $0.value == .boolean(true) ? ";\($0.key)" : ";\($0.key)=\($0.value.serialized)" }.joined()
    }
}

extension StructuredItem {
    package var serialized: String { value.serialized + parameters.serialized }
}

extension InnerList {
    package var serialized: String {
        "(" + items.map(\.serialized).joined(separator: " ") + ")" + parameters.serialized
    }
}

extension StructuredDictionary {
    package var serialized: String {
        entries.map { entry in
            switch entry.value {
            case .innerList(let list): "\(entry.key)=\(list.serialized)"
            case .item(let item) where item.value == .boolean(true): entry.key + item.parameters.serialized
            case .item(let item): "\(entry.key)=\(item.serialized)"
            }
        }.joined(separator: ", ")
    }
}
