import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE
import PeerRPC
import SPIFFE

private typealias TokenAuthorityAPI = Agentshield_Admin_V1_TokenAuthority.Client<PeerClientTransport>
private typealias TokenAuthorityState = Agentshield_Admin_V1_TokenAuthorityState

/// A kind of keys for access tokens or agent cards: what the commands of all are made of.
protocol TokenAuthorityKind {
    /// Its name on the command line, on the wire and in the log.
    static var name: String { get }
    /// What the keys sign, for the help.
    static var signed: String { get }
}

/// ES256, under our own issuer.
enum OAuthKeys: TokenAuthorityKind {
    static let name = "oauth"
    static let signed = "access tokens"
}

/// RS256, in the form of Microsoft Entra.
enum EntraKeys: TokenAuthorityKind {
    static let name = "entra"
    static let signed = "access tokens in the form of Microsoft Entra"
}

/// ES256, for agent cards.
enum AgentCardKeys: TokenAuthorityKind {
    static let name = "card"
    static let signed = "agent cards"
}

typealias OAuthAuthorities = TokenAuthorities<OAuthKeys>
typealias EntraAuthorities = TokenAuthorities<EntraKeys>
typealias CardAuthorities = TokenAuthorities<AgentCardKeys>

struct TokenAuthorities<Kind: TokenAuthorityKind>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: Kind.name, abstract: "Keys of \(Kind.signed).",
            subcommands: [Show.self, Prepare.self, Activate.self, Taint.self, Revoke.self])
    }

    struct Show: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(commandName: "show", abstract: "Shows the keys of \(Kind.signed).")
        }
        @OptionGroup private var admin: AdminOptions
        @OptionGroup private var format: OutputOptions

        func run() async throws {
            let name = Kind.name
            let states = try await admin.withControlPlane { client in
                try await client.tokenAuthorities.getState(.with { $0.kind = name }, options: .failingFast)
            }
            let all: [(String, TokenAuthorityState?)] = [
                ("Active", states.hasActive ? states.active : nil),
                ("Prepared", states.hasPrepared ? states.prepared : nil), ("Old", states.hasOld ? states.old : nil),
            ]
            format.write(json: .object(JSONObject(all.map { ($0.lowercased(), $1?.json ?? .null) }))) {
                all.map { title, state in
                    "\(title) \(name) authority:\n"
                        + (state?.lines ?? "  No \(title.lowercased()) \(name) authority found")
                }.joined(separator: "\n\n")
            }
        }
    }

    struct Prepare: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "prepare",
                abstract: "Makes a new key of \(Kind.signed) and publishes it; it does not sign yet.")
        }
        @OptionGroup private var admin: AdminOptions
        @OptionGroup private var format: OutputOptions

        func run() async throws {
            let name = Kind.name
            let state = try await admin.withControlPlane { client in
                try await client.tokenAuthorities.prepare(.with { $0.kind = name }, options: .failingFast)
            }
            write(state, "prepared", name, format)
        }
    }

    struct Activate: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "activate", abstract: "Lets the prepared key of \(Kind.signed) sign from now on.")
        }
        @OptionGroup private var act: TokenAuthorityAct

        func run() async throws {
            try await act.run("activated", Kind.name) { try await $0.activate($1, options: .failingFast) }
        }
    }

    struct Taint: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "taint", abstract: "Marks an old key of \(Kind.signed), before it is revoked.")
        }
        @OptionGroup private var act: TokenAuthorityAct

        func run() async throws {
            try await act.run("tainted", Kind.name) { try await $0.taint($1, options: .failingFast) }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: "revoke",
                abstract: "Takes a tainted key of \(Kind.signed) away: what it signed is refused at once.")
        }
        @OptionGroup private var act: TokenAuthorityAct

        func run() async throws {
            try await act.run("revoked", Kind.name) { try await $0.revoke($1, options: .failingFast) }
        }
    }
}

/// `-authorityID`, the admin socket and the format.
struct TokenAuthorityAct: ParsableArguments {
    // A thumbprint in base64url, which may begin with a hyphen.
    @Option(name: .flag("authorityID"), parsing: .unconditional, help: "ID of the authority, as `show` names it.")
    var authorityID: String = ""
    @OptionGroup var admin: AdminOptions
    @OptionGroup var format: OutputOptions

    fileprivate func run(
        _ act: String, _ kind: String,
        _ body:
            @Sendable @escaping (TokenAuthorityAPI, Agentshield_Admin_V1_TokenAuthorityRequest) async throws
            -> TokenAuthorityState
    ) async throws {
        guard !authorityID.isEmpty else { throw CommandFailure("-authorityID is needed") }
        let request = Agentshield_Admin_V1_TokenAuthorityRequest.with {
            $0.kind = kind
            $0.authorityID = authorityID
        }
        let state = try await admin.withControlPlane { client in try await body(client.tokenAuthorities, request) }
        write(state, act, kind, format)
    }
}

/// One act's answer, in the form of those on the authorities of SVIDs.
private func write(_ state: TokenAuthorityState, _ act: String, _ kind: String, _ format: OutputOptions) {
    format.write(json: .object(JSONObject([("\(act)_authority", state.json)]))) {
        "\(act.prefix(1).uppercased() + act.dropFirst()) \(kind) authority:\n" + state.lines
    }
}

extension Agentshield_Admin_V1_TokenAuthorityState {
    fileprivate var json: JSONValue {
        ["authority_id": .string(authorityID), "expires_at": .string("\(expiresAt)")]
    }

    fileprivate var lines: String { AuthorityLines.text(id: authorityID, expiresAt: expiresAt) }
}
