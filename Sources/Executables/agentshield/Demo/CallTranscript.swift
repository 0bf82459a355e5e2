/// The calls of the demonstration's agent, told as a story: a line for each change, and a count at the end.
struct CallTranscript {
    private var seen: [String] = []
    private var calls = 0
    private var keptCalls = 0
    private var certificates: Set<String> = []

    /// What to print for a line of `demo-agent call`; nil if nothing about it is new.
    mutating func told(_ line: String) -> String? {
        let words = line.split(separator: " ")
        guard words.count > 8, words[1] == "connection", let serial = words.dropFirst(4).first,
            let status = words.dropFirst(8).first
        else { return line }
        calls += 1
        if words[0] == "kept" { keptCalls += 1 }
        certificates.insert(String(serial))
        let fact = "\(words[0]) \(serial) \(status)"
        guard !seen.contains(fact) else { return nil }
        seen.append(fact)
        let connection = words[0] == "kept" ? "kept connection" : "new connection "
        return "\(connection)  certificate \(serial)…  answer \(status) \(Self.decision(in: line))"
    }

    /// How many calls there were, how many of them on the kept connection, under how many certificates; nil before the first.
    var summary: String? {
        guard calls > 0 else { return nil }
        return "\(counted(calls, "call", "calls")), \(keptCalls) on the kept connection, "
            + counted(certificates.count, "certificate", "certificates")
    }

    private static func decision(in line: String) -> String {
        line.contains(#""decision":"allow""#) ? "allow" : line.contains(#""decision":"deny""#) ? "deny" : ""
    }
}
