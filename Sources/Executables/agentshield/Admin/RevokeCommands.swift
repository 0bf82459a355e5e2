import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE
import SPIFFE

struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Revokes an agent or one of its credentials, at once and everywhere.",
        discussion: """
            An agent (-spiffeID) and a key (-key, -keyOf) stay revoked until `agentshield unrevoke`; a certificate \
            (-serial), a token (-jti) and a token with all that was exchanged for it (-chainRoot) until it would have \
            ended anyway.
            """,
        subcommands: [RevokeList.self])

    @OptionGroup var subject: RevokedSubjectOptions
    @Option(name: .flag("reason"), help: "Why, for the audit log and those who ask.")
    var reason = ""
    @Option(name: .flag("expiresAt"), help: "End of the certificate or token (RFC 3339), if it is known.")
    var expiresAt: String?
    @OptionGroup var admin: AdminOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        var request = Agentshield_Admin_V1_RevokeRequest()
        request.subject = try subject.message()
        request.reason = reason
        if let expiresAt {
            guard let end = UnixTime(rfc3339: expiresAt) else {
                throw CommandFailure("-expiresAt: `\(expiresAt)` is not a time such as 2030-01-31T12:00:00Z")
            }
            request.expiresAt = end.seconds
        }
        let prepared = request
        let item = try await admin.withControlPlane { client in
            try await client.revocations.revoke(prepared, options: .failingFast)
        }
        format.write(json: item.json) { "Revoked\n" + item.pretty }
    }
}

struct Unrevoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Takes a revocation back; the agent gets credentials again.")

    @OptionGroup var subject: RevokedSubjectOptions
    @Option(name: .flag("reason"), help: "Why, for the audit log.")
    var reason = ""
    @OptionGroup var admin: AdminOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        var request = Agentshield_Admin_V1_UnrevokeRequest()
        request.subject = try subject.message()
        request.reason = reason
        let prepared = request
        let response = try await admin.withControlPlane { client in
            try await client.revocations
                .unrevoke(prepared, options: .failingFast)
        }
        format.write(json: ["sequence": .string("\(response.sequence)")]) {
            "No longer revoked: \(prepared.subject.value)"
        }
    }
}

struct RevokeList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists what is revoked.")

    @OptionGroup var admin: AdminOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let list = try await admin.withControlPlane { client in
            try await client.revocations
                .list(Agentshield_Admin_V1_ListRevokedRequest(), options: .failingFast)
        }
        format.write(json: ["sequence": .string("\(list.sequence)"), "items": .array(list.items.map(\.json))]) {
            "Found \(counted(list.items.count, "revocation", "revocations"))\n\n"
                + list.items.map { $0.pretty + "\n" }.joined()
        }
    }
}

/// What is meant: exactly one of these flags.
struct RevokedSubjectOptions: ParsableArguments {
    @Option(
        name: [.customLong("spiffeID"), .customLong("spiffeID", withSingleDash: true), .customLong("spiffe-id")],
        help: "SPIFFE ID of an agent, with everything that it has.")
    var spiffeID: String?
    @Option(name: .flag("serial"), help: "Serial number of a certificate, in hexadecimal.")
    var serial: String?
    // Base64url may begin with a hyphen: what follows is the value all the same.
    @Option(name: .flag("jti"), parsing: .unconditional, help: "The `jti` of a token.")
    var jti: String?
    @Option(
        name: .flag("chainRoot"), parsing: .unconditional,
        help: "The `jti` of a first access token, with every token that was exchanged for it.")
    var chainRoot: String?
    @Option(
        name: .flag("key"), parsing: .unconditional,
        help: "RFC 7638 thumbprint (SHA-256) of a key, with everything that it holds or has signed."
    )
    var key: String?
    @Option(name: .flag("keyOf"), help: "File with a certificate or public key in PEM, whose key is meant.")
    var keyOf: String?

    func message() throws -> Agentshield_Admin_V1_RevokedSubject {
        let given = [
            ("spiffe_id", spiffeID), ("serial", serial), ("jti", jti), ("chain_root", chainRoot), ("key", key),
            ("key", try keyOf.map { try Self.thumbprint(ofFile: $0) }),
        ].compactMap { kind, value in value.map { (kind, $0) } }
        guard let (kind, value) = given.first, given.count == 1 else {
            throw CommandFailure("exactly one of -spiffeID, -serial, -jti, -chainRoot, -key and -keyOf is needed")
        }
        return .with {
            $0.kind = kind
            $0.value = value
        }
    }
}

extension RevokedSubjectOptions {
    /// The thumbprint of the key in a PEM file: of its first certificate, or of a public key.
    private static func thumbprint(ofFile path: String) throws -> String {
        let text = String(decoding: try LocalFile.read(path, limit: PEM.maximumLength), as: UTF8.self)
        let key: SubjectPublicKey
        if let certificate = try? PEM.decodeAll(text, label: PEM.certificateLabel, limit: 16).first {
            key = try ParsedCertificate(der: certificate).publicKey
        } else if let der = try? PEM.decodeAll(text, label: PEM.publicKeyLabel, limit: 1).first {
            key = try SubjectPublicKey(derSPKI: der)
        } else {
            throw CommandFailure("-keyOf: `\(path)` holds neither certificates nor a public key in PEM")
        }
        guard let thumbprint = key.thumbprint else { throw CommandFailure("-keyOf: the key has no thumbprint") }
        return thumbprint
    }
}

extension Agentshield_Admin_V1_RevokedItem {
    var json: JSONValue {
        [
            "kind": .string(subject.kind), "value": .string(subject.value), "reason": .string(reason),
            "expires_at": .string("\(expiresAt)"), "created_at": .string("\(createdAt)"), "cause": .string(cause),
        ]
    }

    var pretty: String {
        var lines = PrettyLines()
        let label =
            switch subject.kind {
            case "spiffe_id": "SPIFFE ID"
            case "serial": "Serial number"
            case "jti": "JWT ID"
            case "key": "Key"
            default: subject.kind
            }
        lines.line(label, subject.value)
        lines.line("Revoked at", UnixTime(seconds: createdAt).rfc3339)
        lines.line("Until", expiresAt == 0 ? "undone" : UnixTime(seconds: expiresAt).rfc3339)
        if !reason.isEmpty { lines.line("Reason", reason) }
        if !cause.isEmpty { lines.line("With", cause) }
        return lines.text
    }
}
