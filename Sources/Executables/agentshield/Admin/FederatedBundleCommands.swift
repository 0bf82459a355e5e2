import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE
import SPIFFE

extension Bundle {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows the bundles of other trust domains.")

        @Option(name: .flag("id"), help: "Only the bundle of this trust domain.")
        var id: String?
        @Option(name: .flag("format"), help: "pem (X.509 authorities) or spiffe (the whole bundle document).")
        var form: BundleFormat = .pem
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            if let id {
                let domain = try parseTrustDomain(id, "-id")
                let message = try await admin.withControlPlane { client in
                    try await client.bundles
                        .getFederatedBundle(.with { $0.trustDomain = domain.name }, options: .failingFast)
                }
                let bundle = try message.checked()
                format.write(json: message.json) { form.text(bundle) }
                return
            }
            let messages = try await fetch()
            let bundles = try messages.map { try $0.checked() }
            format.write(json: ["bundles": .array(messages.map(\.json)), "next_page_token": ""]) {
                bundles.map { bundle in
                    let line = String(repeating: "*", count: 40)
                    return "\(line)\n* \(bundle.trustDomain.name)\n\(line)\n" + form.text(bundle)
                }.joined(separator: "\n")
            }
        }

        private func fetch() async throws -> [Spire_Api_Types_Bundle] {
            try await admin.withControlPlane { client in
                let bundles = client.bundles
                var all: [Spire_Api_Types_Bundle] = []
                var request = Spire_Api_Server_Bundle_V1_ListFederatedBundlesRequest()
                repeat {
                    let page = try await bundles.listFederatedBundles(request, options: .failingFast)
                    all += page.bundles
                    request.pageToken = page.nextPageToken
                } while !request.pageToken.isEmpty
                return all
            }
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set", abstract: "Stores the bundle of another trust domain.")

        @Option(name: .flag("id"), help: "The trust domain.")
        var id: String?
        @Option(name: .flag("path"), help: "File with the bundle (default: standard input).")
        var path: String?
        @Option(name: .flag("format"), help: "pem (X.509 authorities) or spiffe (the whole bundle document).")
        var form: BundleFormat = .pem
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let domain = try parseDomainFlag(id, "-id")
            let bytes = try LocalFile.read(path ?? "-", limit: BundleFormat.maximumBytes)
            let bundle = try form.parse(bytes, domain, place: path.map { "-path `\($0)`" } ?? "standard input")
            guard !bundle.x509Authorities.isEmpty || form == .spiffe else {
                throw CommandFailure("there is no certificate in it")
            }
            var request = Spire_Api_Server_Bundle_V1_BatchSetFederatedBundleRequest()
            request.bundle = [Spire_Api_Types_Bundle(bundle)]
            let prepared = request
            let response = try await admin.withControlPlane { client in
                try await client.bundles
                    .batchSetFederatedBundle(prepared, options: .failingFast)
            }
            if let failure = response.results.first(where: { $0.status.code != 0 }) {
                throw CommandFailure("bundle not set: \(failure.status.message)")
            }
            format.write(
                json: [
                    "results": .array(response.results.map { ["status": $0.status.json, "bundle": $0.bundle.json] })
                ]
            ) { "bundle set." }
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Deletes the bundle of another trust domain.")

        enum Mode: String, ExpressibleByArgument, CaseIterable {
            case restrict, delete, dissociate
        }

        @Option(name: .flag("id"), help: "The trust domain.")
        var id: String?
        @Option(
            name: .flag("mode"),
            help: "Entries that federate with it: restrict (refuse), delete (them too), dissociate (let go of it).")
        var mode: Mode = .restrict
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let domain = try parseDomainFlag(id, "-id")
            var request = Spire_Api_Server_Bundle_V1_BatchDeleteFederatedBundleRequest()
            request.trustDomains = [domain.name]
            request.mode =
                switch mode {
                case .restrict: .restrict
                case .delete: .delete
                case .dissociate: .dissociate
                }
            let prepared = request
            let response = try await admin.withControlPlane { client in
                try await client.bundles
                    .batchDeleteFederatedBundle(prepared, options: .failingFast)
            }
            if let failure = response.results.first(where: { $0.status.code != 0 }) {
                throw CommandFailure("bundle of `\(failure.trustDomain)` not deleted: \(failure.status.message)")
            }
            format.write(
                json: [
                    "results": .array(
                        response.results.map { ["status": $0.status.json, "trust_domain": .string($0.trustDomain)] })
                ]
            ) { "bundle deleted." }
        }
    }

    struct Count: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Counts the bundles, our own included.")

        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let count = try await admin.withControlPlane { client in
                try await client.bundles
                    .countBundles(Spire_Api_Server_Bundle_V1_CountBundlesRequest(), options: .failingFast).count
            }
            format.write(json: ["count": .number(JSONNumber(Int64(count)))]) {
                counted(Int(count), "bundle", "bundles")
            }
        }
    }
}
