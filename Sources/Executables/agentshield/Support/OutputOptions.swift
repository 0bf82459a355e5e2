import ArgumentParser
import JOSE

/// How an answer is written.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case pretty
    case json
}

/// `-output pretty|json`.
struct OutputOptions: ParsableArguments {
    @Option(name: .flag("output"), help: "Format of the answer: pretty or json.")
    var output: OutputFormat = .pretty

    /// Writes one answer in the chosen format.
    func write(json: JSONValue, pretty: () -> String) {
        switch output {
        case .json: Terminal.print(String(decoding: json.serializedBytes, as: UTF8.self))
        case .pretty: Terminal.print(pretty())
        }
    }
}
