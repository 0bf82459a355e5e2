import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE

struct Entry: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Registration entries: which workload gets which identity where.",
        subcommands: [Create.self, Show.self, Update.self, Delete.self, Count.self, History.self])
}

extension Entry {
    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Makes an entry.")

        @OptionGroup var fields: EntryFields
        @Option(name: .flag("entryID"), help: "ID of the new entry (default: a fresh one).")
        var entryID: String?
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let entries = try fields.data.map(EntryFile.read) ?? [fields.entry(id: entryID ?? "")]
            let response = try await admin.withControlPlane { client in
                var whole = Spire_Api_Server_Entry_V1_BatchCreateEntryResponse()
                for batch in EntryFile.batches(entries) {
                    var request = Spire_Api_Server_Entry_V1_BatchCreateEntryRequest()
                    request.entries = batch
                    request.allowAnyLauncher = fields.allowAnyLauncher
                    whole.results += try await client.entries
                        .batchCreateEntry(request, options: .failingFast).results
                }
                return whole
            }
            let failures = response.results.filter { $0.status.code != 0 }
            format.write(json: response.json) {
                let made = response.results.filter { $0.status.code == 0 }.map { result in
                    // An entry made without a parent serves on every node: say so, since nobody asked for it in words.
                    let everywhere = result.entry.parentID.path == "/agentshield/any-node"
                    return result.entry.pretty + (everywhere ? "Note: no -parentID, so every node may serve it.\n" : "")
                }
                return made.joined(separator: "\n")
            }
            if let first = failures.first {
                throw CommandFailure("\(counted(failures.count, "entry", "entries")) not made: \(first.status.message)")
            }
        }
    }

    struct Update: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Replaces an entry.")

        @OptionGroup var fields: EntryFields
        @Option(name: .flag("entryID"), help: "ID of the entry.")
        var entryID: String?
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let entries: [Spire_Api_Types_Entry]
            if let file = fields.data {
                entries = try EntryFile.read(file)
            } else {
                guard let entryID else { throw CommandFailure("-entryID is needed") }
                entries = [try fields.entry(id: entryID)]
            }
            let response = try await admin.withControlPlane { client in
                var whole = Spire_Api_Server_Entry_V1_BatchUpdateEntryResponse()
                for batch in EntryFile.batches(entries) {
                    var request = Spire_Api_Server_Entry_V1_BatchUpdateEntryRequest()
                    request.entries = batch
                    request.allowAnyLauncher = fields.allowAnyLauncher
                    whole.results += try await client.entries
                        .batchUpdateEntry(request, options: .failingFast).results
                }
                return whole
            }
            let failures = response.results.filter { $0.status.code != 0 }
            format.write(json: response.json) {
                response.results.filter { $0.status.code == 0 }.map(\.entry.pretty).joined(separator: "\n")
            }
            if let first = failures.first {
                throw CommandFailure(
                    "\(counted(failures.count, "entry", "entries")) not updated: \(first.status.message)")
            }
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Deletes an entry.")

        @Option(name: .flag("entryID"), help: "ID of the entry; repeat for more.")
        var entryIDs: [String] = []
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            guard !entryIDs.isEmpty else { throw CommandFailure("-entryID is needed") }
            var request = Spire_Api_Server_Entry_V1_BatchDeleteEntryRequest()
            request.ids = entryIDs
            let prepared = request
            let response = try await admin.withControlPlane { client in
                try await client.entries
                    .batchDeleteEntry(prepared, options: .failingFast)
            }
            format.write(
                json: [
                    "results": .array(response.results.map { ["status": $0.status.json, "id": .string($0.id)] })
                ]
            ) {
                response.results.filter { $0.status.code == 0 }.map { "Deleted entry with ID: \($0.id)" }
                    .joined(separator: "\n")
            }
            if let failure = response.results.first(where: { $0.status.code != 0 }) {
                throw CommandFailure("entry `\(failure.id)` not deleted: \(failure.status.message)")
            }
        }
    }
}

extension Spire_Api_Server_Entry_V1_BatchCreateEntryResponse {
    var json: JSONValue {
        ["results": .array(results.map { ["status": $0.status.json, "entry": $0.entry.json] })]
    }
}

extension Spire_Api_Server_Entry_V1_BatchUpdateEntryResponse {
    var json: JSONValue {
        ["results": .array(results.map { ["status": $0.status.json, "entry": $0.entry.json] })]
    }
}
