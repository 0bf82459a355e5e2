import A2A
import JOSE
import SwiftProtobuf

// JSON in protobuf's own shape. All its numbers are doubles, and an object has no order.

/// How deep JSON may be nested in a message on gRPC's wire.
///
/// Stock receivers read 100 messages inside each other. A level of JSON takes up to three (the value, the object, its entry),
/// and what stands around metadata or data up to six.
private let maximumDepth = 30

private let tooDeep = FieldViolation("", "is nested deeper than \(maximumDepth) levels")

extension FieldViolation {
    /// A dictionary, which our generated types have for maps, compares texts as people do: `é` written in either of its two
    /// ways is one name. To lose a member without a word would be worse than to refuse.
    static let similarNames = FieldViolation("", "has names that look the same")
}

extension Google_Protobuf_Struct {
    /// The object; `nil` for an empty one, which is not sent.
    static func unlessEmpty(_ object: JSONObject) throws(FieldViolation) -> Google_Protobuf_Struct? {
        object.isEmpty ? nil : try Google_Protobuf_Struct(object)
    }

    init(_ object: JSONObject) throws(FieldViolation) { try self.init(object, depth: 1) }

    fileprivate init(_ object: JSONObject, depth: Int) throws(FieldViolation) {
        guard depth <= maximumDepth else { throw tooDeep }
        self.init()
        fields.reserveCapacity(object.count)
        for member in object.members {
            fields[member.name] = try Google_Protobuf_Value(member.value, depth: depth)
        }
        guard fields.count == object.count else { throw .similarNames }
    }

    /// The object; members sorted by their names, so that equal messages give equal texts.
    func json() throws(FieldViolation) -> JSONObject { try json(depth: 1) }

    fileprivate func json(depth: Int) throws(FieldViolation) -> JSONObject {
        guard depth <= maximumDepth else { throw tooDeep }
        var members: [(String, JSONValue)] = []
        members.reserveCapacity(fields.count)
        for (name, value) in fields.sorted(by: { $0.key < $1.key }) {
            do throws(FieldViolation) {
                members.append((name, try value.json(depth: depth)))
            } catch {
                throw error.inside(name.truncatedForMessage)
            }
        }
        return JSONObject(members)
    }
}

extension Google_Protobuf_Value {
    init(_ value: JSONValue) throws(FieldViolation) {
        try self.init(value, depth: 0)
    }

    /// - Parameter depth: how many arrays and objects stand around the value.
    fileprivate init(_ value: JSONValue, depth: Int) throws(FieldViolation) {
        self.init()
        switch value {
        case .null: kind = .nullValue(.nullValue)
        case .bool(let flag): kind = .boolValue(flag)
        case .number(let number): kind = .numberValue(number.double)
        case .string(let text): kind = .stringValue(text)
        case .array(let elements):
            guard depth < maximumDepth else { throw tooDeep }
            var list = Google_Protobuf_ListValue()
            list.values.reserveCapacity(elements.count)
            for element in elements { list.values.append(try Google_Protobuf_Value(element, depth: depth + 1)) }
            kind = .listValue(list)
        case .object(let object):
            kind = .structValue(try Google_Protobuf_Struct(object, depth: depth + 1))
        }
    }

    func json() throws(FieldViolation) -> JSONValue { try json(depth: 0) }

    fileprivate func json(depth: Int) throws(FieldViolation) -> JSONValue {
        switch kind {
        case .nullValue: return .null
        case .boolValue(let flag): return .bool(flag)
        case .numberValue(let number):
            guard let number = JSONNumber(number) else { throw FieldViolation("", "must be a finite number") }
            return .number(number)
        case .stringValue(let text): return .string(text)
        case .listValue(let list):
            guard depth < maximumDepth else { throw tooDeep }
            var elements: [JSONValue] = []
            elements.reserveCapacity(list.values.count)
            for (index, value) in list.values.enumerated() {
                do throws(FieldViolation) {
                    elements.append(try value.json(depth: depth + 1))
                } catch {
                    throw error.inside("[\(index)]")
                }
            }
            return .array(elements)
        case .structValue(let object): return .object(try object.json(depth: depth + 1))
        case nil: throw FieldViolation("", "must be a value")
        }
    }
}
