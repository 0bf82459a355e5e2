import JOSE
import SwiftProtobuf

// JSON in protobuf's own shape. All its numbers are doubles.

extension Google_Protobuf_Struct {
    init(_ object: JSONObject) {
        self.init()
        for member in object.members { fields[member.name] = Google_Protobuf_Value(member.value) }
    }

    /// `nil` when it holds what JSON cannot.
    var json: JSONObject? {
        var members: [(String, JSONValue)] = []
        // Sorted, so that equal messages give equal bytes.
        for (name, value) in fields.sorted(by: { $0.key < $1.key }) {
            guard let value = value.json else { return nil }
            members.append((name, value))
        }
        return JSONObject(members)
    }
}

extension Google_Protobuf_Value {
    init(_ value: JSONValue) {
        self.init()
        switch value {
        case .null: kind = .nullValue(.nullValue)
        case .bool(let bool): kind = .boolValue(bool)
        case .number(let number): kind = .numberValue(number.double)
        case .string(let text): kind = .stringValue(text)
        case .array(let values):
            kind = .listValue(.with { $0.values = values.map(Google_Protobuf_Value.init) })
        case .object(let object): kind = .structValue(Google_Protobuf_Struct(object))
        }
    }

    // The decoder bounds the depth of messages, and so the recursion.
    var json: JSONValue? {
        switch kind {
        case .nullValue: return .null
        case .boolValue(let bool): return .bool(bool)
        case .numberValue(let number): return JSONNumber(number).map { .number($0) }
        case .stringValue(let text): return .string(text)
        case .listValue(let list):
            var values: [JSONValue] = []
            for value in list.values {
                guard let value = value.json else { return nil }
                values.append(value)
            }
            return .array(values)
        case .structValue(let object): return object.json.map { .object($0) }
        case nil: return nil
        }
    }
}
