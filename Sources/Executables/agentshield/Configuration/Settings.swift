/// One section's settings: a flag wins over the environment, the environment over the file.
struct Settings {
    let section: String
    let file: ConfigurationFile

    /// The environment variable of a key: `server.ca_ttl` is `AGENTSHIELD_SERVER_CA_TTL`.
    static func variable(_ section: String, _ key: String) -> String {
        "AGENTSHIELD_\(section.uppercased())_\(key.uppercased())"
    }

    /// The value and the place it came from, for errors.
    private func find(_ key: String) -> (values: [String], place: String)? {
        let variable = Self.variable(section, key)
        if let value = Environment[variable] {
            return (value.split(separator: ",").map { String($0) }, "`\(variable)`")
        }
        return file.sections[section]?[key].map { ($0, "`\(section).\(key)`") }
    }

    func text(_ key: String, flag: String?) throws -> String? {
        if let flag { return flag }
        guard let (values, place) = find(key) else { return nil }
        guard values.count == 1, let value = values.first, !value.isEmpty else {
            throw CommandFailure("\(place) takes one value")
        }
        return value
    }

    func list(_ key: String, flag: [String]) -> [String] {
        flag.isEmpty ? find(key)?.values ?? [] : flag
    }

    func port(_ key: String, flag: Int?, default standard: Int) throws -> Int {
        guard let text = try text(key, flag: flag.map { "\($0)" }) else { return standard }
        guard let port = Int(text), (0...65535).contains(port) else {
            throw CommandFailure("\(name(key)): `\(text)` is not a port")
        }
        return port
    }

    func seconds(_ key: String, flag: String?) throws -> Int64? {
        guard let text = try text(key, flag: flag) else { return nil }
        let seconds = try DurationText.seconds(text, flag: name(key))
        guard seconds > 0 else { throw CommandFailure("\(name(key)) must be positive") }
        return seconds
    }

    func integer(_ key: String, flag: Int64?) throws -> Int64? {
        guard let text = try text(key, flag: flag.map { "\($0)" }) else { return nil }
        guard let number = Int64(text) else { throw CommandFailure("\(name(key)): `\(text)` is not a whole number") }
        return number
    }

    func flag(_ key: String, flag: Bool, default standard: Bool = false) throws -> Bool {
        if flag { return true }
        guard let text = try text(key, flag: nil) else { return standard }
        switch text.lowercased() {
        case "true", "yes", "1", "on": return true
        case "false", "no", "0", "off": return false
        default: throw CommandFailure("\(name(key)): `\(text)` is neither true nor false")
        }
    }

    /// How errors name a key: as the file spells it.
    func name(_ key: String) -> String { "`\(section).\(key)`" }
}
