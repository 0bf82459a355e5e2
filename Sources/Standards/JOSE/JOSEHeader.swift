/// The protected header of a compact JWS (RFC 7515 §4), read strictly.
package struct JOSEHeader: Sendable, Equatable {
    /// The algorithm that the token claims; only a key decides whether that is right.
    package let algorithm: JWSAlgorithm

    /// The key ID, if there is one.
    package let keyID: String?

    /// The media type of the whole object (`typ`), if there is one.
    package let type: String?

    /// All members.
    package let json: JSONObject

    /// Reads a header; refuses unknown algorithms, `none`, and every extension that must be understood.
    init(parsing bytes: [UInt8], limits: JSONLimits) throws(JWSError) {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: bytes, limits: limits)
        } catch {
            throw .invalidHeader(error)
        }
        guard case .object(let object) = value else { throw .headerIsNotAnObject }
        for member in ["crit", "b64"] where object[member] != nil { throw .unsupportedExtension(member) }
        guard let name = try Self.string("alg", of: object) else { throw .missingAlgorithm }
        guard let algorithm = JWSAlgorithm(rawValue: name) else {
            throw Self.isNone(name) ? .unsecured : .unsupportedAlgorithm(name)
        }
        self.algorithm = algorithm
        keyID = try Self.string("kid", of: object)
        type = try Self.string("typ", of: object)
        json = object
    }

    private static func string(_ member: String, of object: JSONObject) throws(JWSError) -> String? {
        guard let value = object[member] else { return nil }
        guard case .string(let string) = value else { throw .wrongType(member: member) }
        return string
    }

    private static func isNone(_ name: String) -> Bool {
        name.utf8.elementsEqual("none".utf8) { $0 | 0x20 == $1 }
    }
}
