package import JOSE

/// Which authorization details (RFC 9396 §2) are allowed: an object that looks like one of them, with limits in the place of
/// values.
///
/// A detail fits if each of its members fits the member of the same name here, and none is left over on either side:
/// a member that a detail leaves out could stand for everything, and one that nobody has named could mean anything.
///
/// | a member of the pattern | what fits |
/// | --- | --- |
/// | text, truth value, null | the same value |
/// | number | the same number |
/// | array of values | one of them, or an array with nothing but them |
/// | `{"minimum": a, "maximum": b}`, either alone | a number between, ends included |
/// | `{}` | anything, also that it is not there |
/// | another object | an object that fits it, by these rules |
///
/// `type` is always a text. A member `"*": {}` allows members of every other name.
package struct AuthorizationDetailPattern: Sendable, Equatable {
    package let type: String
    /// All members, `type` included.
    package let json: JSONObject

    private static let wildcard = "*"
    private static let maximumDepth = 8

    package init(_ json: JSONObject) throws(AuthorizationDetailPatternError) {
        guard let type = json["type"]?.stringValue, !type.isEmpty else { throw .missingType }
        try Self.check(json, depth: 0)
        self.type = type
        self.json = json
    }

    /// Whether the detail asks for no more than the pattern allows.
    package func covers(_ detail: AuthorizationDetails.Detail) -> Bool {
        Self.covers(json, detail.json)
    }

    // MARK: the rules

    private static func check(_ json: JSONObject, depth: Int) throws(AuthorizationDetailPatternError) {
        guard depth < maximumDepth else { throw .tooDeep }
        for (name, value) in json.members {
            if name.hasSameBytes(as: wildcard) {
                guard value.objectValue?.isEmpty == true else { throw .badWildcard }
            }
            try check(value, depth: depth + 1)
        }
    }

    private static func check(_ value: JSONValue, depth: Int) throws(AuthorizationDetailPatternError) {
        switch value {
        case .null, .bool, .string: return
        case .number: guard AuthorizationDetails.isExact(value) else { throw .unsafeNumber }
        case .array(let elements):
            guard !elements.isEmpty else { throw .emptyArray }
            guard AuthorizationDetails.isExact(value) else { throw .unsafeNumber }
            // Arrays of arrays would have two meanings: one of the elements, or some of them.
            guard elements.allSatisfy({ $0.arrayValue == nil && $0.objectValue == nil }) else { throw .nestedArray }
        case .object(let object):
            if object["minimum"] == nil, object["maximum"] == nil {
                try check(object, depth: depth)
                return
            }
            let bounds = object.members.allSatisfy {
                ["minimum", "maximum"].contains($0.name) && $0.value.numberValue != nil
            }
            guard bounds else { throw .badBounds }
            guard AuthorizationDetails.isExact(value) else { throw .unsafeNumber }
        }
    }

    private static func covers(_ pattern: JSONObject, _ object: JSONObject) -> Bool {
        let allowsOthers = pattern[wildcard] != nil
        for (name, limit) in pattern.members where !name.hasSameBytes(as: wildcard) {
            guard let value = object[name] else {
                guard limit.objectValue?.isEmpty == true else { return false }
                continue
            }
            guard covers(limit, value) else { return false }
        }
        return allowsOthers || object.members.allSatisfy { pattern[$0.name] != nil }
    }

    private static func covers(_ limit: JSONValue, _ value: JSONValue) -> Bool {
        switch limit {
        case .null, .bool, .number, .string: return limit == value
        case .array(let allowed):
            guard let values = value.arrayValue else { return allowed.contains(value) }
            return !values.isEmpty && values.allSatisfy { allowed.contains($0) }
        case .object(let object):
            if object.isEmpty { return true }
            if object["minimum"] != nil || object["maximum"] != nil {
                guard let number = value.numberValue?.double else { return false }
                return number >= object["minimum"]?.numberValue?.double ?? -.infinity
                    && number <= object["maximum"]?.numberValue?.double ?? .infinity
            }
            return value.objectValue.map { covers(object, $0) } ?? false
        }
    }
}

/// Why a pattern of authorization details is refused.
package enum AuthorizationDetailPatternError: Error, Sendable, Equatable, CustomStringConvertible {
    case missingType
    case tooDeep
    /// `*` with a limit.
    case badWildcard
    /// An array that nothing fits.
    case emptyArray
    case nestedArray
    /// `minimum` or `maximum` beside something else, or no number.
    case badBounds
    /// A number beyond 2^53.
    case unsafeNumber

    package var description: String {
        switch self {
        case .missingType: "a pattern of authorization details has no type"
        case .tooDeep: "a pattern of authorization details is too deep"
        case .badWildcard: "a member `*` of a pattern is {}"
        case .emptyArray: "an array in a pattern is empty: nothing would fit"
        case .nestedArray: "an array in a pattern has texts, numbers and truth values only"
        case .badBounds: "`minimum` and `maximum` of a pattern are numbers and stand alone"
        case .unsafeNumber: "a number of a pattern is beyond 2^53"
        }
    }
}

extension AuthorizationDetails {
    /// Details that were read one by one.
    package init(_ details: [Detail]) throws(AuthorizationDetailsError) {
        try self.init(json: .array(details.map { .object($0.json) }))
    }

    /// Whether each of these is among the others, with every value the same: what may be passed on from token to token.
    package func isContained(in others: AuthorizationDetails) -> Bool {
        details.allSatisfy { detail in others.details.contains { $0.json == detail.json } }
    }
}
