import Foundation
import Synchronization

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
    private let process = Process()
    private let input = Pipe()
    private let collected = Collected()

    private final class Collected: Sendable {
        let text = Mutex("")
    }

    init(
        port: Int, files: (certificate: String, key: String), arguments: [String],
        protocolArguments: [String] = ["-tls1_3", "-alpn", "h2"]
    ) throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments =
            ["openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-cert", files.certificate, "-key", files.key]
            + protocolArguments + arguments
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        output.fileHandleForReading.readabilityHandler = { [collected] handle in
            let data = handle.availableData
            if data.isEmpty { handle.readabilityHandler = nil }
            collected.text.withLock { $0 += String(decoding: data, as: UTF8.self) }
        }
        try process.run()
    }

    deinit { stop() }

    var output: String { collected.text.withLock { $0 } }
    var isRunning: Bool { process.isRunning }

    func send(_ text: String) { input.fileHandleForWriting.write(Data(text.utf8)) }

    /// Stops reading and answering, as a hanging peer does.
    func pause() { kill(process.processIdentifier, SIGSTOP) }

    func stop() {
        guard process.isRunning else { return }
        kill(process.processIdentifier, SIGKILL)
    }
}
