import JOSE

/// A map field whose keys are strings, in the order in which its entries were written.
///
/// Keys are compared by their UTF-8 bytes, as names of JSON members are. Look-up walks the entries, which suits the few
/// schemes and scopes of a card.
public struct ProtoMap<Value: Sendable & Equatable>: Sendable {
    /// The entries in order.
    /// INVARIANT: no two keys have the same UTF-8 bytes.
    public private(set) var entries: [(key: String, value: Value)]

    /// A map without entries.
    public init() {
        entries = []
    }

    /// The map with the same keys whose values were converted.
    init<Source>(mapping map: ProtoMap<Source>, _ transform: (Source) -> Value) {
        entries = map.entries.map { ($0.key, transform($0.value)) }
    }

    /// The value of a key; setting `nil` removes the entry, setting a new key appends it.
    public subscript(_ key: String) -> Value? {
        get { entries.first { $0.key.hasSameBytes(as: key) }?.value }
        set {
            let place = entries.firstIndex { $0.key.hasSameBytes(as: key) }
            switch (place, newValue) {
            case (let place?, let value?): entries[place].value = value
            case (let place?, nil): entries.remove(at: place)
            case (nil, let value?): entries.append((key, value))
            case (nil, nil): break
            }
        }
    }

    /// The keys in order.
    public var keys: [String] { entries.map(\.key) }

    /// The number of entries.
    public var count: Int { entries.count }

    /// Whether there are no entries.
    public var isEmpty: Bool { entries.isEmpty }
}

extension ProtoMap: Equatable {
    /// Whether both have the same entries, in whatever order.
    public static func == (left: ProtoMap, right: ProtoMap) -> Bool {
        left.count == right.count && left.entries.allSatisfy { right[$0.key] == $0.value }
    }
}

extension ProtoMap: ExpressibleByDictionaryLiteral {
    /// A map; a key written twice keeps its first place and its last value.
    public init(dictionaryLiteral elements: (String, Value)...) {
        self.init()
        for (key, value) in elements { self[key] = value }
    }
}

extension ProtoMap where Value == String {
    init(reading name: String, of fields: FieldReader) throws(FieldViolation) {
        // The names of one object are distinct.
        entries = try fields.map(name) { (value, path) throws(FieldViolation) in
            guard case .string(let text) = value else { throw FieldViolation(path, "must be a string") }
            return text
        }
    }
}

extension ProtoMap where Value: ProtoJSONMessage {
    init(reading name: String, of fields: FieldReader) throws(FieldViolation) {
        entries = try fields.map(name) { (value, path) throws(FieldViolation) in try Value(json: value, at: path) }
    }
}

extension FieldWriter {
    package mutating func write(_ name: StaticString, _ map: ProtoMap<String>) {
        writeObject(name) { members in
            for (key, text) in map.entries { members.write(key: key) { JSONWriter.append(text, to: &$0) } }
        }
    }

    package mutating func write<Value: ProtoJSONMessage>(_ name: StaticString, _ map: ProtoMap<Value>) {
        writeObject(name) { members in
            for (key, value) in map.entries { members.write(key: key) { value.appendJSON(to: &$0) } }
        }
    }

    package mutating func writeUnlessEmpty(_ name: StaticString, _ map: ProtoMap<String>) {
        if !map.isEmpty { write(name, map) }
    }

    package mutating func writeUnlessEmpty<Value: ProtoJSONMessage>(_ name: StaticString, _ map: ProtoMap<Value>) {
        if !map.isEmpty { write(name, map) }
    }
}
