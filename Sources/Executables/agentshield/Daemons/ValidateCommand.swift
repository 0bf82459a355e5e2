import ArgumentParser
import JOSE

struct Validate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Checks a configuration file without running anything.")

    @Option(name: .flag("config"), help: "Configuration file (YAML).")
    var config: String
    @OptionGroup var format: OutputOptions

    func run() async throws {
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
        for section in checked {
            _ = try DaemonOptions.parse([]).checkLogging(Settings(section: section, file: file))
        }
        let sections = checked
        format.write(json: ["valid": true, "sections": .array(sections.map { .string($0) })]) {
            "`\(config)` is valid: \(sections.joined(separator: ", "))"
        }
    }
}
