import A2A
import ArgumentParser
import ControlPlaneAPI
import FoundationEssentials
import GRPCCore
import JOSE
import SPIFFE

struct CardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "card", abstract: "Agent cards (A2A): sign them, verify them, look them through.",
        subcommands: [Sign.self, Verify.self, Show.self, Lint.self])
}

/// The card that a command is about.
struct CardFile: ParsableArguments {
    @Argument(help: "File with the card; - for standard input.")
    var file: String

    func bytes() throws -> [UInt8] { try LocalFile.read(file, limit: CardDocument.maximumBytes) }

    func document() throws -> CardDocument {
        do {
            return try CardDocument(parsing: try bytes())
        } catch let error as CardDocumentError {
            throw CommandFailure("`\(file)`: \(error)")
        }
    }
}

extension CardCommand {
    struct Sign: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Signs the card of an agent with the trust domain's card key.",
            discussion: """
                The agent needs a registration entry and must not be disabled. Signatures that the card has are replaced. \
                Printed is the card, ready to be published.
                """)
        @OptionGroup private var card: CardFile
        @Option(
            name: .flag("spiffeID"),
            help: "Whose card it is; put into a card that does not say (default: what the card says).")
        var spiffeID: String?
        @Option(name: .flag("write"), help: "File for the card instead of the terminal.")
        var target: String?
        @OptionGroup private var admin: AdminOptions
        @OptionGroup private var format: OutputOptions

        func run() async throws {
            if let spiffeID { _ = try parseID(spiffeID, flag: "-spiffeID") }
            let (bytes, id) = (try card.bytes(), spiffeID ?? "")
            let signed = try await admin.withControlPlane { client in
                let request = Agentshield_Admin_V1_SignCardRequest.with {
                    $0.card = Data(bytes)
                    $0.spiffeID = id
                }
                return try await client.agentCards.signCard(request, options: .failingFast)
            }
            let document: CardDocument
            do {
                document = try CardDocument(parsing: signed.card)
            } catch {
                throw CommandFailure("the control plane sent a malformed card: \(error)")
            }
            if let target { try LocalFile.write(document.jsonBytes + [UInt8(ascii: "\n")], to: target, mode: 0o644) }
            format.write(
                json: [
                    "card": .object(document.object), "spiffe_id": .string(signed.spiffeID),
                    "authority_id": .string(signed.authorityID), "expires_at": .string("\(signed.expiresAt)"),
                ]
            ) {
                target.map { "Signed card written to \($0)" } ?? String(decoding: document.jsonBytes, as: UTF8.self)
            }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Verifies the signature of a card, with keys that you choose.",
            discussion: """
                Without -keys, those of the running control plane. The card's own word on where its keys are (`jku`) is not \
                followed.
                """)
        @OptionGroup private var card: CardFile
        @Option(name: .flag("keys"), help: "File with a JWK set instead of the control plane's.")
        var keys: String?
        @Option(
            name: .flag("trustDomain"),
            help: "Trust domain whose card keys are in -keys; without it they vouch for no SPIFFE ID.")
        var trustDomain: String?
        @OptionGroup private var admin: AdminOptions
        @OptionGroup private var format: OutputOptions

        func run() async throws {
            let document = try card.document()
            let roots = try await trustedKeys()
            let verified: VerifiedCard
            do {
                verified = try CardVerifier(trusting: [roots]).verify(document)
            } catch {
                throw CommandFailure("`\(card.file)`: \(error)")
            }
            format.write(
                json: [
                    "name": .string(verified.card.name),
                    "spiffe_id": verified.identity.map { .string($0.spiffeID.string) } ?? .null,
                    "trust_domain": verified.trustDomain.map { .string($0.name) } ?? .null,
                    "key_id": verified.keyID.map { .string($0) } ?? .null, "form": .string(verified.form.rawValue),
                    "covers_all": .bool(verified.covers(document)),
                ]
            ) {
                var lines = PrettyLines()
                lines.line("Card of", verified.card.name)
                lines.line("SPIFFE ID", verified.identity?.spiffeID.string ?? "none: the card is bound to nobody")
                lines.line("Trust domain", verified.trustDomain?.name ?? "none")
                lines.line("Signed with", verified.keyID ?? "a key without ID")
                lines.line("Signed form", verified.form.rawValue)
                lines.line("Covers", verified.covers(document) ? "the whole card" : "not all of the card")
                return "The signature holds.\n" + lines.text
            }
        }

        private func trustedKeys() async throws -> CardKeys {
            let bytes: [UInt8]
            let domain: TrustDomain?
            if let keys {
                bytes = try LocalFile.read(keys, limit: 1 << 20)
                domain = try trustDomain.map { try parseTrustDomain($0, "-trustDomain") }
            } else {
                guard trustDomain == nil else { throw CommandFailure("-trustDomain goes with -keys") }
                let answer = try await admin.withControlPlane { client in
                    try await client.agentCards.getCardKeys(.init(), options: .failingFast)
                }
                bytes = [UInt8](answer.jwks)
                domain = try parseTrustDomain(answer.trustDomain, "the control plane's trust domain")
            }
            do {
                return try CardKeys(jwks: bytes, of: domain)
            } catch {
                throw CommandFailure("`\(keys ?? "keys")`: \(error)")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows what a card says, whoever wrote it.")
        @OptionGroup private var card: CardFile
        @OptionGroup private var format: OutputOptions

        func run() async throws {
            let document = try card.document()
            format.write(json: .object(document.object)) { document.card.pretty }
        }
    }

    struct Lint: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Looks a card through for what is wrong and what verifiers stumble over.",
            discussion: "Ends with 1 if there is an error; warnings are for you to judge.")
        @OptionGroup private var card: CardFile
        @OptionGroup private var format: OutputOptions

        func run() async throws {
            let findings = CardLint.findings(in: try card.bytes())
            format.write(
                json: [
                    "findings": .array(
                        findings.map { finding in
                            [
                                "severity": .string(finding.severity.rawValue), "rule": .string(finding.rule.rawValue),
                                "path": .string(finding.path), "problem": .string(finding.problem),
                            ]
                        })
                ]
            ) {
                guard !findings.isEmpty else { return "Nothing found." }
                return findings.map { "\($0.severity.rawValue): \(printable($0.description)) [\($0.rule.rawValue)]" }
                    .joined(separator: "\n")
            }
            let errors = findings.count { $0.severity == .error }
            guard errors == 0 else { throw CommandFailure("the card has \(errors) error\(errors == 1 ? "" : "s")") }
        }
    }
}
