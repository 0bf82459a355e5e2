import JOSE

/// One entry of the log, as far as it can be read; an entry that is not JSON still has its index.
struct LogLine: Sendable {
    let index: Int64
    let event: JSONObject?

    init(index: Int64, entry: [UInt8]) {
        self.index = index
        event = (try? JSONValue(parsing: entry))?.objectValue
    }

    var type: String { event?["type"]?.stringValue ?? "unreadable" }

    /// The text at a path of member names.
    func text(_ path: String...) -> String? { value(at: path)?.stringValue }

    /// What is at a path of member names.
    func member(_ path: String...) -> JSONValue? { value(at: path) }

    private func value(at path: [String]) -> JSONValue? {
        var value: JSONValue? = event.map { .object($0) }
        for name in path { value = value?.objectValue?[name] }
        return value
    }

    var json: JSONValue {
        ["index": .number(JSONNumber(index)), "event": event.map { .object($0) } ?? .null]
    }

    /// Index, time, type, phase, decision, agent, resource: in columns.
    static func table(_ lines: [LogLine]) -> String {
        let rows = lines.map { line in
            [
                "\(line.index)", line.text("time") ?? "-", line.type, line.text("phase") ?? "-",
                line.text("decision", "result") ?? "-",
                line.text("agent", "id") ?? line.text("agent", "auth_method") ?? "-",
                [line.text("resource", "kind"), line.text("resource", "id")].compactMap { $0 }.joined(separator: " "),
            ]
        }
        return columns(heads: ["INDEX", "TIME", "TYPE", "PHASE", "DECISION", "AGENT", "RESOURCE"], rows: rows)
    }

    /// Rows under their heads, each column as wide as its widest cell.
    static func columns(heads: [String], rows: [[String]]) -> String {
        let widths = heads.indices.map { column in
            ([heads] + rows).map { $0[column].count }.max() ?? 0
        }
        return ([heads] + rows).map { row in
            zip(row, widths).enumerated().map { column, cell in
                column == heads.count - 1
                    ? cell.0 : cell.0 + String(repeating: " ", count: cell.1 - cell.0.count)
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }

    /// Every member on its own line, names of nested ones joined by dots.
    var details: String {
        guard let event else { return "entry \(index) is not JSON" }
        var lines = PrettyLines()
        lines.line("index", index)
        Self.flatten(.object(event), prefix: "", into: &lines)
        return lines.text
    }

    private static func flatten(_ value: JSONValue, prefix: String, into lines: inout PrettyLines) {
        switch value {
        case .object(let object):
            for (name, member) in object.members {
                flatten(member, prefix: prefix.isEmpty ? name : "\(prefix).\(name)", into: &lines)
            }
        case .array(let items):
            for (position, item) in items.enumerated() { flatten(item, prefix: "\(prefix)[\(position)]", into: &lines) }
        case .string(let text): lines.line(prefix, text)
        case .null, .bool, .number: lines.line(prefix, String(decoding: value.serializedBytes, as: UTF8.self))
        }
    }
}
