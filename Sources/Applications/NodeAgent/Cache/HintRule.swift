/// Hints are unique in a response (SPIFFE Workload API, X.509-SVID profile): of two entries with one hint the older one
/// stays, of equally old ones that with the smaller ID.
enum HintRule {
    /// Sorts the entries into the order of responses and leaves out those whose hint is taken.
    static func apply(to entries: [AuthorizedEntry]) -> (kept: [AuthorizedEntry], dropped: [AuthorizedEntry]) {
        var taken: Set<String> = []
        var kept: [AuthorizedEntry] = []
        var dropped: [AuthorizedEntry] = []
        for entry in entries.sorted(by: AuthorizedEntry.precedes) {
            if entry.hint.isEmpty || taken.insert(entry.hint).inserted {
                kept.append(entry)
            } else {
                dropped.append(entry)
            }
        }
        return (kept, dropped)
    }
}
