import JOSE
import Yams

/// A YAML document as JSON value, so that one kind of reader serves both.
enum YAMLDocument {
    /// How deep a document may be nested.
    private static let maximumDepth = 64

    static func read(_ bytes: [UInt8], name: String) throws -> JSONValue {
        let document: Node?
        do {
            document = try Yams.compose(yaml: String(decoding: bytes, as: UTF8.self))
        } catch {
            throw CommandFailure("`\(name)` is no YAML: \(error)")
        }
        guard let document else { throw CommandFailure("`\(name)` is empty") }
        return try value(document, name, depth: 0)
    }

    private static func value(_ node: Node, _ name: String, depth: Int) throws -> JSONValue {
        guard depth < maximumDepth else { throw CommandFailure("`\(name)` is nested too deep") }
        switch node {
        case .mapping(let mapping):
            var object = JSONObject()
            for (key, child) in mapping {
                guard let key = key.string, object[key] == nil else {
                    throw CommandFailure("`\(name)`: a key is no text or stands twice\(place(of: node))")
                }
                object[key] = try value(child, name, depth: depth + 1)
            }
            return .object(object)
        case .sequence(let sequence): return .array(try sequence.map { try value($0, name, depth: depth + 1) })
        case .scalar: return try scalar(node, name)
        case .alias: throw CommandFailure("`\(name)`: aliases are not supported\(place(of: node))")
        }
    }

    private static func scalar(_ node: Node, _ name: String) throws -> JSONValue {
        if node.null != nil { return .null }
        if let flag = node.bool, isPlain(node) { return .bool(flag) }
        if let number = node.int, isPlain(node) { return .number(JSONNumber(Int64(number))) }
        if let number = node.float, isPlain(node), let number = JSONNumber(number) { return .number(number) }
        guard let text = node.string else { throw CommandFailure("`\(name)`: a value is no text\(place(of: node))") }
        return .string(text)
    }

    /// What stands in quotes is a text, whatever it looks like.
    private static func isPlain(_ node: Node) -> Bool { node.scalar?.style == .plain || node.scalar?.style == .any }

    private static func place(of node: Node) -> String { node.mark.map { " (line \($0.line))" } ?? "" }
}
