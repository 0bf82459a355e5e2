import Crypto
import Foundation
import JOSE
import OAuth
import Testing

/// The bytes of a text.
func bytes(_ text: String) -> [UInt8] { [UInt8](text.utf8) }

/// A form read as the token endpoint reads it.
func form(_ body: String) throws -> FormParameters {
    try FormParameters(parsing: bytes(body), repeatable: FormParameters.repeatableInTokenRequests)
}

/// The value of a JSON text.
func json(_ text: String) throws -> JSONValue { try JSONValue(parsing: text) }

/// `Authorization: Basic` of a text.
func basic(_ text: String) -> String { "Basic " + Base64.encode(bytes(text)) }

/// A token of any header and claims, signed.
func token(_ header: [(String, JSONValue)], _ claims: JSONObject, key: JWSSigningKey, writesKeyID: Bool = true) throws
    -> String
{
    try CompactJWS.sign(header: header, payload: claims.serializedBytes, key: key, writesKeyID: writesKeyID)
}

/// The object with members changed; nil removes one.
func changed(_ json: JSONObject, _ changes: [(String, JSONValue?)]) -> JSONObject {
    var json = json
    for (name, value) in changes { json[name] = value }
    return json
}

/// What a body throws, if it throws an error of this type.
func refusal<Failure: Error, Value>(_ body: () throws(Failure) -> Value) -> Failure? {
    do throws(Failure) {
        _ = try body()
        return nil
    } catch {
        return error
    }
}

/// A file of `Tests/Vectors`.
func vectors(_ name: String, file: StaticString = #filePath) throws -> JSONObject {
    let folder = URL(fileURLWithPath: "\(file)").deletingLastPathComponent().deletingLastPathComponent()
    let data = try Data(contentsOf: folder.appendingPathComponent("Vectors").appendingPathComponent(name))
    return try JSONObject(parsing: data)
}

extension JSONObject {
    /// The text at a path of member names.
    func text(_ path: String...) throws -> String { try #require(value(at: path).stringValue) }

    /// The object at a path of member names.
    func object(_ path: String...) throws -> JSONObject { try #require(value(at: path).objectValue) }

    /// The objects of the array at a path of member names.
    func objects(_ path: String...) throws -> [JSONObject] {
        try #require(value(at: path).arrayValue).map { try #require($0.objectValue) }
    }

    private func value(at path: [String]) throws -> JSONValue {
        var value = JSONValue.object(self)
        for name in path { value = try #require(value.objectValue?[name]) }
        return value
    }
}

extension JWSSigningKey {
    /// A new key for ES256.
    static func fresh(_ keyID: String = "k") -> JWSSigningKey {
        JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: keyID)
    }
}
