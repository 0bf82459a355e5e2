import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE

struct LoggerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logger", abstract: "The level of the control plane's log, while it runs.",
        subcommands: [Get.self, Set.self, Reset.self])

    struct Get: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows the level.")

        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let logger = try await admin.withControlPlane { client in
                try await client.logger.getLogger(.init(), options: .failingFast)
            }
            logger.show(format)
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Sets the level until the next start.")

        @Option(name: .flag("level"), help: "panic, fatal, error, warn, info, debug or trace.")
        var level: String
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let named = try Spire_Api_Types_LogLevel(named: level)
            let logger = try await admin.withControlPlane { client in
                try await client.logger.setLogLevel(.with { $0.newLevel = named }, options: .failingFast)
            }
            logger.show(format)
        }
    }

    struct Reset: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Goes back to the level of the start.")

        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let logger = try await admin.withControlPlane { client in
                try await client.logger.resetLogLevel(.init(), options: .failingFast)
            }
            logger.show(format)
        }
    }
}

extension Spire_Api_Types_Logger {
    func show(_ format: OutputOptions) {
        format.write(
            json: [
                "current_level": .string(currentLevel.name.uppercased()),
                "launch_level": .string(launchLevel.name.uppercased()),
            ]
        ) { "Logger Level : \(currentLevel.name)\nLaunch Level : \(launchLevel.name)" }
    }
}

extension Spire_Api_Types_LogLevel {
    /// The level that `-level` names.
    init(named text: String) throws {
        let named = Self.allCases.first { $0 != .unspecified && $0.name == text.lowercased() }
        guard let named else { throw CommandFailure("-level: `\(text)` is not a log level") }
        self = named
    }

    fileprivate var name: String {
        switch self {
        case .unspecified, .UNRECOGNIZED: "unknown"
        case .panic: "panic"
        case .fatal: "fatal"
        case .error: "error"
        case .warn: "warn"
        case .info: "info"
        case .debug: "debug"
        case .trace: "trace"
        }
    }
}
