import Crypto
import JOSE

/// Identifiers that were used and must not be used again until they end (RFC 9449 §11.1, RFC 7523 §3). It holds digests,
/// so a long identifier costs no more than a short one.
///
/// When it is full it remembers nothing more and takes nothing more: an identifier that cannot be remembered is refused.
package struct ReplayCache: Sendable {
    /// What came of an identifier.
    package enum Outcome: Sendable, Equatable {
        /// Not seen before; it is remembered now.
        case fresh
        /// Seen before.
        case replayed
        /// Its end has come, by this clock or by an earlier look at it.
        case ended
        /// There is no room for it.
        case full
    }

    /// The most identifiers that are remembered at a time.
    package let capacity: Int

    private var known: Set<Digest> = []
    /// A heap, the earliest end first.
    /// INVARIANT: the same identifiers as in `known`.
    private var byEnd: [(end: Int64, digest: Digest)] = []
    /// The latest time that was seen: what has been forgotten at it must not come back when the clock is set back.
    private var latest = Int64.min

    /// An empty cache.
    package init(capacity: Int) {
        self.capacity = max(capacity, 0)
    }

    /// How many identifiers are remembered.
    package var count: Int { known.count }

    /// Takes an identifier for the first time, or says why not. The same identifier of another holder is another one.
    ///
    /// - Parameters:
    ///   - holder: who made it up: a key's thumbprint, or an issuer.
    ///   - until: from when on it would be refused anyway, seconds since 1970.
    package mutating func insert(_ identifier: String, of holder: [UInt8], until: Int64, now: Int64) -> Outcome {
        latest = max(latest, now)
        forgetEnded()
        guard until > latest else { return .ended }
        let digest = Digest(identifier, of: holder)
        guard !known.contains(digest) else { return .replayed }
        guard known.count < capacity else { return .full }
        known.insert(digest)
        push((until, digest))
        return .fresh
    }

    /// Whether an identifier of a holder is remembered, as of the latest time that was seen.
    package func contains(_ identifier: String, of holder: [UInt8]) -> Bool {
        known.contains(Digest(identifier, of: holder))
    }

    /// Whether nothing is left that has not ended at this time.
    package mutating func isEmpty(at now: Int64) -> Bool {
        latest = max(latest, now)
        forgetEnded()
        return known.isEmpty
    }

    private mutating func forgetEnded() {
        while let first = byEnd.first, first.end <= latest {
            known.remove(first.digest)
            pop()
        }
    }

    private mutating func push(_ entry: (end: Int64, digest: Digest)) {
        byEnd.append(entry)
        var place = byEnd.count - 1
        while place > 0, byEnd[place].end < byEnd[(place - 1) / 2].end {
            byEnd.swapAt(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    private mutating func pop() {
        byEnd.swapAt(0, byEnd.count - 1)
        byEnd.removeLast()
        var place = 0
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2] where child < byEnd.count && byEnd[child].end < byEnd[least].end
            {
                least = child
            }
            if least == place { return }
            byEnd.swapAt(place, least)
            place = least
        }
    }

    /// SHA-256 over the holder's length, the holder and the identifier, as four words.
    private struct Digest: Hashable, Sendable {
        private let words: (UInt64, UInt64, UInt64, UInt64)

        init(_ identifier: String, of holder: [UInt8]) {
            let length = UInt64(holder.count)
            var input = (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * UInt64($0))) }
            input.reserveCapacity(8 + holder.count + identifier.utf8.count)
            input += holder
            input += Array(identifier.utf8)
            let digest = [UInt8](SHA256.hash(bytes: input))
            let word = { (index: Int) in
                digest[(8 * index)..<(8 * index + 8)].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            }
            words = (word(0), word(1), word(2), word(3))
        }

        static func == (left: Digest, right: Digest) -> Bool { left.words == right.words }

        func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
    }
}
