import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE
import PeerRPC
import SPIFFE

struct LocalAuthority: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "localauthority", abstract: "The authorities that sign: show them, and make them take turns.",
        discussion: """
            After a theft: prepare, activate, taint, and once everything is re-issued revoke. Only an old authority can \
            be tainted, and only a tainted one revoked.
            """,
        subcommands: [
            X509Authorities.self, JWTAuthorities.self, WITAuthorities.self, OAuthAuthorities.self,
            EntraAuthorities.self, CardAuthorities.self,
        ])
}

private typealias LocalAuthorityAPI = Spire_Api_Server_Localauthority_V1_LocalAuthority.Client<
    PeerClientTransport
>
private typealias AuthorityState = Spire_Api_Server_Localauthority_V1_AuthorityState

/// What one `show` answers: the authority in each state, if there is one.
private struct AuthorityStates: Sendable {
    var active: AuthorityState?
    var prepared: AuthorityState?
    var old: AuthorityState?

    func write(_ kind: AuthorityKind, _ format: OutputOptions) {
        format.write(
            json: [
                "active": active?.json ?? .null, "prepared": prepared?.json ?? .null, "old": old?.json ?? .null,
            ]
        ) {
            [("Active", active), ("Prepared", prepared), ("Old", old)].map { name, state in
                "\(name) \(kind.name) authority:\n"
                    + (state?.lines(of: kind) ?? "  No \(name.lowercased()) \(kind.name) authority found")
            }.joined(separator: "\n\n")
        }
    }
}

/// One act's answer, as SPIRE writes it.
private func write(_ state: AuthorityState, _ act: String, _ kind: AuthorityKind, _ format: OutputOptions) {
    format.write(json: .object(JSONObject([("\(act)_authority", state.json)]))) {
        "\(act.prefix(1).uppercased() + act.dropFirst()) \(kind.name) authority:\n" + state.lines(of: kind)
    }
}

private enum AuthorityKind {
    case x509, jwt, wit

    var name: String {
        switch self {
        case .x509: "X.509"
        case .jwt: "JWT"
        case .wit: "WIT"
        }
    }
}

extension Spire_Api_Server_Localauthority_V1_AuthorityState {
    fileprivate var json: JSONValue {
        [
            "authority_id": .string(authorityID),
            "expires_at": .string("\(expiresAt)"),
            "upstream_authority_subject_key_id": .string(upstreamAuthoritySubjectKeyID),
        ]
    }

    fileprivate func lines(of kind: AuthorityKind) -> String {
        var text = AuthorityLines.text(id: authorityID, expiresAt: expiresAt)
        if case .x509 = kind {
            text +=
                upstreamAuthoritySubjectKeyID.isEmpty
                ? "\n  Upstream authority ID: No upstream authority"
                : "\n  Upstream authority Subject Key ID: \(upstreamAuthoritySubjectKeyID)"
        }
        return text
    }
}

/// What every authority is shown by.
enum AuthorityLines {
    /// The form of SPIRE: two blanks, and the time as Go prints it.
    static func text(id: String, expiresAt: Int64) -> String {
        let time = UnixTime(seconds: expiresAt).rfc3339
        let date = time.prefix(10)
        let clock = time.dropFirst(11).prefix(8)
        return "  Authority ID: \(id)\n  Expires at: \(date) \(clock) +0000 UTC"
    }
}

/// `-authorityID`, the admin socket and the format.
private struct ActOptions: ParsableArguments {
    // That of a token key is a thumbprint in base64url, which may begin with a hyphen.
    @Option(name: .flag("authorityID"), parsing: .unconditional, help: "ID of the authority, as `show` names it.")
    var authorityID: String = ""
    @OptionGroup var admin: AdminOptions
    @OptionGroup var format: OutputOptions

    func checkedID() throws -> String {
        guard !authorityID.isEmpty else { throw CommandFailure("-authorityID is needed") }
        return authorityID
    }
}

/// The admin socket and the format.
private struct ShowOptions: ParsableArguments {
    @OptionGroup var admin: AdminOptions
    @OptionGroup var format: OutputOptions
}

extension AdminOptions {
    fileprivate func withLocalAuthority<Result: Sendable>(
        _ body: @Sendable @escaping (LocalAuthorityAPI) async throws -> Result
    ) async throws -> Result {
        try await withControlPlane { client in try await body(client.localAuthorities) }
    }
}

struct X509Authorities: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "x509", abstract: "Authorities of X.509-SVIDs.",
        subcommands: [Show.self, Prepare.self, Activate.self, Taint.self, Revoke.self])

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows the local X.509 authorities.")
        @OptionGroup private var options: ShowOptions

        func run() async throws {
            let states = try await options.admin.withLocalAuthority { api in
                let answer = try await api.getX509AuthorityState(.init(), options: .failingFast)
                return AuthorityStates(
                    active: answer.hasActive ? answer.active : nil,
                    prepared: answer.hasPrepared ? answer.prepared : nil, old: answer.hasOld ? answer.old : nil)
            }
            states.write(.x509, options.format)
        }
    }

    struct Prepare: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a new X.509 authority and publishes it; it does not sign yet.")
        @OptionGroup private var options: ShowOptions

        func run() async throws {
            let state = try await options.admin.withLocalAuthority { api in
                try await api.prepareX509Authority(.init(), options: .failingFast).preparedAuthority
            }
            write(state, "prepared", .x509, options.format)
        }
    }

    struct Activate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lets the prepared X.509 authority sign from now on.")
        @OptionGroup private var options: ActOptions

        func run() async throws {
            let id = try options.checkedID()
            let state = try await options.admin.withLocalAuthority { api in
                try await api.activateX509Authority(
                    .with { $0.authorityID = id }, options: .failingFast
                ).activatedAuthority
            }
            write(state, "activated", .x509, options.format)
        }
    }

    struct Taint: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Marks an old X.509 authority: everything that it signed is replaced at once.")
        @OptionGroup private var options: ActOptions

        func run() async throws {
            let id = try options.checkedID()
            let state = try await options.admin.withLocalAuthority { api in
                try await api.taintX509Authority(
                    .with { $0.authorityID = id }, options: .failingFast
                ).taintedAuthority
            }
            write(state, "tainted", .x509, options.format)
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Takes a tainted X.509 authority out of the bundle.")
        @OptionGroup private var options: ActOptions

        func run() async throws {
            let id = try options.checkedID()
            let state = try await options.admin.withLocalAuthority { api in
                try await api.revokeX509Authority(
                    .with { $0.authorityID = id }, options: .failingFast
                ).revokedAuthority
            }
            write(state, "revoked", .x509, options.format)
        }
    }
}

