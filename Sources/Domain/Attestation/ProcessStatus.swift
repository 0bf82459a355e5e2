/// What attestation needs of `/proc/PID/status`, proc(5).
struct ProcessStatus: Hashable {
    /// More supplementary groups than this are refused; only a privileged process can have many.
    static let maximumGroups = 1024

    /// Longest accepted file in bytes: the kernel allows 65,536 groups of up to ten digits.
    static let maximumLength = 1 << 20

    let effectiveUID: UInt32
    let effectiveGID: UInt32

    /// Supplementary groups in the kernel's order.
    let groups: [UInt32]

    init(directory: OwnedDescriptor) throws(WorkloadAttestationError) {
        try self.init(parsing: try directory.readFile("status", limit: Self.maximumLength))
    }

    init(parsing content: [UInt8]) throws(WorkloadAttestationError) {
        var uid: UInt32?
        var gid: UInt32?
        var groups: [UInt32]?
        // The kernel escapes line ends in the process name, so a line start is one.
        var start = content.startIndex
        while start < content.endIndex, groups == nil || uid == nil || gid == nil {
            let end = content[start...].firstIndex(of: UInt8(ascii: "\n")) ?? content.endIndex
            // Most of the some fifty lines are not looked at further than this.
            if content[start] == UInt8(ascii: "U") || content[start] == UInt8(ascii: "G") {
                let line = content[start..<end]
                if uid == nil, line.starts(with: "Uid:".utf8) {
                    uid = try Self.effective(line)
                } else if gid == nil, line.starts(with: "Gid:".utf8) {
                    gid = try Self.effective(line)
                } else if groups == nil, line.starts(with: "Groups:".utf8) {
                    groups = try Self.numbers(line)
                }
            }
            start = end < content.endIndex ? end + 1 : end
        }
        guard let uid, let gid, let groups else { throw .procMalformed }
        effectiveUID = uid
        effectiveGID = gid
        self.groups = groups
    }

    /// The second of real, effective, saved and file-system ID.
    private static func effective(_ line: ArraySlice<UInt8>) throws(WorkloadAttestationError) -> UInt32 {
        let ids = try numbers(line)
        guard ids.count == 4 else { throw .procMalformed }
        return ids[1]
    }

    private static func numbers(_ line: ArraySlice<UInt8>) throws(WorkloadAttestationError) -> [UInt32] {
        var result: [UInt32] = []
        let words = line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }.dropFirst()
        guard words.count <= maximumGroups else { throw .tooManyGroups }
        for word in words {
            guard let number = UInt32(decimalDigits: word) else { throw .procMalformed }
            result.append(number)
        }
        return result
    }
}

/// What attestation needs of `/proc/PID/stat`, proc(5).
struct ProcessStat: Hashable {
    /// Longest accepted file in bytes; it has some 52 numbers and a name of up to 64 bytes.
    static let maximumLength = 8192

    /// The state letter: `Z` and `X` mean that the process has ended.
    let state: UInt8

    /// Field 4: the parent, or the subreaper that took the parent's place; 0 for the first process.
    let parentPID: Int32

    /// Clock ticks since boot, field 22.
    let startTime: UInt64

    var isRunning: Bool { state != UInt8(ascii: "Z") && state != UInt8(ascii: "X") && state != UInt8(ascii: "x") }

    init(directory: OwnedDescriptor) throws(WorkloadAttestationError) {
        try self.init(parsing: try directory.readFile("stat", limit: Self.maximumLength))
    }

    init(parsing content: [UInt8]) throws(WorkloadAttestationError) {
        // The name in parentheses is the process's own choice and may hold spaces, line ends and parentheses.
        guard let end = content.lastIndex(of: UInt8(ascii: ")")) else { throw .procMalformed }
        let fields = content[content.index(after: end)...].split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
        // Field 3, the state, is the first one after the name.
        guard fields.count > 19, let state = fields[0].first, fields[0].count == 1,
            let parentPID = Int32(decimalDigits: fields[1]), let startTime = UInt64(decimalDigits: fields[19])
        else { throw .procMalformed }
        self.state = state
        self.parentPID = parentPID
        self.startTime = startTime
    }
}

extension FixedWidthInteger {
    /// A number of decimal digits and nothing else; nil when it does not fit.
    init?(decimalDigits digits: ArraySlice<UInt8>) {
        guard !digits.isEmpty, digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return nil
        }
        self.init(String(decoding: digits, as: UTF8.self))
    }
}
