import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE

/// The authority above this server's: after its theft, once others have taken over.
struct UpstreamAuthorityGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upstreamauthority", abstract: "The authority that signs this server's authorities.",
        discussion: """
            After a theft: replace its files, prepare and activate a local authority (`localauthority x509`), then taint \
            the old one, and once everything is re-issued revoke it.
            """,
        subcommands: [Taint.self, Revoke.self])

    struct Taint: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Marks an upstream authority: everything below it is replaced at once.")
        @OptionGroup private var options: UpstreamOptions

        func run() async throws {
            let id = try options.checkedID()
            let tainted = try await options.admin.withControlPlane { client in
                try await client.localAuthorities.taintX509UpstreamAuthority(
                    .with { $0.subjectKeyID = id }, options: .failingFast
                ).upstreamAuthoritySubjectKeyID
            }
            options.format.write(json: ["upstream_authority_subject_key_id": .string(tainted)]) {
                "Upstream authority tainted: \(tainted)"
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Takes a tainted upstream authority out of the bundle.")
        @OptionGroup private var options: UpstreamOptions

        func run() async throws {
            let id = try options.checkedID()
            let revoked = try await options.admin.withControlPlane { client in
                try await client.localAuthorities.revokeX509UpstreamAuthority(
                    .with { $0.subjectKeyID = id }, options: .failingFast
                ).upstreamAuthoritySubjectKeyID
            }
            options.format.write(json: ["upstream_authority_subject_key_id": .string(revoked)]) {
                "Upstream authority revoked: \(revoked)"
            }
        }
    }
}

/// `-subjectKeyID`, the admin socket and the format.
private struct UpstreamOptions: ParsableArguments {
    @Option(name: .flag("subjectKeyID"), help: "Its subject key ID, as `localauthority x509 show` names it.")
    var subjectKeyID: String = ""
    @OptionGroup var admin: AdminOptions
    @OptionGroup var format: OutputOptions

    func checkedID() throws -> String {
        guard !subjectKeyID.isEmpty else { throw CommandFailure("-subjectKeyID is needed") }
        return subjectKeyID
    }
}
