import JOSE
import SPIFFE

/// A stored record is not what this version writes.
struct DamagedRecord: Error {}

/// Reads the members of a stored object: each exactly once, of the right type, and none left over.
struct RecordReader {
    private let json: JSONObject
    /// How many members were found. No name is asked for twice.
    private var found = 0

    init(_ value: JSONValue) throws(DamagedRecord) {
        guard let object = value.objectValue else { throw DamagedRecord() }
        json = object
    }

    private mutating func take(_ name: String) -> JSONValue? {
        guard let value = json[name] else { return .none }
        found += 1
        return value
    }

    mutating func text(_ name: String) throws(DamagedRecord) -> String {
        guard let text = take(name)?.stringValue else { throw DamagedRecord() }
        return text
    }

    mutating func optionalText(_ name: String) throws(DamagedRecord) -> String? {
        guard let value = take(name) else { return nil }
        guard let text = value.stringValue else { throw DamagedRecord() }
        return text
    }

    mutating func integer(_ name: String) throws(DamagedRecord) -> Int64 {
        guard let number = take(name)?.int64Value else { throw DamagedRecord() }
        return number
    }

    mutating func flag(_ name: String) throws(DamagedRecord) -> Bool {
        guard let flag = take(name)?.boolValue else { throw DamagedRecord() }
        return flag
    }

    mutating func texts(_ name: String) throws(DamagedRecord) -> [String] {
        guard let texts = take(name)?.stringArrayValue else { throw DamagedRecord() }
        return texts
    }

    mutating func values(_ name: String) throws(DamagedRecord) -> [JSONValue] {
        guard let values = take(name)?.arrayValue else { throw DamagedRecord() }
        return values
    }

    /// Nothing where there is no such member.
    mutating func optionalValues(_ name: String) throws(DamagedRecord) -> [JSONValue] {
        json[name] == nil ? [] : try values(name)
    }

    mutating func optionalInteger(_ name: String) throws(DamagedRecord) -> Int64? {
        json[name] == nil ? nil : try integer(name)
    }

    mutating func optionalObject(_ name: String) throws(DamagedRecord) -> JSONObject? {
        guard let value = take(name) else { return nil }
        guard let object = value.objectValue else { throw DamagedRecord() }
        return object
    }

    mutating func time(_ name: String) throws(DamagedRecord) -> UnixTime {
        UnixTime(milliseconds: try integer(name))
    }

    mutating func optionalTime(_ name: String) throws(DamagedRecord) -> UnixTime? {
        json[name] == nil ? nil : try time(name)
    }

    mutating func word<Word: RawRepresentable>(_ name: String) throws(DamagedRecord) -> Word
    where Word.RawValue == String {
        guard let word = Word(rawValue: try text(name)) else { throw DamagedRecord() }
        return word
    }

    /// Nothing that was written may be passed over: it may be what keeps somebody out.
    func finish() throws(DamagedRecord) {
        guard found == json.count else { throw DamagedRecord() }
    }
}

/// Texts that occur in many records are held once.
package struct TextPool {
    private var texts: [String: String] = [:]

    package init() {}

    mutating func one(_ text: String) -> String {
        if let known = texts[text] { return known }
        texts[text] = text
        return text
    }
}
