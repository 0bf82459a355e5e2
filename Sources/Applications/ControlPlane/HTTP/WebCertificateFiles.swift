import FoundationEssentials
import Logging
import PeerTLS

/// Where an operator keeps a certificate for the web.
package struct WebCertificateFile: Sendable, Hashable {
    /// The chain in PEM, leaf first.
    package let chainPath: String
    /// The private key in PEM; may be the same file.
    package let keyPath: String

    package init(chainPath: String, keyPath: String) {
        self.chainPath = chainPath
        self.keyPath = keyPath
    }
}

/// Keeps the certificates of HTTPS as the files are: whoever renews them only has to replace the files.
struct WebCertificateFiles: Sendable {
    let certificates = WebCertificates()
    private let files: [WebCertificateFile]

    /// Largest file that is read, in bytes.
    private static let maximumLength = 1 << 20
    /// How often the files are looked at.
    private static let interval = Duration.seconds(10)

    /// Reads them for the first time.
    init(_ files: [WebCertificateFile]) throws {
        self.files = files
        certificates.replace(try load(try read()))
    }

    /// Looks for changes until the task is cancelled. Files that do not fit together leave what was read before.
    func run(sleep: @Sendable (Duration) async throws -> Void, logger: Logger) async {
        guard !files.isEmpty else { return }
        var seen = try? read()
        var complaint: String?
        while !Task.isCancelled {
            do { try await sleep(Self.interval) } catch { return }
            do {
                let contents = try read()
                guard contents != seen else { continue }
                certificates.replace(try load(contents))
                seen = contents
                complaint = nil
                logger.info("loaded the web certificates anew")
            } catch {
                // A renewal replaces two files one after the other: the same complaint is made once.
                guard complaint != "\(error)" else { continue }
                complaint = "\(error)"
                logger.error("cannot load the web certificates", metadata: ["error": "\(error)"])
            }
        }
    }

    private func read() throws -> [[[UInt8]]] {
        try files.map { try [Self.contents($0.chainPath), Self.contents($0.keyPath)] }
    }

    private func load(_ contents: [[[UInt8]]]) throws -> [WebCertificates.Certificate] {
        try zip(files, contents).map { file, pair in
            do {
                return try WebCertificates.Certificate(chain: pair[0], key: pair[1])
            } catch {
                throw WebCertificateFileError(path: file.chainPath, reason: "\(error)")
            }
        }
    }

    /// The bytes of one file.
    static func contents(_ path: String) throws -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw WebCertificateFileError(path: path, reason: "it cannot be read")
        }
        guard data.count <= maximumLength else { throw WebCertificateFileError(path: path, reason: "it is too large") }
        return Array(data)
    }
}

/// A file with a web certificate or its key that is of no use.
struct WebCertificateFileError: Error, CustomStringConvertible {
    let path: String
    let reason: String

    var description: String { "the web certificate `\(path)` is of no use: \(reason)" }
}
