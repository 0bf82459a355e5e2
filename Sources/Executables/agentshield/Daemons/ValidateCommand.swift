import ArgumentParser
import JOSE

struct Validate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Checks a configuration file without running anything.")

    @Option(name: .flag("config"), help: "Configuration file (YAML).")
    var config: String
    @OptionGroup var format: OutputOptions

    func run() async throws { try checkConfiguration(config, needing: nil, format) }
}

/// SPIRE's `spire-server validate`.
struct ServerValidate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate", abstract: "Checks a control plane's configuration file without running anything.")

    @Option(name: .flag("config"), help: "Configuration file (YAML).")
    var config: String
    @OptionGroup var format: OutputOptions

    func run() async throws { try checkConfiguration(config, needing: "server", format) }
}

/// SPIRE's `spire-agent validate`.
struct AgentValidate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate", abstract: "Checks a node agent's configuration file without running anything.")

    @Option(name: .flag("config"), help: "Configuration file (YAML).")
    var config: String
    @OptionGroup var format: OutputOptions

    func run() async throws { try checkConfiguration(config, needing: "agent", format) }
}

/// Checks the whole file, whatever section is asked for: what is wrong in one keeps `up` from starting too.
private func checkConfiguration(_ config: String, needing section: String?, _ format: OutputOptions) throws {
    let file = try ConfigurationFile(path: config)
    var checked: [String] = []
    if file.sections["server"] != nil {
        let settings = Settings(section: "server", file: file)
        _ = try ServerOptions.parse([]).configuration(
            settings, trustDomain: nil, dataDirectory: nil, port: nil, adminSocketPath: nil)
        checked.append("server")
    }
    if file.sections["agent"] != nil {
        _ = try AgentRunOptions.parse([]).configuration(Settings(section: "agent", file: file))
        checked.append("agent")
    }
    guard !checked.isEmpty else { throw CommandFailure("`\(config)` has neither `server` nor `agent`") }
    if let section, !checked.contains(section) { throw CommandFailure("`\(config)` has no section `\(section)`") }
    for section in checked {
        _ = try DaemonOptions.parse([]).checkLogging(Settings(section: section, file: file))
    }
    let sections = checked
    format.write(json: ["valid": true, "sections": .array(sections.map { .string($0) })]) {
        "`\(config)` is valid: \(sections.joined(separator: ", "))"
    }
}
