import ArgumentParser
import ControlPlaneAPI
import FoundationEssentials
import GRPCCore
import JOSE
import SPIFFE

struct Bundle: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The trust bundle: what others verify our identities with.", subcommands: [Show.self])
}

extension Bundle {
    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows the bundle of this trust domain.")

        enum Format: String, ExpressibleByArgument, CaseIterable {
            case pem, spiffe
        }

        @Option(name: .flag("format"), help: "pem (X.509 authorities) or spiffe (the whole bundle document).")
        var form: Format = .pem
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let message = try await admin.withControlPlane { client in
                try await Spire_Api_Server_Bundle_V1_Bundle.Client(wrapping: client)
                    .getBundle(Spire_Api_Server_Bundle_V1_GetBundleRequest(), options: .failingFast)
            }
            let bundle: TrustBundle
            do {
                bundle = try TrustBundle(message)
            } catch {
                throw CommandFailure("the control plane sent a malformed bundle: \(error)")
            }
            format.write(json: message.json) {
                switch form {
                case .pem: bundle.pem
                case .spiffe: String(decoding: bundle.spiffeJSON(), as: UTF8.self)
                }
            }
        }
    }
}
