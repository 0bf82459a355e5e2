import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE
import SPIFFE

struct Bundle: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Trust bundles: what identities are verified with, ours and those of other trust domains.",
        subcommands: [Show.self, List.self, Set.self, Delete.self, Count.self, History.self])
}

extension Bundle {
    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows the bundle of this trust domain.")

        @Option(name: .flag("format"), help: "pem (X.509 authorities) or spiffe (the whole bundle document).")
        var form: BundleFormat = .pem
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let message = try await admin.withControlPlane { client in
                try await client.bundles
                    .getBundle(Spire_Api_Server_Bundle_V1_GetBundleRequest(), options: .failingFast)
            }
            let bundle = try message.checked()
            format.write(json: message.json) { form.text(bundle) }
        }
    }
}
