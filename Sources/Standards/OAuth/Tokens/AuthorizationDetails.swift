package import JOSE

/// Rich authorization requests (RFC 9396 §2): objects whose `type` says who understands them. Here they are opaque.
package struct AuthorizationDetails: Sendable, Equatable {
    /// One object.
    package struct Detail: Sendable, Equatable {
        package let type: String
        /// All members, `type` included.
        package let json: JSONObject
    }

    /// INVARIANT: not empty.
    package let details: [Detail]

    /// The most objects that are read.
    package static let maximumCount = 16
    /// Longest text that is read, in bytes.
    package static let maximumBytes = 16 * 1024
    private static let maximumDepth = 12

    /// Reads the parameter `authorization_details`.
    package init(parsing text: String) throws(AuthorizationDetailsError) {
        let value: JSONValue
        do {
            value = try JSONValue(
                parsing: text, limits: JSONLimits(maximumBytes: Self.maximumBytes, maximumDepth: Self.maximumDepth))
        } catch {
            throw .json(error)
        }
        try self.init(json: value)
    }

    /// Reads the claim or the member of a response.
    package init(json: JSONValue) throws(AuthorizationDetailsError) {
        guard case .array(let elements) = json, !elements.isEmpty else { throw .notAnArray }
        guard elements.count <= Self.maximumCount else { throw .tooMany }
        var details: [Detail] = []
        for element in elements {
            guard case .object(let object) = element else { throw .notAnObject }
            guard let type = object["type"]?.stringValue, !type.isEmpty else { throw .missingType }
            guard object.members.allSatisfy({ Self.isExact($0.value) }) else { throw .unsafeNumber }
            details.append(Detail(type: type, json: object))
        }
        self.details = details
    }

    /// Whether every reader sees the same numbers: beyond 2^53 some round, and so does the canonical form that people approve.
    static func isExact(_ value: JSONValue) -> Bool {
        switch value {
        case .null, .bool, .string: true
        case .number(let number):
            number.int64.map { $0.magnitude <= 1 << 53 } ?? (number.double.magnitude <= 9_007_199_254_740_992)
        case .array(let elements): elements.allSatisfy { isExact($0) }
        case .object(let object): object.members.allSatisfy { isExact($0.value) }
        }
    }

    /// The array as it was read.
    package var json: JSONValue { .array(details.map { .object($0.json) }) }
}

/// Why authorization details are refused.
package enum AuthorizationDetailsError: OAuthRefusal, Sendable, Equatable, CustomStringConvertible {
    case json(JSONParseError)
    /// No array, or an empty one.
    case notAnArray
    case notAnObject
    case tooMany
    /// An object without a `type`.
    case missingType
    /// A number that not every reader reads exactly.
    case unsafeNumber

    package var code: OAuthErrorCode { .invalidAuthorizationDetails }

    package var description: String {
        switch self {
        case .json(let error): error.description
        case .notAnArray: "authorization details are not an array of objects"
        case .notAnObject: "an authorization detail is not an object"
        case .tooMany: "there are more than \(AuthorizationDetails.maximumCount) authorization details"
        case .missingType: "an authorization detail has no type"
        case .unsafeNumber: "a number of an authorization detail is beyond 2^53; write it as text"
        }
    }
}
