import ClientCertificates
import Logging
import SPIFFE
import TokenService

/// Keeps the authorities of client certificates as the operator's file is: whoever changes it only has to replace the file.
struct ClientAuthorityFile: Sendable {
    private let path: String
    private let authorities: ClientAuthorities
    /// What was read first: a file that was replaced since is seen to be another.
    private let first: [UInt8]

    /// How often the file is looked at.
    private static let interval = Duration.seconds(10)

    /// Reads the file for the first time.
    init(_ path: String) throws {
        self.path = path
        do {
            first = try WebCertificateFiles.contents(path)
            authorities = try ClientAuthorities(pem: first)
        } catch {
            throw ClientAuthorityFileError(
                path: path, reason: (error as? WebCertificateFileError)?.reason ?? "\(error)")
        }
    }

    /// What the token service asks.
    var judgement: OutsideCertificates {
        OutsideCertificates { [authorities] presented, time throws(OutsideCertificateError) in
            do throws(ClientAuthorities.Refusal) {
                return try await authorities.verify(presented, at: time)
            } catch {
                throw OutsideCertificateError(reason: error.description)
            }
        }
    }

    /// Looks for changes until the task is cancelled. A file that is of no use leaves what was read before.
    func run(sleep: @Sendable (Duration) async throws -> Void, logger: Logger) async {
        var seen = first
        var complaint: String?
        while !Task.isCancelled {
            do { try await sleep(Self.interval) } catch { return }
            do {
                let contents = try WebCertificateFiles.contents(path)
                guard contents != seen else { continue }
                try authorities.replace(pem: contents)
                seen = contents
                complaint = nil
                logger.info("loaded the authorities of client certificates anew")
            } catch {
                // The same complaint is made once.
                guard complaint != "\(error)" else { continue }
                complaint = "\(error)"
                logger.error("cannot load the authorities of client certificates", metadata: ["error": "\(error)"])
            }
        }
    }
}

/// A file of authorities that is of no use.
struct ClientAuthorityFileError: Error, CustomStringConvertible {
    let path: String
    let reason: String

    var description: String { "the authorities of client certificates `\(path)` are of no use: \(reason)" }
}