struct JWTAuthorities: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jwt", abstract: "Authorities of JWT-SVIDs.",
        subcommands: [Show.self, Prepare.self, Activate.self, Taint.self, Revoke.self])

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows the local JWT authorities.")
        @OptionGroup private var options: ShowOptions

        func run() async throws {
            let states = try await options.admin.withLocalAuthority { api in
                let answer = try await api.getJWTAuthorityState(.init(), options: .failingFast)
                return AuthorityStates(
                    active: answer.hasActive ? answer.active : nil,
                    prepared: answer.hasPrepared ? answer.prepared : nil, old: answer.hasOld ? answer.old : nil)
            }
            states.write(.jwt, options.format)
        }
    }

    struct Prepare: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a new JWT authority and publishes it; it does not sign yet.")
        @OptionGroup private var options: ShowOptions

        func run() async throws {
            let state = try await options.admin.withLocalAuthority { api in
                try await api.prepareJWTAuthority(.init(), options: .failingFast).preparedAuthority
            }
            write(state, "prepared", .jwt, options.format)
        }
    }

    struct Activate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lets the prepared JWT authority sign from now on.")
        @OptionGroup private var options: ActOptions

        func run() async throws {
            let id = try options.checkedID()
            let state = try await options.admin.withLocalAuthority { api in
                try await api.activateJWTAuthority(
                    .with { $0.authorityID = id }, options: .failingFast
                ).activatedAuthority
            }
            write(state, "activated", .jwt, options.format)
        }
    }

    struct Taint: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Marks an old JWT authority: everything that it signed is replaced at once.")
        @OptionGroup private var options: ActOptions

        func run() async throws {
            let id = try options.checkedID()
            let state = try await options.admin.withLocalAuthority { api in
                try await api.taintJWTAuthority(
                    .with { $0.authorityID = id }, options: .failingFast
                ).taintedAuthority
            }
            write(state, "tainted", .jwt, options.format)
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Takes a tainted JWT authority out of the bundle.")
        @OptionGroup private var options: ActOptions

        func run() async throws {
            let id = try options.checkedID()
            let state = try await options.admin.withLocalAuthority { api in
                try await api.revokeJWTAuthority(
                    .with { $0.authorityID = id }, options: .failingFast
                ).revokedAuthority
            }
            write(state, "revoked", .jwt, options.format)
        }
    }
}

struct WITAuthorities: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wit", abstract: "Authorities of WIT-SVIDs.",
        subcommands: [Show.self, Prepare.self, Activate.self, Taint.self, Revoke.self])

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows the local WIT authorities.")
        @OptionGroup private var options: ShowOptions

        func run() async throws {
            let states = try await options.admin.withLocalAuthority { api in
                let answer = try await api.getWITAuthorityState(.init(), options: .failingFast)
                return AuthorityStates(
                    active: answer.hasActive ? answer.active : nil,
                    prepared: answer.hasPrepared ? answer.prepared : nil, old: answer.hasOld ? answer.old : nil)
            }
            states.write(.wit, options.format)
        }
    }

    struct Prepare: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a new WIT authority and publishes it; it does not sign yet.")
        @OptionGroup private var options: ShowOptions

        func run() async throws {
            let state = try await options.admin.withLocalAuthority { api in
                try await api.prepareWITAuthority(.init(), options: .failingFast).preparedAuthority
            }
            write(state, "prepared", .wit, options.format)
        }
    }

    struct Activate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lets the prepared WIT authority sign from now on.")
        @OptionGroup private var options: ActOptions

        func run() async throws {
            let id = try options.checkedID()
            let state = try await options.admin.withLocalAuthority { api in
                try await api.activateWITAuthority(
                    .with { $0.authorityID = id }, options: .failingFast
                ).activatedAuthority
            }
            write(state, "activated", .wit, options.format)
        }
    }

    struct Taint: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Marks an old WIT authority: everything that it signed is replaced at once.")
        @OptionGroup private var options: ActOptions

        func run() async throws {
            let id = try options.checkedID()
            let state = try await options.admin.withLocalAuthority { api in
                try await api.taintWITAuthority(
                    .with { $0.authorityID = id }, options: .failingFast
                ).taintedAuthority
            }
            write(state, "tainted", .wit, options.format)
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Takes a tainted WIT authority out of the bundle.")
        @OptionGroup private var options: ActOptions

        func run() async throws {
            let id = try options.checkedID()
            let state = try await options.admin.withLocalAuthority { api in
                try await api.revokeWITAuthority(
                    .with { $0.authorityID = id }, options: .failingFast
                ).revokedAuthority
            }
            write(state, "revoked", .wit, options.format)
        }
    }
}
