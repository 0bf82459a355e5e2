import SPIFFE

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The small file that says which spool this is and which record was acknowledged last.
struct SpoolPosition {
    let name: String
    /// Last acknowledged record, 0 for none.
    let sequence: UInt64
    /// Its hash; empty for none.
    let hash: [UInt8]

    static func path(in directory: String) -> String { directory + "/position" }

    /// Reads the file, or begins a new spool where there is none.
    static func load(inDirectory directory: String, freshName: String) throws(SpoolError) -> SpoolPosition {
        let path = path(in: directory)
        let bytes: [UInt8]
        do throws(SpoolError) {
            bytes = try SpoolFile(path: path, flags: O_RDONLY).readAll()
        } catch {
            guard error == .system(call: "open", errno: ENOENT) else { throw error }
            // Records without a position are the rest of a spool that somebody took apart.
            let names = try SpoolFile.names(in: directory)
            guard !names.contains(where: { $0.hasPrefix("records-") }) else { throw .damaged(file: path) }
            let fresh = SpoolPosition(name: freshName, sequence: 0, hash: [])
            try fresh.save(inDirectory: directory)
            return fresh
        }
        guard let position = SpoolPosition(bytes) else { throw .damaged(file: path) }
        return position
    }

    func save(inDirectory directory: String) throws(SpoolError) {
        let text = "\(Self.header)\n\(name)\n\(sequence)\n\(HexText.encode(hash))\n"
        try SpoolFile.replace(Self.path(in: directory), with: Array(text.utf8), inDirectory: directory)
    }

    init(name: String, sequence: UInt64, hash: [UInt8]) {
        self.name = name
        self.sequence = sequence
        self.hash = hash
    }

    private init?(_ bytes: [UInt8]) {
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        guard lines.count == 5, lines[0] == Self.header, lines[1].utf8.count == 32, lines[4].isEmpty,
            let sequence = UInt64(lines[2]), sequence <= SpoolRecord.maximumSequence,
            let hash = HexText.decode(lines[3]), hash.count == (sequence == 0 ? 0 : SpoolRecord.hashBytes)
        else { return nil }
        self.init(name: lines[1], sequence: sequence, hash: hash)
    }

    private static let header = "agentshield-spool-v1"
}
