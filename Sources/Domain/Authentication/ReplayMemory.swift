package import OAuth
import Synchronization

/// What each sender has shown once and must not show again, apart for each: a sender that fills its memory locks out nobody but
/// itself.
///
/// Senders belong to groups, such as those of one trust domain, and a group has a limit too: however many senders somebody makes up,
/// they take up no more, and lock out nobody of another group.
package final class ReplayMemory: Sendable {
    fileprivate struct Group {
        var senders: [String: ReplayCache] = [:]
        /// How many identifiers there are at most: those that have ended count until the next sweep.
        var count = 0
        var lastSweep = Int64.min

        mutating func sweep(at now: Int64) {
            senders = senders.compactMapValues { cache in
                var cache = cache
                return cache.isEmpty(at: now) ? nil : cache
            }
            count = senders.values.reduce(0) { $0 + $1.count }
            lastSweep = now
        }
    }

    private let capacity: Int
    private let groupCapacity: Int
    // Guards the memories by group and sender. Only senders that are known get one.
    private let groups = Mutex<[String: Group]>([:])

    /// From so many senders on, memories in which everything has ended are dropped.
    fileprivate static let sweepFrom = 1024

    /// - Parameters:
    ///   - capacity: the most identifiers of one sender at a time.
    ///   - groupCapacity: the most identifiers of one group; without it the number of senders has to have a limit elsewhere.
    package init(capacity: Int, groupCapacity: Int = .max) {
        self.capacity = capacity
        self.groupCapacity = groupCapacity
    }

    /// Takes an identifier of a sender for the first time, or says why not.
    package func insert(
        _ identifier: String, of holder: [UInt8], sender: String, group: String = "", until: Int64, now: Int64
    ) -> ReplayCache.Outcome {
        groups.withLock { groups in
            groups[group, default: Group()].insert(
                identifier, of: holder, sender: sender, until: until, now: now, capacity, groupCapacity)
        }
    }
}

extension ReplayMemory.Group {
    fileprivate mutating func insert(
        _ identifier: String, of holder: [UInt8], sender: String, until: Int64, now: Int64, _ capacity: Int,
        _ groupCapacity: Int
    ) -> ReplayCache.Outcome {
        if senders[sender] == nil, senders.count >= ReplayMemory.sweepFrom, senders.count.isMultiple(of: 64) {
            sweep(at: now)
        }
        if count >= groupCapacity {
            // Once a second is enough: nothing ends in between.
            if lastSweep != now { sweep(at: now) }
            guard count < groupCapacity else { return .full }
        }
        let outcome = senders[sender, default: ReplayCache(capacity: capacity)].insert(
            identifier, of: holder, until: until, now: now)
        if outcome == .fresh { count += 1 }
        return outcome
    }
}
