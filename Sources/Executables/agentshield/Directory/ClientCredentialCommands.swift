import ArgumentParser
import ControlPlaneAPI
import Crypto
import FoundationEssentials
import GRPCCore
import JOSE
import SPIFFE

struct ClientCredentialCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client-credential", abstract: "Secrets, keys and certificates of an agent, beside its SVIDs.",
        subcommands: [Create.self, List.self, Delete.self])
}

extension ClientCredentialCommand {
    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Registers a key or certificate, or makes a secret.",
            discussion: "A secret is shown once, here, and kept nowhere: prefer an SVID or a key.")

        @OptionGroup var reference: IdentityReferenceOptions
        @Flag(name: .flag("secret"), help: "Makes a secret of 256 bits.")
        var secret = false
        @Option(name: .flag("key"), help: "File with a public key, PEM or JWK: RSA from 2048 bits, P-256 or P-384.")
        var key: String?
        @Option(name: .flag("certificate"), help: "File with a self-signed certificate in PEM.")
        var certificate: String?
        @Option(name: .flag("certificateDNS"), help: "DNS name in certificates of an authority.")
        var dnsName: String?
        @Option(name: .flag("certificateURI"), help: "URI in certificates of an authority.")
        var uri: String?
        @OptionGroup var end: EndOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let request = try request()
            let made = try await admin.withControlPlane { client in
                try await client.directory.createClientCredential(request, options: .failingFast)
            }
            var json: JSONObject = ["credential": made.credential.json]
            if !made.secret.isEmpty { json["secret"] = .string(made.secret) }
            format.write(json: .object(json)) {
                var lines = PrettyLines()
                if !made.secret.isEmpty { lines.line("Secret", made.secret) }
                return made.credential.pretty + lines.text
            }
        }

        private func request() throws -> Agentshield_Admin_V1_CreateClientCredentialRequest {
            guard [secret, key != nil, certificate != nil, dnsName != nil, uri != nil].count(where: { $0 }) == 1 else {
                throw CommandFailure(
                    "exactly one of -secret, -key, -certificate, -certificateDNS and -certificateURI is needed")
            }
            var request = Agentshield_Admin_V1_CreateClientCredentialRequest()
            request.identity = reference.id
            request.expiresAt = try end.seconds() ?? 0
            if let key {
                request.jwk = try Self.publicKey(ofFile: key)
            } else if let certificate {
                request.certificateSha256 = try Self.digest(ofFile: certificate)
            } else if let dnsName {
                request.certificateDnsName = dnsName
            } else if let uri {
                request.certificateUri = uri
            } else {
                request.secret = true
            }
            return request
        }

        /// The key of a file as JWK. What is private in the file stays here.
        private static func publicKey(ofFile path: String) throws -> String {
            let text = String(decoding: try LocalFile.read(path, limit: PEM.maximumLength), as: UTF8.self)
            if let json = (try? JSONValue(parsing: text))?.objectValue {
                guard !JWK.hasPrivateMembers(json) else {
                    throw CommandFailure("-key: `\(path)` holds a private key; give the public one")
                }
                return String(decoding: json.serializedBytes, as: UTF8.self)
            }
            guard !text.contains("PRIVATE KEY-----") else {
                throw CommandFailure("-key: `\(path)` holds a private key; give the public one")
            }
            guard let der = try? PEM.decodeAll(text, label: PEM.publicKeyLabel, limit: 1).first,
                let key = try? JWSVerificationKey(derSPKI: der, keyID: nil),
                // Without the algorithm: an RSA key may sign with any of its own.
                let jwk = try? JWK(key: key.jwk.key)
            else { throw CommandFailure("-key: `\(path)` holds neither a public key in PEM nor a JWK") }
            return String(decoding: jwk.json().serializedBytes, as: UTF8.self)
        }

        private static func digest(ofFile path: String) throws -> Data {
            let text = String(decoding: try LocalFile.read(path, limit: PEM.maximumLength), as: UTF8.self)
            guard let der = try? PEM.decodeAll(text, label: PEM.certificateLabel, limit: 1).first,
                let certificate = try? ParsedCertificate(der: der)
            else { throw CommandFailure("-certificate: `\(path)` does not hold one certificate in PEM") }
            guard certificate.isSelfIssued else {
                throw CommandFailure(
                    "-certificate: `\(path)` is of an authority: name what is in it with -certificateDNS or "
                        + "-certificateURI")
            }
            return Data(SHA256.hash(data: der))
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists an agent's secrets, keys and certificates.")

        @OptionGroup var reference: IdentityReferenceOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let identity = try await admin.withControlPlane { client in
                try await client.directory.getIdentity(.with { $0.identity = reference.id }, options: .failingFast)
            }
            let all = identity.clientCredentials
            format.write(json: ["client_credentials": .array(all.map(\.json))]) {
                "Found \(counted(all.count, "client credential", "client credentials"))\n"
                    + all.map { "\n" + $0.pretty }.joined()
            }
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Takes a credential from an agent.")

        @OptionGroup var reference: IdentityReferenceOptions
        @Option(name: .flag("credentialID"), help: "Identifier of the credential.")
        var credentialID: String
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            _ = try await admin.withControlPlane { client in
                try await client.directory.deleteClientCredential(
                    .with {
                        $0.identity = reference.id
                        $0.id = credentialID
                    }, options: .failingFast)
            }
            format.write(json: ["deleted": .string(credentialID)]) { "Client credential deleted." }
        }
    }
}
