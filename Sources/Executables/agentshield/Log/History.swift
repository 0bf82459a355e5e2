import JOSE

/// Acts on one kind of thing as the audit log tells them: who did what when, and what came of it.
enum History {
    /// The lines that `isWanted` picks, oldest first, each act once: an intent only where its outcome is missing.
    static func read(
        _ log: any LogSource, where isWanted: @Sendable (LogLine) -> Bool
    ) async throws -> [LogLine] {
        let size = try await log.info().size
        var index: Int64 = 0
        var found: [LogLine] = []
        while index < size {
            let entries = try await log.entries(from: index, count: min(batch, Int(clamping: size - index)))
            guard !entries.isEmpty else { break }
            for entry in entries {
                let line = LogLine(index: index, entry: entry)
                if isWanted(line) { found.append(line) }
                index += 1
            }
        }
        let finished = Set(found.compactMap { $0.text("correlation", "intent_id") })
        return found.filter { line in line.text("id").map { !finished.contains($0) } ?? true }
    }

    /// Entries of the log that are asked for at once.
    private static let batch = 256

    /// Index, time, type, what came of it, who, resource and facts: in columns.
    static func table(_ lines: [LogLine]) -> String {
        LogLine.columns(
            heads: ["INDEX", "TIME", "TYPE", "RESULT", "BY", "RESOURCE", "FACTS"],
            rows: lines.map { line in
                [
                    "\(line.index)", line.text("time") ?? "-", line.type, result(of: line), author(of: line),
                    line.text("resource", "id") ?? "-", facts(of: line),
                ]
            })
    }

    private static func result(of line: LogLine) -> String {
        if line.text("decision", "result") == "deny" { return "refused" }
        switch line.text("phase") {
        case "intent": return "unfinished"
        case "outcome": return line.text("effect", "observed") ?? "-"
        default: return line.text("decision", "result") ?? "-"
        }
    }

    private static func author(of line: LogLine) -> String {
        if let id = line.text("agent", "id") { return id }
        let method = line.text("agent", "auth_method") ?? "-"
        guard let uid = line.member("agent", "peer", "uid") else { return method }
        return "\(method) uid \(String(decoding: uid.serializedBytes, as: UTF8.self))"
    }

    private static func facts(of line: LogLine) -> String {
        var facts = (line.member("effect", "result")?.objectValue?.members ?? []).compactMap { name, value in
            value.stringValue.map { "\(name)=\($0)" }
        }
        if let reason = line.text("decision", "reason") { facts.append("reason=\(reason)") }
        return facts.isEmpty ? "-" : facts.joined(separator: " ")
    }
}

extension LogOptions {
    /// Reads a history and prints it.
    func showHistory(_ format: OutputOptions, where isWanted: @Sendable @escaping (LogLine) -> Bool) async throws {
        let found = try await withLog { log in try await History.read(log, where: isWanted) }
        format.write(json: ["entries": .array(found.map(\.json))]) { History.table(found) }
    }
}
