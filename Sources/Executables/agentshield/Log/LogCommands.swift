import ArgumentParser
import JOSE
import TransparencyLog

struct Log: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The audit log: read it, prove an entry, verify all of it.",
        subcommands: [List.self, Show.self, Checkpoint.self, Prove.self, Verify.self])
}

extension Log {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists entries, one a line.")

        @Option(name: .flag("first"), help: "Index of the first entry (default: so that the last ones show).")
        var first: Int64?
        @Option(name: .flag("count"), help: "How many entries at most.")
        var count: Int = 50
        @Option(name: .flag("type"), help: "Only events of this type or family, such as svid.x509.issue or svid.")
        var type: String?
        @OptionGroup var log: LogOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            guard count > 0 else { throw CommandFailure("-count must be positive") }
            let first = first
            let count = count
            let type = type
            let found = try await log.withLog { log in
                let size = try await log.info().size
                var index = first ?? (type == nil ? max(0, size - Int64(count)) : 0)
                guard index >= 0 else { throw CommandFailure("-first must not be negative") }
                var found: [LogLine] = []
                while index < size {
                    let entries = try await log.entries(from: index, count: min(256, Int(clamping: size - index)))
                    guard !entries.isEmpty else { break }
                    for entry in entries {
                        let line = LogLine(index: index, entry: entry)
                        if type.map({ line.type == $0 || line.type.hasPrefix("\($0).") }) ?? true { found.append(line) }
                        index += 1
                        // Without a first index the newest entries are wanted.
                        if found.count > count, first == nil { found.removeFirst() }
                        if found.count == count, first != nil { return found }
                    }
                }
                return found
            }
            format.write(json: ["entries": .array(found.map(\.json))]) { LogLine.table(found) }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows one entry whole.")

        @Argument(help: "Index of the entry.")
        var index: Int64
        @OptionGroup var log: LogOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let index = index
            guard index >= 0 else { throw CommandFailure("the index must not be negative") }
            let entry = try await log.withLog { log in
                try await log.entries(from: index, count: 1).first
            }
            guard let entry else { throw CommandFailure("there is no entry \(index)") }
            let line = LogLine(index: index, entry: entry)
            format.write(json: line.json) { line.details }
        }
    }

    struct Checkpoint: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Prints the latest signed checkpoint.")

        @OptionGroup var log: LogOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let (note, info) = try await log.withLog { log in (try await log.checkpoint(), try await log.info()) }
            format.write(
                json: [
                    "checkpoint": .string(String(decoding: note, as: UTF8.self)), "origin": .string(info.origin),
                    "vkey": .string(info.vkey),
                ]
            ) { String(decoding: note, as: UTF8.self) }
        }
    }

    struct Prove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Writes a proof file for one entry, which verifies offline (C2SP tlog-proof).")

        @Argument(help: "Index of the entry.")
        var index: Int64
        @Option(name: .flag("write"), help: "Directory for INDEX.tlog-proof and INDEX.json instead of the terminal.")
        var directory: String?
        @OptionGroup var log: LogOptions

        func run() async throws {
            let index = index
            guard index >= 0 else { throw CommandFailure("the index must not be negative") }
            let (proof, entry, vkey) = try await log.withLog { log in
                let made = try await log.proof(of: index)
                return (made.proof, made.entry, try await log.info().vkey)
            }
            guard let directory else {
                Terminal.printBytes(proof)
                return
            }
            try LocalFile.write(proof, to: "\(directory)/\(index).tlog-proof", mode: 0o644)
            try LocalFile.write(entry, to: "\(directory)/\(index).json", mode: 0o644)
            Terminal.print(
                "Proof written to \(directory)/\(index).tlog-proof\nEntry written to \(directory)/\(index).json\n"
                    + "Log key: \(vkey)")
        }
    }
}
