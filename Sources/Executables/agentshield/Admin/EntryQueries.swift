import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE
import SwiftProtobuf

/// How a list of selectors or trust domains has to compare.
enum MatchBehavior: String, ExpressibleByArgument, CaseIterable {
    case exact, any, superset, subset

    var selectors: Spire_Api_Types_SelectorMatch.MatchBehavior {
        switch self {
        case .exact: .matchExact
        case .any: .matchAny
        case .superset: .matchSuperset
        case .subset: .matchSubset
        }
    }

    var federatesWith: Spire_Api_Types_FederatesWithMatch.MatchBehavior {
        switch self {
        case .exact: .matchExact
        case .any: .matchAny
        case .superset: .matchSuperset
        case .subset: .matchSubset
        }
    }
}

/// The filters of `entry show` and `entry count`.
struct EntryFilterOptions: ParsableArguments {
    @Option(name: .flag("spiffeID"), help: "Only entries with this SPIFFE ID.")
    var spiffeID: String?
    @Option(name: .flag("parentID"), help: "Only entries with this parent.")
    var parentID: String?
    @Option(name: .flag("selector"), help: "Only entries with these selectors; repeat for more.")
    var selectors: [String] = []
    @Option(name: .flag("matchSelectorsOn"), help: "How selectors compare: exact, any, superset or subset.")
    var matchSelectorsOn: MatchBehavior = .superset
    @Option(name: .flag("federatesWith"), help: "Only entries that federate with these; repeat for more.")
    var federatesWith: [String] = []
    @Option(name: .flag("matchFederatesWithOn"), help: "How trust domains compare: exact, any, superset or subset.")
    var matchFederatesWithOn: MatchBehavior = .superset
    @Option(name: .flag("hint"), help: "Only entries with this hint.")
    var hint: String?
    @Flag(name: .flag("downstream"), help: "Only entries of downstream control planes.")
    var downstream = false

    func filter() throws -> Spire_Api_Server_Entry_V1_ListEntriesRequest.Filter {
        var filter = Spire_Api_Server_Entry_V1_ListEntriesRequest.Filter()
        if let spiffeID { filter.bySpiffeID = try parseID(spiffeID, flag: "-spiffeID").message }
        if let parentID { filter.byParentID = try parseID(parentID, flag: "-parentID").message }
        if !selectors.isEmpty {
            filter.bySelectors.selectors = try selectors.map(parseSelector)
            filter.bySelectors.match = matchSelectorsOn.selectors
        }
        if !federatesWith.isEmpty {
            filter.byFederatesWith.trustDomains = federatesWith
            filter.byFederatesWith.match = matchFederatesWithOn.federatesWith
        }
        if let hint { filter.byHint = Google_Protobuf_StringValue(hint) }
        if downstream { filter.byDownstream = Google_Protobuf_BoolValue(true) }
        return filter
    }
}

extension Entry {
    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows entries.")

        @Option(name: .flag("entryID"), help: "Only this entry.")
        var entryID: String?
        @OptionGroup var filter: EntryFilterOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let entries = try await fetch()
            format.write(json: ["entries": .array(entries.map(\.json)), "next_page_token": ""]) {
                "Found \(counted(entries.count, "entry", "entries"))\n"
                    + entries.map { $0.pretty + "\n" }.joined()
            }
        }

        private func fetch() async throws -> [Spire_Api_Types_Entry] {
            if let entryID {
                return [
                    try await admin.withControlPlane { client in
                        var request = Spire_Api_Server_Entry_V1_GetEntryRequest()
                        request.id = entryID
                        return try await client.entries
                            .getEntry(request, options: .failingFast)
                    }
                ]
            }
            let filter = try filter.filter()
            return try await admin.withControlPlane { client in
                let entries = client.entries
                var all: [Spire_Api_Types_Entry] = []
                var request = Spire_Api_Server_Entry_V1_ListEntriesRequest()
                request.filter = filter
                request.pageSize = 500
                repeat {
                    let page = try await entries.listEntries(request, options: .failingFast)
                    all += page.entries
                    request.pageToken = page.nextPageToken
                } while !request.pageToken.isEmpty
                return all
            }
        }
    }

    struct Count: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Counts entries.")

        @OptionGroup var filter: EntryFilterOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let listing = try filter.filter()
            let count = try await admin.withControlPlane { client in
                var request = Spire_Api_Server_Entry_V1_CountEntriesRequest()
                if listing.hasBySpiffeID { request.filter.bySpiffeID = listing.bySpiffeID }
                if listing.hasByParentID { request.filter.byParentID = listing.byParentID }
                if listing.hasBySelectors { request.filter.bySelectors = listing.bySelectors }
                if listing.hasByFederatesWith { request.filter.byFederatesWith = listing.byFederatesWith }
                if listing.hasByHint { request.filter.byHint = listing.byHint }
                if listing.hasByDownstream { request.filter.byDownstream = listing.byDownstream }
                return try await client.entries
                    .countEntries(request, options: .failingFast).count
            }
            format.write(json: ["count": .number(JSONNumber(Int64(count)))]) {
                counted(Int(count), "registration entry", "registration entries")
            }
        }
    }
}
