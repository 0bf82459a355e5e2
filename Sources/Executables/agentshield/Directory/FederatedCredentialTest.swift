import AgentDirectory
import ArgumentParser
import ControlPlane
import ControlPlaneAPI
import GRPCCore
import JOSE
import SPIFFE

extension FederatedCredentialCommand {
    struct Test: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says whether a token would match, and what exactly does not, before production does.",
            discussion: """
                The token is taken apart and not trusted. Its signature is checked only when this trust domain is its \
                issuer. Ends with 0 only if a credential matches and nothing else speaks against the token.
                """)

        @OptionGroup var reference: IdentityReferenceOptions
        @Option(name: .flag("assertion"), help: "File with the token, or - for standard input.")
        var assertion: String
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let bytes = try LocalFile.read(assertion, limit: SampleAssertion.maximumLength)
            let sample = try SampleAssertion(String(decoding: bytes, as: UTF8.self))
            let (identity, bundle) = try await admin.withControlPlane { client in
                let identity = try await client.directory.getIdentity(
                    .with { $0.identity = reference.id }, options: .failingFast)
                let bundle = try await client.bundles.getBundle(
                    Spire_Api_Server_Bundle_V1_GetBundleRequest(), options: .failingFast)
                return (identity, bundle)
            }
            let credentials = try identity.federatedCredentials.map { try FederatedCredential($0) }
            let report = AssertionReport(
                sample, credentials, identity: identity, bundle: try bundle.checked(), now: WallClock.now())
            format.write(json: report.json) { report.pretty }
            guard report.isUsable else {
                throw CommandFailure("the token is no credential of `\(identity.name)`")
            }
        }
    }
}

/// What would come of a token at the token endpoint, one line for each thing that is looked at.
struct AssertionReport {
    private let token: [Line]
    private let credentials: [(credential: FederatedCredential, match: FederatedCredentialMatch)]

    /// One thing that was looked at; no finding is good news.
    private struct Line {
        let name: String
        var finding: String?
        var note = "ok"
    }

    init(
        _ sample: SampleAssertion, _ credentials: [FederatedCredential], identity: Agentshield_Admin_V1_Identity,
        bundle: TrustBundle, now: UnixTime
    ) {
        // An SVID's issuer is whoever signs for its trust domain, with `iss` and without.
        let svidOf = (sample.claims["sub"]?.stringValue).flatMap { try? SPIFFEID($0) }?.trustDomain
        self.credentials = credentials.map { credential in
            (
                credential,
                svidOf.map { credential.match(sample.claims, ofSVIDFrom: $0) } ?? credential.match(sample.claims)
            )
        }
        var state: String?
        if identity.state != "enabled" {
            state = "is \(identity.state)"
        } else if identity.expiresAt != 0, identity.expiresAt <= now.seconds {
            state = "ended at \(UnixTime(seconds: identity.expiresAt).rfc3339)"
        }
        token = [
            Line(name: "agent", finding: state), Line(name: "form", finding: sample.formFinding),
            Line(name: "typ", finding: sample.typeFinding),
            Line(name: "times", finding: sample.timesFinding(now: now)),
            Self.signature(sample, bundle),
        ]
    }

    /// Whether the token endpoint would take it, as far as can be told from here.
    var isUsable: Bool { token.allSatisfy { $0.finding == nil } && credentials.contains { $0.match.isMatch } }

    private static func signature(_ sample: SampleAssertion, _ bundle: TrustBundle) -> Line {
        switch sample.signature(by: bundle) {
        case .elsewhere: Line(name: "signature", note: "not checked here")
        case .valid: Line(name: "signature", note: "ok, by a key of this trust domain")
        case .invalid(let reason): Line(name: "signature", finding: reason)
        }
    }

    // MARK: writing

    var json: JSONValue {
        [
            "usable": .bool(isUsable),
            "token": .array(token.map { Self.json($0.name, isGood: $0.finding == nil, $0.finding ?? $0.note) }),
            "credentials": .array(
                credentials.map { credential, match in
                    [
                        "name": .string(credential.name.text), "matches": .bool(match.isMatch),
                        "checks": .array(
                            match.checks.map {
                                Self.json(
                                    $0.demand.claim, isGood: $0.result == .met, $0.finding ?? "ok")
                            }),
                    ]
                }),
        ]
    }

    private static func json(_ name: String, isGood: Bool, _ text: String) -> JSONValue {
        ["check": .string(name), "ok": .bool(isGood), "detail": .string(text)]
    }

    var pretty: String {
        var text = "Token\n" + token.map { Self.line($0.name, $0.finding ?? $0.note) }.joined()
        if credentials.isEmpty { text += "\nThe agent has no federated credentials.\n" }
        for (credential, match) in credentials {
            text +=
                "\nFederated credential `\(credential.name.text)`: \(match.isMatch ? "matches" : "does not match")\n"
            text += match.checks.map { Self.line($0.demand.claim, $0.finding ?? "ok") }.joined()
        }
        return text
    }

    private static func line(_ name: String, _ text: String) -> String {
        "  " + name + String(repeating: " ", count: max(1, 12 - name.utf8.count)) + text + "\n"
    }
}

extension FederatedCredentialMatch.Check {
    /// What is wrong, in words; nil when nothing is.
    fileprivate var finding: String? {
        switch result {
        case .met: nil
        case .missing: "missing; \(wanted)"
        case .wrongType: "is not a text; \(wanted)"
        case .severalAudiences(let count): "\(count) audiences, where the token may have only one; \(wanted)"
        case .differs(let found, let nearMiss):
            "is \(shown(found)); \(wanted)" + (nearMiss.map { ": only \($0.words)" } ?? "")
        }
    }

    private var wanted: String {
        switch demand {
        case .issuer(let text), .subject(let text): "the credential wants \(shown(text))"
        case .audience(let texts): "the credential wants \(texts.map(shown).joined(separator: " or "))"
        case .condition(let condition):
            switch condition.comparison {
            case .equals(let text): "the expression wants \(shown(text))"
            case .matches(let pattern): "the expression wants something like \(shown(pattern))"
            }
        }
    }
}

extension FederatedCredentialMatch.NearMiss {
    fileprivate var words: String {
        var words: [String] = []
        if contains(.whitespace) { words.append("white space at the end or the beginning") }
        if contains(.trailingSlash) { words.append("a slash at the end") }
        if contains(.letterCase) { words.append("upper and lower case") }
        return words.joined(separator: " and ") + (words.count == 1 ? " differs" : " differ")
    }
}

/// A text of a token, in quotes and with what cannot be seen made visible.
func shown(_ text: String) -> String { String(text.prefix(600)).debugDescription }
