import SPIFFE

/// The rules for the DNS names of one entry as a list.
enum DNSNameRules {
    /// Checks every name, their number, and that no wildcard covers another name of the list.
    static func check(_ names: [String]) throws(EntryError) {
        guard names.count <= EntryLimits.dnsNames else { throw .tooManyDNSNames }
        var wildcards: Set<String> = []
        for name in names {
            guard DNSName.isValid(name) else { throw .badDNSName(name) }
            if name.utf8.starts(with: "*.".utf8) { wildcards.insert(name.dropFirst(2).lowercased()) }
        }
        guard !wildcards.isEmpty else { return }
        for name in names where !name.utf8.starts(with: "*.".utf8) {
            guard let dot = name.utf8.firstIndex(of: UInt8(ascii: ".")) else { continue }
            let rest = name[name.utf8.index(after: dot)...]
            guard !wildcards.contains(rest.lowercased()) else { throw .overlappingDNSName(name) }
        }
    }
}
