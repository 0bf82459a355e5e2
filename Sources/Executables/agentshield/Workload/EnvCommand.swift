import ArgumentParser
import JOSE

struct Env: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints the environment that stock clients need, for `eval \"$(agentshield env)\"`.")

    @Option(name: .flag("readyFile"), help: "Ready file of a running `up` (default: DIR/ready.json).")
    var readyFile: String?
    @Option(name: .flag("dataDir"), help: "Data directory of a running `up` (default data).")
    var dataDirectory = "data"
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let path = readyFile ?? "\(dataDirectory)/ready.json"
        let bytes = try LocalFile.read(path, limit: 64 << 10)
        guard let ready = (try? JSONValue(parsing: bytes))?.objectValue else {
            throw CommandFailure("`\(path)` is not a ready file")
        }
        var variables: [(String, String)] = []
        if let socket = ready["workloadAPISocket"]?.stringValue {
            variables.append(("SPIFFE_ENDPOINT_SOCKET", "unix://\(socket)"))
        }
        if let socket = ready["adminSocket"]?.stringValue { variables.append(("AGENTSHIELD_ADMIN_SOCKET", socket)) }
        if let bundle = ready["trustBundle"]?.stringValue {
            variables += [("SSL_CERT_FILE", bundle), ("REQUESTS_CA_BUNDLE", bundle)]
        }
        format.write(json: .object(JSONObject(variables.map { ($0.0, .string($0.1)) }))) {
            variables.map { "export \($0.0)='\($0.1.replacing("'", with: "'\\''"))'" }.joined(separator: "\n")
        }
    }
}
