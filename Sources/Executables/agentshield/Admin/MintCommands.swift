import ArgumentParser
import ControlPlaneAPI
import Crypto
import FoundationEssentials
import GRPCCore
import JOSE
import SPIFFE

struct X509: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "x509", abstract: "X.509-SVIDs made by hand.", subcommands: [Mint.self])
}

extension X509 {
    struct Mint: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes an X.509-SVID for an ID, outside every registration entry.",
            discussion: "The private key is made here and never leaves this process but to -write DIR or the terminal.")

        @Option(name: .flag("spiffeID"), help: "SPIFFE ID of the SVID.")
        var spiffeID: String
        @Option(name: .flag("dns"), help: "A DNS name in the SVID; repeat for more.")
        var dnsNames: [String] = []
        @Option(name: .flag("ttl"), help: "Lifetime such as 1h (default: the server's).")
        var ttl: String?
        @Option(name: .flag("write"), help: "Directory for svid.pem, key.pem and bundle.pem instead of the terminal.")
        var directory: String?
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            if let directory { try LocalFile.checkDirectory(directory, flag: "-write") }
            let id = try parseID(spiffeID, flag: "-spiffeID")
            let key = P256.Signing.PrivateKey()
            var request = Spire_Api_Server_Svid_V1_MintX509SVIDRequest()
            do {
                request.csr = Data(try CSRBuilder.make(privateKey: key, uri: id.string, dnsNames: dnsNames))
            } catch {
                throw CommandFailure("-dns: \(error)")
            }
            request.ttl = try seconds(ttl)
            let prepared = request
            let (svid, message) = try await admin.withControlPlane { client in
                let svid = try await client.svids
                    .mintX509SVID(prepared, options: .failingFast).svid
                let bundle = try await client.bundles
                    .getBundle(Spire_Api_Server_Bundle_V1_GetBundleRequest(), options: .failingFast)
                return (svid, bundle)
            }
            let chain = svid.certChain.map { PEM.encode(label: "CERTIFICATE", der: Array($0)) }.joined()
            let keyText = key.pemRepresentation + "\n"
            let bundle = message.x509Authorities.map { PEM.encode(label: "CERTIFICATE", der: Array($0.asn1)) }.joined()
            if let directory {
                try LocalFile.write(Array(chain.utf8), to: "\(directory)/svid.pem", mode: 0o644)
                try LocalFile.write(Array(keyText.utf8), to: "\(directory)/key.pem", mode: 0o600)
                try LocalFile.write(Array(bundle.utf8), to: "\(directory)/bundle.pem", mode: 0o644)
                Terminal.print(
                    "X509-SVID written to \(directory)/svid.pem\nPrivate key written to \(directory)/key.pem\n"
                        + "Root CAs written to \(directory)/bundle.pem")
                return
            }
            format.write(
                json: [
                    "x509_svid": svid.json, "private_key": .string(keyText),
                    "root_cas": .array(message.x509Authorities.map { .string($0.asn1.base64EncodedString()) }),
                ]
            ) {
                "X509-SVID:\n\(chain)\nPrivate key:\n\(keyText)\nRoot CAs:\n\(bundle)"
            }
        }
    }
}

struct JWT: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jwt", abstract: "JWT-SVIDs made by hand.", subcommands: [Mint.self])
}

extension JWT {
    struct Mint: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a JWT-SVID for an ID, outside every registration entry.")

        @Option(name: .flag("spiffeID"), help: "SPIFFE ID of the SVID.")
        var spiffeID: String
        @Option(name: .flag("audience"), help: "An audience of the token; repeat for more.")
        var audience: [String] = []
        @Option(name: .flag("ttl"), help: "Lifetime such as 5m (default: the server's).")
        var ttl: String?
        @Option(name: .flag("write"), help: "File for the token instead of the terminal.")
        var file: String?
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            guard !audience.isEmpty else { throw CommandFailure("-audience is needed") }
            var request = Spire_Api_Server_Svid_V1_MintJWTSVIDRequest()
            request.id = try parseID(spiffeID, flag: "-spiffeID").message
            request.audience = audience
            request.ttl = try seconds(ttl)
            let prepared = request
            let svid = try await admin.withControlPlane { client in
                try await client.svids
                    .mintJWTSVID(prepared, options: .failingFast).svid
            }
            if let file {
                try LocalFile.write(Array(svid.token.utf8), to: file, mode: 0o600)
                Terminal.print("JWT-SVID written to \(file)")
                return
            }
            format.write(json: ["svid": svid.json]) { svid.token }
        }
    }
}

struct WIT: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wit", abstract: "WIT-SVIDs made by hand.", subcommands: [Mint.self])
}

extension WIT {
    struct Mint: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a WIT-SVID for an ID, outside every registration entry.",
            discussion: "The private key is made here and never leaves this process but to -write DIR or the terminal.")

        @Option(name: .flag("spiffeID"), help: "SPIFFE ID of the SVID.")
        var spiffeID: String
        @Option(name: .flag("ttl"), help: "Lifetime such as 1h (default: the server's).")
        var ttl: String?
        @Option(name: .flag("write"), help: "Directory for svid.token and key.jwk instead of the terminal.")
        var directory: String?
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            if let directory { try LocalFile.checkDirectory(directory, flag: "-write") }
            let key = P256.Signing.PrivateKey()
            var request = Spire_Api_Server_Svid_V1_MintWITSVIDRequest()
            request.id = try parseID(spiffeID, flag: "-spiffeID").message
            request.publicKey = key.publicKey.derRepresentation
            request.ttl = try seconds(ttl)
            let prepared = request
            let svid = try await admin.withControlPlane { client in
                try await client.svids
                    .mintWITSVID(prepared, options: .failingFast).svid
            }
            let jwk = WITSVID.privateJWK(key)
            if let directory {
                try LocalFile.write(Array(svid.token.utf8), to: "\(directory)/svid.token", mode: 0o600)
                try LocalFile.write(Array(jwk.utf8), to: "\(directory)/key.jwk", mode: 0o600)
                Terminal.print(
                    "WIT-SVID written to \(directory)/svid.token\nPrivate key written to \(directory)/key.jwk")
                return
            }
            format.write(json: ["svid": svid.json, "private_key": .string(jwk)]) {
                "WIT-SVID:\n\(svid.token)\nPrivate key:\n\(jwk)"
            }
        }
    }
}

private func seconds(_ text: String?) throws -> Int32 {
    guard let text else { return 0 }
    guard let seconds = Int32(exactly: try DurationText.seconds(text, flag: "-ttl")), seconds > 0 else {
        throw CommandFailure("-ttl must be positive and at most \(Int32.max) seconds")
    }
    return seconds
}
