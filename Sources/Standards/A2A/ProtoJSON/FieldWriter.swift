import JOSE
import SPIFFE

/// Appends the members of one JSON object to a growing text.
package struct FieldWriter {
    /// What has been written, of this object and of those around it.
    package private(set) var bytes: [UInt8]
    private var isFirst = true

    /// Appends a whole object whose members `body` writes.
    package static func appendObject(to bytes: inout [UInt8], _ body: (inout FieldWriter) -> Void) {
        // The array moves into the writer and back: nothing is copied.
        var writer = FieldWriter(bytes: [])
        swap(&writer.bytes, &bytes)
        writer.bytes.append(UInt8(ascii: "{"))
        body(&writer)
        writer.bytes.append(UInt8(ascii: "}"))
        swap(&writer.bytes, &bytes)
    }

    private init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    private mutating func begin(_ name: StaticString) {
        if !isFirst { bytes.append(UInt8(ascii: ",")) }
        isFirst = false
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
    }

    private mutating func begin(key: String) {
        if !isFirst { bytes.append(UInt8(ascii: ",")) }
        isFirst = false
        JSONWriter.append(key, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
    }

    // REQUIRED members and those that are there: written whatever their value

    package mutating func write(_ name: StaticString, _ text: String) {
        begin(name)
        JSONWriter.append(text, to: &bytes)
    }

    package mutating func write(_ name: StaticString, _ number: Int32) {
        begin(name)
        bytes.append(contentsOf: String(number).utf8)
    }

    package mutating func write(_ name: StaticString, _ flag: Bool) {
        begin(name)
        bytes.append(contentsOf: (flag ? "true" : "false").utf8)
    }

    package mutating func write(_ name: StaticString, _ value: JSONValue) {
        begin(name)
        JSONWriter.append(value, to: &bytes)
    }

    package mutating func write(_ name: StaticString, _ object: JSONObject) { write(name, .object(object)) }

    package mutating func write(_ name: StaticString, _ value: some ProtoEnumeration) {
        begin(name)
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: value.protoName.utf8)
        bytes.append(UInt8(ascii: "\""))
    }

    package mutating func write(_ name: StaticString, _ message: some ProtoJSONMessage) {
        begin(name)
        message.appendJSON(to: &bytes)
    }

    package mutating func write(_ name: StaticString, _ messages: [some ProtoJSONMessage]) {
        begin(name)
        appendArray(messages) { message, bytes in message.appendJSON(to: &bytes) }
    }

    package mutating func write(_ name: StaticString, _ strings: [String]) {
        begin(name)
        appendArray(strings) { text, bytes in JSONWriter.append(text, to: &bytes) }
    }

    package mutating func write(_ name: StaticString, base64 content: [UInt8]) {
        begin(name)
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: Base64.encodeBytes(content))
        bytes.append(UInt8(ascii: "\""))
    }

    package mutating func write(_ name: StaticString, _ time: UnixTime) {
        begin(name)
        bytes.append(UInt8(ascii: "\""))
        time.appendRFC3339(to: &bytes)
        bytes.append(UInt8(ascii: "\""))
    }

    /// A message that is JSON text already.
    package mutating func write(_ name: StaticString, json text: [UInt8]) {
        begin(name)
        bytes.append(contentsOf: text)
    }

    /// A member of a map.
    package mutating func write(key: String, _ append: (inout [UInt8]) -> Void) {
        begin(key: key)
        append(&bytes)
    }

    /// A map, or another object without a type of its own.
    package mutating func writeObject(_ name: StaticString, _ body: (inout FieldWriter) -> Void) {
        begin(name)
        Self.appendObject(to: &bytes, body)
    }

    // Members that are left out when they have their default

    package mutating func writeIfPresent(_ name: StaticString, _ text: String?) {
        if let text { write(name, text) }
    }

    package mutating func writeIfPresent(_ name: StaticString, _ flag: Bool?) {
        if let flag { write(name, flag) }
    }

    package mutating func writeIfPresent(_ name: StaticString, _ number: Int32?) {
        if let number { write(name, number) }
    }

    package mutating func writeIfPresent(_ name: StaticString, _ message: (some ProtoJSONMessage)?) {
        if let message { write(name, message) }
    }

    package mutating func writeIfPresent(_ name: StaticString, _ time: UnixTime?) {
        if let time { write(name, time) }
    }

    package mutating func writeUnlessEmpty(_ name: StaticString, _ object: JSONObject) {
        if !object.isEmpty { write(name, object) }
    }

    package mutating func writeUnlessEmpty(_ name: StaticString, _ strings: [String]) {
        if !strings.isEmpty { write(name, strings) }
    }

    package mutating func writeUnlessEmpty(_ name: StaticString, _ messages: [some ProtoJSONMessage]) {
        if !messages.isEmpty { write(name, messages) }
    }

    package mutating func writeIfTrue(_ name: StaticString, _ flag: Bool) {
        if flag { write(name, flag) }
    }

    private mutating func appendArray<Element>(_ elements: [Element], _ append: (Element, inout [UInt8]) -> Void) {
        bytes.append(UInt8(ascii: "["))
        var isFirstElement = true
        for element in elements {
            if !isFirstElement { bytes.append(UInt8(ascii: ",")) }
            isFirstElement = false
            append(element, &bytes)
        }
        bytes.append(UInt8(ascii: "]"))
    }
}
