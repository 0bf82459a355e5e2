/// The members of a JSON object in their order (RFC 8259 §4); every name occurs once.
///
/// Names are compared by their UTF-8 bytes. Look-up walks the members, which suits the small objects of tokens and
/// keys; walk `members` instead of looking up every name of a large object.
public struct JSONObject: Sendable {
    /// The members in order.
    /// INVARIANT: no two names have the same UTF-8 bytes.
    public private(set) var members: [(name: String, value: JSONValue)]

    /// An object without members.
    public init() {
        members = []
    }

    /// An object with these members; a name given twice keeps its first place and its last value.
    public init(_ members: [(String, JSONValue)]) {
        self.members = []
        self.members.reserveCapacity(members.count)
        var places = NamePlaces()
        for (name, value) in members {
            if let place = places.insert(name, at: self.members.count, among: self.members) {
                self.members[place].value = value
            } else {
                self.members.append((name, value))
            }
        }
    }

    /// Takes members whose names the caller has already found to be distinct.
    init(distinct members: [(name: String, value: JSONValue)]) {
        self.members = members
    }

    /// The value of a member, or nil if there is none; setting nil removes it, setting a new name appends it.
    public subscript(_ name: String) -> JSONValue? {
        get {
            for member in members where member.name.hasSameBytes(as: name) { return member.value }
            return nil
        }
        set {
            let place = members.firstIndex { $0.name.hasSameBytes(as: name) }
            switch (place, newValue) {
            case (let place?, let value?): members[place].value = value
            case (let place?, nil): members.remove(at: place)
            case (nil, let value?): members.append((name, value))
            case (nil, nil): break
            }
        }
    }

    /// The number of members.
    public var count: Int { members.count }

    /// Whether there are no members.
    public var isEmpty: Bool { members.isEmpty }
}

extension JSONObject: Equatable {
    /// Whether both have the same members, in whatever order.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        guard left.count == right.count else { return false }
        let namesAgree = zip(left.members, right.members).allSatisfy { $0.name.hasSameBytes(as: $1.name) }
        if namesAgree { return zip(left.members, right.members).allSatisfy { $0.value == $1.value } }
        return zip(left.canonicallyOrdered, right.canonicallyOrdered).allSatisfy {
            $0.name.hasSameBytes(as: $1.name) && $0.value == $1.value
        }
    }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    /// An object; a name written twice keeps its first place and its last value.
    public init(dictionaryLiteral elements: (String, JSONValue)...) { self.init(elements) }
}

/// Finds repeated names in linear time: by comparison while there are few, by a table once there are many.
struct NamePlaces {
    /// Below this count, walking the members is cheaper than hashing every name.
    private static let tableThreshold = 12

    private var table: [ExactName: Int] = [:]

    /// Notes that `name` is about to stand at `place` behind `members`; returns the place where it already stands.
    mutating func insert(_ name: String, at place: Int, among members: [(name: String, value: JSONValue)]) -> Int? {
        if place < Self.tableThreshold {
            return members.firstIndex { $0.name.hasSameBytes(as: name) }
        }
        if table.isEmpty {
            for (index, member) in members.enumerated() { table[ExactName(text: member.name)] = index }
        }
        let key = ExactName(text: name)
        if let earlier = table[key] { return earlier }
        table[key] = place
        return nil
    }
}

/// A name as dictionary key, hashed with the process's random seed and compared by its bytes.
private struct ExactName: Hashable {
    let text: String

    static func == (left: ExactName, right: ExactName) -> Bool {
        left.text.hasSameBytes(as: right.text)
    }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
