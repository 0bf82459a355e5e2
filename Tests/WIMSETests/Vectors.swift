import Foundation
import JOSE
import Testing
import WIMSE

/// One case of the vectors that may or may not be taken, with the code of the rule that it breaks.
struct VectorCase: Sendable, CustomTestStringConvertible {
    let file: String
    let section: String
    let expected: String
    let why: String
    let json: JSONObject

    var testDescription: String { "\(file) \(section): \(expected), \(why)" }
}

/// The files in `Tests/Vectors`.
enum Vectors {
    static let proofFiles = ["wimse-es256.json", "wimse-eddsa.json"]

    static func file(_ name: String) throws -> JSONObject {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let data = try Data(contentsOf: folder.appendingPathComponent("Vectors").appendingPathComponent(name))
        return try #require(try JSONValue(parsing: Array(data)).objectValue)
    }

    static func cases(_ section: String, _ list: String) -> [VectorCase] {
        proofFiles.flatMap { name in
            let cases = (try? file(name))?[section]?.objectValue?[list]?.arrayValue ?? []
            return cases.compactMap(\.objectValue).map {
                VectorCase(
                    file: name, section: section, expected: $0["expect"]?.stringValue ?? "",
                    why: $0["why"]?.stringValue ?? "", json: $0)
            }
        }
    }
}

extension JSONObject {
    func text(_ name: String) throws -> String { try #require(self[name]?.stringValue, "\(name)") }
    func object(_ name: String) throws -> JSONObject { try #require(self[name]?.objectValue, "\(name)") }

    /// The member as a key for checking signatures.
    func key(_ name: String) throws -> JWSVerificationKey {
        try JWSVerificationKey(jwk: JWK(json: try object(name)))
    }

    /// The pairs of a member that is a list of header fields.
    func fields(_ name: String) throws -> [(name: String, value: String)] {
        try #require(self[name]?.arrayValue).map { pair in
            let pair = try #require(pair.stringArrayValue)
            return (pair[0], pair[1])
        }
    }

    /// A request in the form of the vectors, without its signature.
    func request() throws -> WorkloadRequest {
        WorkloadRequest(
            method: try text("method"), target: try text("path") + (self["query"]?.stringValue ?? ""),
            fields: MessageFields(try fields("headers")), body: Array(try text("body").utf8))
    }
}
