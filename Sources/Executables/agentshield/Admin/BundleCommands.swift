import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE
import SPIFFE

struct Bundle: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Trust bundles: what identities are verified with, ours and those of other trust domains.",
        subcommands: [Show.self, Append.self, List.self, Set.self, Delete.self, Count.self, History.self])
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

    struct Append: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Takes authorities of another server of this trust domain into its bundle.")

        @Option(name: .flag("path"), help: "File with the bundle of that server (default: standard input).")
        var path: String?
        @Option(name: .flag("format"), help: "pem (X.509 authorities) or spiffe (the whole bundle document).")
        var form: BundleFormat = .pem
        @Option(
            name: .flag("expiresAt"),
            help: "End of its JWT and WIT keys (RFC 3339), which the document does not say (default: never).")
        var expiresAt: String?
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            var end: Int64 = 0
            if let expiresAt {
                guard let time = UnixTime(rfc3339: expiresAt) else {
                    throw CommandFailure("-expiresAt: `\(expiresAt)` is not a time such as 2030-01-31T12:00:00Z")
                }
                end = time.seconds
            }
            let bytes = try LocalFile.read(path ?? "-", limit: BundleFormat.maximumBytes)
            let (form, keysEnd, place) = (form, end, path.map { "-path `\($0)`" } ?? "standard input")
            let (appended, message) = try await admin.withControlPlane { client in
                let own = try await client.bundles.getBundle(
                    .with { $0.outputMask = .init() }, options: .failingFast)
                let bundle = try form.parse(bytes, try parseTrustDomain(own.trustDomain, "trust domain"), place: place)
                var wire = Spire_Api_Types_Bundle(bundle)
                for index in wire.jwtAuthorities.indices { wire.jwtAuthorities[index].expiresAt = keysEnd }
                for index in wire.witAuthorities.indices { wire.witAuthorities[index].expiresAt = keysEnd }
                let authorities = wire
                guard
                    !wire.x509Authorities.isEmpty || !wire.jwtAuthorities.isEmpty || !wire.witAuthorities.isEmpty
                else { throw CommandFailure("\(place): there is no authority in it") }
                let message = try await client.bundles.appendBundle(
                    .with {
                        $0.x509Authorities = authorities.x509Authorities
                        $0.jwtAuthorities = authorities.jwtAuthorities
                        $0.witAuthorities = authorities.witAuthorities
                    }, options: .failingFast)
                return (authorities, message)
            }
            format.write(json: message.json) {
                let parts = [
                    (appended.x509Authorities.count, "X.509"), (appended.jwtAuthorities.count, "JWT"),
                    (appended.witAuthorities.count, "WIT"),
                ].filter { $0.0 > 0 }.map { counted($0.0, "\($0.1) authority", "\($0.1) authorities") }
                return parts.joined(separator: ", ") + " appended."
            }
        }
    }
}
