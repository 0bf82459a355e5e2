import ArgumentParser

extension Entry {
    struct History: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tells from the audit log who made, changed and removed an entry, or was refused it.",
            discussion: "The log holds a hash of what was written, and the revision that it became; not the fields.")

        @Option(name: .flag("entryID"), help: "Only this entry, which need not exist any more.")
        var entryID: String?
        @OptionGroup var log: LogOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let entryID = entryID
            try await log.showHistory(format) { line in
                line.type.hasPrefix("entry.") && (entryID == nil || line.text("resource", "id") == entryID)
            }
        }
    }
}

extension Bundle {
    struct History: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tells from the audit log who changed a trust bundle: our authorities, or those of others.")

        @Option(
            name: .flag("id"), help: "Only the bundle of this other trust domain (default: our own and all others).")
        var id: String?
        @OptionGroup var log: LogOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let name = try id.map { try parseTrustDomain($0, "-id").name }
            try await log.showHistory(format) { line in
                guard line.type.hasPrefix("bundle.") || line.type.hasPrefix("authority.") else { return false }
                return name == nil || line.text("resource", "id") == name
            }
        }
    }
}
