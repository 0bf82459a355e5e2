import Foundation
import JOSE
import Testing

/// The bytes of a text.
func bytes(_ text: String) -> [UInt8] { [UInt8](text.utf8) }

/// The text of bytes that are known to be UTF-8.
func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

/// The bytes of a hexadecimal text.
func hex(_ text: String) -> [UInt8] {
    let digits = text.utf8.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
}

/// A key from JSON text.
func key(_ json: String) throws -> JWK {
    try JWK(json: try JSONObject(parsing: bytes(json)))
}

/// A compact token from a header, a payload and signature bytes, without any check.
func token(header: String, payload: String = "{}", signature: [UInt8] = [1]) -> String {
    [bytes(header), bytes(payload), signature].map { Base64URL.encode($0) }.joined(separator: ".")
}

/// The generator of these tests' random cases, seeded so that a failure can be repeated (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// A file of `Tests/Vectors`.
func vectors(_ name: String, file: StaticString = #filePath) throws -> JSONObject {
    let folder = URL(fileURLWithPath: "\(file)").deletingLastPathComponent().deletingLastPathComponent()
    let data = try Data(contentsOf: folder.appendingPathComponent("Vectors").appendingPathComponent(name))
    return try JSONObject(parsing: data)
}

extension JSONObject {
    /// The value at a path of member names.
    func at(_ path: String...) throws -> JSONValue { try value(at: path) }

    /// The text at a path of member names.
    func text(_ path: String...) throws -> String { try #require(value(at: path).stringValue) }

    /// The object at a path of member names.
    func object(_ path: String...) throws -> JSONObject { try #require(value(at: path).objectValue) }

    /// The elements at a path of member names.
    func array(_ path: String...) throws -> [JSONValue] { try #require(value(at: path).arrayValue) }

    private func value(at path: [String]) throws -> JSONValue {
        var value = JSONValue.object(self)
        for name in path { value = try #require(value.objectValue?[name]) }
        return value
    }
}
