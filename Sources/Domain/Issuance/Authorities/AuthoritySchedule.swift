package import SPIFFE

/// When an authority's life calls for an act: pure rules, the ones that SPIRE follows.
package enum AuthoritySchedule {
    /// From here on a next authority should stand prepared: half of the life is over, at most 30 days before the end.
    package static func preparation(of record: AuthorityRecord) -> UnixTime {
        threshold(of: record, part: 2, atMost: 30 * day)
    }

    /// From here on the next authority should sign: the last sixth of the life, at most 7 days before the end.
    package static func activation(of record: AuthorityRecord) -> UnixTime {
        threshold(of: record, part: 6, atMost: 7 * day)
    }

    /// From here on the authority no longer belongs in the bundle: a day after its end, when nothing that it signed can
    /// be valid under any clock that is worth trusting.
    package static func pruning(of record: AuthorityRecord) -> UnixTime {
        record.notAfter.adding(milliseconds: day)
    }

    private static func threshold(of record: AuthorityRecord, part: Int64, atMost: Int64) -> UnixTime {
        let life = max(0, record.notAfter.milliseconds(since: record.createdAt))
        return record.notAfter.adding(milliseconds: -min(life / part, atMost))
    }

    /// A day in milliseconds.
    private static let day: Int64 = 86_400_000
}
