import ArgumentParser
import ControlPlane
import JOSE
import Logging
import Observability
import SPIFFE

/// The flags that every daemon has.
struct DaemonOptions: ParsableArguments {
    @Option(name: .flag("config"), help: "Configuration file (YAML).")
    var config: String?
    @Option(name: .flag("readyFile"), help: "File that appears, with the addresses as JSON, once everything serves.")
    var readyFile: String?
    @Option(name: .flag("logLevel"), help: "trace, debug, info, notice, warning, error or critical (default info).")
    var logLevel: String?
    @Option(name: .flag("logFormat"), help: "text or json (default text).")
    var logFormat: String?

    func file() throws -> ConfigurationFile {
        try config.map { try ConfigurationFile(path: $0) } ?? .empty
    }

    /// The logger of the process, writing to standard error, and its level.
    func logger(_ settings: Settings) throws -> (Logger, LogLevelSwitch) {
        let (launchLevel, format) = try checkLogging(settings)
        let level = LogLevelSwitch(launchLevel)
        return (LogSetup.bootstrapped(label: "agentshield", level: level, format: format, now: WallClock.now), level)
    }

    /// Level and format of the log, without installing anything.
    func checkLogging(_ settings: Settings) throws -> (Logger.Level, LineLogHandler.Format) {
        let levelText = try settings.text("log_level", flag: logLevel) ?? "info"
        guard let level = Logger.Level(rawValue: levelText.lowercased()) else {
            throw CommandFailure("\(settings.name("log_level")): `\(levelText)` is not a log level")
        }
        let formatText = try settings.text("log_format", flag: logFormat) ?? "text"
        guard let format = LineLogHandler.Format(rawValue: formatText) else {
            throw CommandFailure("\(settings.name("log_format")): `\(formatText)` is neither text nor json")
        }
        return (level, format)
    }

    func readyFile(_ settings: Settings) throws -> String? {
        try settings.text("ready_file", flag: readyFile).map(absolute)
    }
}

/// The ready file: it appears, whole, when everything serves, and is gone before and after.
struct ReadyFile: Sendable {
    let path: String?

    /// Removes what an earlier run left: a stale file would announce a service that is not there.
    func clear() {
        if let path { LocalFile.remove(path) }
    }

    func write(_ members: [(String, JSONValue)]) throws {
        guard let path else { return }
        try LocalFile.write(JSONValue.object(JSONObject(members)).serializedBytes + [0x0a], to: path, mode: 0o644)
    }
}
