package import SPIFFE

/// When an authority's life calls for an act: pure rules, the ones that SPIRE follows.
///
/// Keys of agent cards differ: they sign for the first half of their life and verify for all of it, so that every card is good
/// for half of it at least.
package enum AuthoritySchedule {
    /// From here on a next authority should stand prepared: half of the life is over, at most 30 days before the end.
    package static func preparation(of record: AuthorityRecord) -> UnixTime {
        if record.kind == .card {
            return activation(of: record).adding(milliseconds: -min(life(of: record) / 8, 30 * day))
        }
        return threshold(of: record, part: 2, atMost: 30 * day)
    }

    /// From here on the next authority should sign: the last sixth of the life, at most 7 days before the end.
    package static func activation(of record: AuthorityRecord) -> UnixTime {
        if record.kind == .card { return record.notAfter.adding(milliseconds: -life(of: record) / 2) }
        return threshold(of: record, part: 6, atMost: 7 * day)
    }

    /// From here on the authority no longer belongs in the bundle: a day after its end, when nothing that it signed can
    /// be valid under any clock that is worth trusting.
    package static func pruning(of record: AuthorityRecord) -> UnixTime {
        record.notAfter.adding(milliseconds: day)
    }

    private static func threshold(of record: AuthorityRecord, part: Int64, atMost: Int64) -> UnixTime {
        record.notAfter.adding(milliseconds: -min(life(of: record) / part, atMost))
    }

    private static func life(of record: AuthorityRecord) -> Int64 {
        max(0, record.notAfter.milliseconds(since: record.createdAt))
    }

    /// A day in milliseconds.
    private static let day: Int64 = 86_400_000
}
