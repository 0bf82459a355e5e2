import Foundation
import TestPrograms

extension TestIdentity {
    /// Writes both files as PEM; returns the certificate's path and the key's.
    func write(to directory: String) throws -> (certificate: String, key: String) {
        func pem(_ label: String, _ bytes: [UInt8]) -> String {
            let text = Data(bytes).base64EncodedString(options: [.lineLength64Characters, .endLineWithLineFeed])
            return "-----BEGIN \(label)-----\n\(text)\n-----END \(label)-----\n"
        }
        let paths = (certificate: directory + "/certificate.pem", key: directory + "/key.pem")
        try pem("CERTIFICATE", certificate).write(toFile: paths.certificate, atomically: true, encoding: .utf8)
        try pem("PRIVATE KEY", key).write(toFile: paths.key, atomically: true, encoding: .utf8)
        return paths
    }
}

/// `openssl s_client`: a TLS client that can resume sessions and misbehave.
final class OpenSSLClient {
    private let program: TestProgram

    init(
        port: Int, files: (certificate: String, key: String), arguments: [String],
        protocolArguments: [String] = ["-tls1_3", "-alpn", "h2"]
    ) throws {
        program = try TestProgram(
            [
                "openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-cert", files.certificate, "-key", files.key,
            ] + protocolArguments + arguments, hasInput: true)
    }

    var output: String { program.output }
    var isRunning: Bool { program.isRunning }

    func send(_ text: String) { program.send(text) }

    /// Stops reading and answering, as a hanging peer does.
    func pause() { program.signal(SIGSTOP) }

    func stop() { program.kill() }
}
