import JOSE
import SPIFFE

/// A message of the protocol in its JSON form (ProtoJSON of `lf.a2a.v1`).
///
/// Reading takes member names in camel case and as the `.proto` file has them, `null` for the default, and ignores what it
/// does not know; writing leaves defaults out unless the standard says REQUIRED.
package protocol ProtoJSONMessage: Sendable, Equatable {
    /// Reads the members; what is missing gets its default.
    init(reading fields: FieldReader) throws(FieldViolation)

    /// Writes the members in the order of their field numbers.
    func write(to fields: inout FieldWriter)
}

extension ProtoJSONMessage {
    /// Reads a message from a JSON value, which must be an object.
    package init(json value: JSONValue, at path: String = "") throws(FieldViolation) {
        try self.init(reading: FieldReader(value, at: path))
    }

    /// The message as JSON text.
    package var jsonBytes: [UInt8] {
        var bytes: [UInt8] = []
        appendJSON(to: &bytes)
        return bytes
    }

    /// Appends the message as JSON text.
    package func appendJSON(to bytes: inout [UInt8]) {
        FieldWriter.appendObject(to: &bytes) { fields in write(to: &fields) }
    }
}

/// The members of one message that came as JSON.
package struct FieldReader {
    package let object: JSONObject
    /// Where the message stands; empty for the outermost.
    package let path: String
    /// Names of the `.proto` file are looked for only where some name has an underscore.
    private let hasUnderscores: Bool

    package init(_ value: JSONValue, at path: String = "") throws(FieldViolation) {
        guard case .object(let object) = value else { throw FieldViolation(path, "must be an object") }
        self.init(object, at: path)
    }

    package init(_ object: JSONObject, at path: String = "") {
        self.object = object
        self.path = path
        hasUnderscores = object.members.contains { $0.name.utf8.contains(UInt8(ascii: "_")) }
    }

    /// The path of a member, for a violation.
    package func path(of name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    /// A violation at a member.
    package func violation(_ name: String, _ problem: String) -> FieldViolation {
        FieldViolation(path(of: name), problem)
    }

    /// The member's value; `nil` when it is missing or `null`.
    package func value(_ name: String) -> JSONValue? {
        var value = object[name]
        if value == nil, hasUnderscores { value = object[Self.protoName(name)] }
        if case .null? = value { return nil }
        return value
    }

    /// Whether the member is there, be it as `null`.
    package func has(_ name: String) -> Bool {
        object[name] != nil || (hasUnderscores && object[Self.protoName(name)] != nil)
    }

    /// A string; empty when missing.
    package func string(_ name: String) throws(FieldViolation) -> String {
        guard let value = value(name) else { return "" }
        guard case .string(let text) = value else { throw violation(name, "must be a string") }
        return text
    }

    /// A string where empty means none.
    package func text(_ name: String) throws(FieldViolation) -> String? {
        let text = try string(name)
        return text.isEmpty ? nil : text
    }

    /// A string with presence: empty is not the same as missing.
    package func optionalString(_ name: String) throws(FieldViolation) -> String? {
        value(name) == nil ? nil : try string(name)
    }

    package func optionalBool(_ name: String) throws(FieldViolation) -> Bool? {
        guard let value = value(name) else { return nil }
        guard case .bool(let flag) = value else { throw violation(name, "must be true or false") }
        return flag
    }

    package func bool(_ name: String) throws(FieldViolation) -> Bool { try optionalBool(name) ?? false }

    /// An `int32`, which may be written as a string too.
    package func optionalInt32(_ name: String) throws(FieldViolation) -> Int32? {
        guard let value = value(name) else { return nil }
        let number: Int64? =
            switch value {
            case .number(let number): number.int64
            case .string(let text): Int64(text)
            default: nil
            }
        guard let number, let number = Int32(exactly: number) else {
            throw violation(name, "must be a whole number of 32 bits")
        }
        return number
    }

    /// Bytes, in base64 of either alphabet.
    package func bytes(_ name: String) throws(FieldViolation) -> [UInt8]? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value else { throw violation(name, "must be base64") }
        if let bytes = try? Base64.decode(text) { return bytes }
        var unpadded = Substring(text)
        while unpadded.utf8.last == UInt8(ascii: "=") { unpadded.removeLast() }
        if let bytes = try? Base64URL.decode(String(unpadded)) { return bytes }
        // The common alphabet without its padding.
        let padded = unpadded + String(repeating: "=", count: (4 - unpadded.utf8.count % 4) % 4)
        guard let bytes = try? Base64.decode(String(padded)) else { throw violation(name, "must be base64") }
        return bytes
    }

    /// A moment in the form of RFC 3339.
    package func timestamp(_ name: String) throws(FieldViolation) -> UnixTime? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value, let time = UnixTime(rfc3339: text) else {
            throw violation(name, "must be a time such as 2026-03-16T10:35:00Z")
        }
        return time
    }

    /// A `google.protobuf.Struct`; empty when missing.
    package func object(_ name: String) throws(FieldViolation) -> JSONObject {
        guard let value = value(name) else { return JSONObject() }
        guard case .object(let object) = value else { throw violation(name, "must be an object") }
        return object
    }

    /// An enumeration by its name or its number.
    package func enumeration<Enumeration: ProtoEnumeration>(
        _ name: String, _ type: Enumeration.Type
    ) throws(FieldViolation) -> Enumeration? {
        guard let value = value(name) else { return nil }
        let found: Enumeration? =
            switch value {
            case .string(let text): Enumeration(protoName: text)
            case .number(let number): number.int64.flatMap { Int32(exactly: $0) }.flatMap { Enumeration(rawValue: $0) }
            default: nil
            }
        guard let found else { throw violation(name, "is no value that version 1.0 of the protocol knows") }
        return found
    }

    package func message<Message: ProtoJSONMessage>(
        _ name: String, _ type: Message.Type = Message.self
    ) throws(FieldViolation) -> Message? {
        guard let value = value(name) else { return nil }
        return try Message(json: value, at: path(of: name))
    }

    /// A repeated field; empty when missing.
    package func array(_ name: String) throws(FieldViolation) -> [JSONValue] {
        guard let value = value(name) else { return [] }
        guard case .array(let elements) = value else { throw violation(name, "must be an array") }
        return elements
    }

    package func messages<Message: ProtoJSONMessage>(
        _ name: String, _ type: Message.Type = Message.self
    ) throws(FieldViolation) -> [Message] {
        let elements = try array(name)
        var messages: [Message] = []
        messages.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            messages.append(try Message(json: element, at: "\(path(of: name))[\(index)]"))
        }
        return messages
    }

    package func strings(_ name: String) throws(FieldViolation) -> [String] {
        guard let value = value(name) else { return [] }
        guard let strings = value.stringArrayValue else { throw violation(name, "must be an array of strings") }
        return strings
    }

    /// The entries of a map field, in their order.
    package func map<Value>(
        _ name: String, _ read: (JSONValue, String) throws(FieldViolation) -> Value
    ) throws(FieldViolation) -> [(key: String, value: Value)] {
        var entries: [(key: String, value: Value)] = []
        for member in try object(name).members {
            let place = "\(path(of: name)).\(member.name.truncatedForMessage)"
            entries.append((member.name, try read(member.value, place)))
        }
        return entries
    }

    /// `contextId` → `context_id`.
    package static func protoName(_ name: String) -> String {
        var bytes: [UInt8] = []
        for byte in name.utf8 {
            if (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) {
                bytes.append(UInt8(ascii: "_"))
                bytes.append(byte | 0x20)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// An enumeration of the protocol: its numbers, and the names that its JSON form uses.
package protocol ProtoEnumeration: RawRepresentable<Int32>, CaseIterable, Sendable {
    /// The name in the `.proto` file, such as `TASK_STATE_WORKING`.
    var protoName: String { get }
}

extension ProtoEnumeration {
    package init?(protoName: String) {
        guard let value = Self.allCases.first(where: { $0.protoName == protoName }) else { return nil }
        self = value
    }
}
