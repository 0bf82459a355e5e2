import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE
import SPIFFE

struct Federation: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Federation relationships: whose bundles are fetched, and from where.",
        subcommands: [Create.self, List.self, Show.self, Update.self, Delete.self, Refresh.self])
}

extension Federation {
    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Begins to federate with a trust domain.")

        @OptionGroup var fields: FederationFields
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            var request = Spire_Api_Server_Trustdomain_V1_BatchCreateFederationRelationshipRequest()
            request.federationRelationships = try fields.relationships()
            let prepared = request
            let response = try await admin.withControlPlane { client in
                try await client.trustDomains
                    .batchCreateFederationRelationship(prepared, options: .failingFast)
            }
            try report(response.results.map { ($0.status, $0.federationRelationship) }, "made", format)
        }
    }

    struct Update: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Replaces a federation relationship.")

        @OptionGroup var fields: FederationFields
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            var request = Spire_Api_Server_Trustdomain_V1_BatchUpdateFederationRelationshipRequest()
            request.federationRelationships = try fields.relationships()
            let prepared = request
            let response = try await admin.withControlPlane { client in
                try await client.trustDomains
                    .batchUpdateFederationRelationship(prepared, options: .failingFast)
            }
            try report(response.results.map { ($0.status, $0.federationRelationship) }, "updated", format)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows every federation relationship that is not in the configuration file.")

        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let all = try await admin.withControlPlane { client in
                let service = client.trustDomains
                var all: [Spire_Api_Types_FederationRelationship] = []
                var request = Spire_Api_Server_Trustdomain_V1_ListFederationRelationshipsRequest()
                repeat {
                    let page = try await service.listFederationRelationships(request, options: .failingFast)
                    all += page.federationRelationships
                    request.pageToken = page.nextPageToken
                } while !request.pageToken.isEmpty
                return all
            }
            format.write(json: ["federation_relationships": .array(all.map(\.json)), "next_page_token": ""]) {
                "Found \(counted(all.count, "federation relationship", "federation relationships"))\n"
                    + all.map { "\n" + $0.pretty }.joined()
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows one federation relationship.")

        @Option(name: .flag("trustDomain"), help: "The other trust domain.")
        var trustDomain: String?
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let domain = try parseDomainFlag(trustDomain, "-trustDomain")
            let relationship = try await admin.withControlPlane { client in
                try await client.trustDomains
                    .getFederationRelationship(.with { $0.trustDomain = domain.name }, options: .failingFast)
            }
            format.write(json: relationship.json) {
                "Found a federation relationship with trust domain \(domain.name):\n\n" + relationship.pretty
            }
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ends a federation relationship; the bundle stays until `bundle delete`.")

        @Option(name: .flag("id"), help: "The other trust domain.")
        var id: String?
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let domain = try parseDomainFlag(id, "-id")
            let response = try await admin.withControlPlane { client in
                try await client.trustDomains
                    .batchDeleteFederationRelationship(.with { $0.trustDomains = [domain.name] }, options: .failingFast)
            }
            if let failure = response.results.first(where: { $0.status.code != 0 }) {
                throw CommandFailure(
                    "federation relationship with `\(failure.trustDomain)` not deleted: \(failure.status.message)")
            }
            format.write(
                json: [
                    "results": .array(
                        response.results.map { ["status": $0.status.json, "trust_domain": .string($0.trustDomain)] })
                ]
            ) { "federation relationship deleted." }
        }
    }

    struct Refresh: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fetches the bundle of a federated trust domain now.")

        @Option(name: .flag("id"), help: "The other trust domain.")
        var id: String?
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let domain = try parseDomainFlag(id, "-id")
            _ = try await admin.withControlPlane { client in
                try await client.trustDomains
                    .refreshBundle(.with { $0.trustDomain = domain.name }, options: .failingFast)
            }
            format.write(json: Spire_Api_Types_Status().json) { "Bundle refreshed" }
        }
    }
}

/// What came of a batch, and a failure for the first relationship that was refused.
private func report(
    _ results: [(status: Spire_Api_Types_Status, relationship: Spire_Api_Types_FederationRelationship)],
    _ done: String, _ format: OutputOptions
) throws {
    let failures = results.filter { $0.status.code != 0 }
    format.write(
        json: [
            "results": .array(
                results.map { result in
                    result.status.code == 0
                        ? ["status": result.status.json, "federation_relationship": result.relationship.json]
                        : ["status": result.status.json]
                })
        ]
    ) {
        results.filter { $0.status.code == 0 }.map { "\n" + $0.relationship.pretty }.joined()
    }
    if let first = failures.first {
        throw CommandFailure(
            "\(counted(failures.count, "federation relationship", "federation relationships")) not \(done): "
                + first.status.message)
    }
}

extension Spire_Api_Types_FederationRelationship {
    var pretty: String {
        // SPIRE's own column: 26 here, 24 for entries.
        func line(_ label: String, _ value: String) -> String {
            label + String(repeating: " ", count: max(1, 26 - label.utf8.count)) + ": \(value)\n"
        }
        var text = line("Trust domain", trustDomain) + line("Bundle endpoint URL", bundleEndpointURL)
        switch bundleEndpointProfile {
        case .httpsWeb: text += line("Bundle endpoint profile", "https_web")
        case .httpsSpiffe(let profile):
            text += line("Bundle endpoint profile", "https_spiffe")
            text += line("Endpoint SPIFFE ID", profile.endpointSpiffeID)
        case nil: break
        }
        return text
    }

    var json: JSONValue {
        var members: [(String, JSONValue)] = [
            ("trust_domain", .string(trustDomain)), ("bundle_endpoint_url", .string(bundleEndpointURL)),
        ]
        switch bundleEndpointProfile {
        case .httpsWeb: members.append(("https_web", .object(JSONObject())))
        case .httpsSpiffe(let profile):
            members.append(("https_spiffe", ["endpoint_spiffe_id": .string(profile.endpointSpiffeID)]))
        case nil: break
        }
        if hasTrustDomainBundle { members.append(("trust_domain_bundle", trustDomainBundle.json)) }
        return .object(JSONObject(members))
    }
}
