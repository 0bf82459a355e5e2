import SPIFFE
import Synchronization

/// Answers of the account database, remembered for a few seconds: a workload that calls often must not have it read
/// each time.
///
/// A name that changes hands is seen within ``lifetime``. The selectors `uid` and `gid` are always the kernel's own word.
final class AccountNameCache: Sendable {
    /// How long an answer is believed, in milliseconds.
    static let lifetime: Int64 = 5000
    /// Answers that are kept; when there are more, all are asked for again.
    static let limit = 4096

    private enum Key: Hashable {
        case user(UInt32)
        case group(UInt32)
    }

    private struct Answer {
        let name: String?
        let askedAt: UnixTime
    }

    private let answers = Mutex<[Key: Answer]>([:])

    /// The name of a user; nil when the database has none or cannot answer.
    func user(_ uid: UInt32, at time: UnixTime) -> String? {
        name(.user(uid), at: time) { AccountNames.user(uid) }
    }

    /// The name of a group; nil when the database has none or cannot answer.
    func group(_ gid: UInt32, at time: UnixTime) -> String? {
        name(.group(gid), at: time) { AccountNames.group(gid) }
    }

    /// Whether all of these can be answered now without asking.
    func holds(user uid: UInt32, groups: [UInt32], at time: UnixTime) -> Bool {
        answers.withLock { answers in
            Self.isFresh(answers[.user(uid)], time) && groups.allSatisfy { Self.isFresh(answers[.group($0)], time) }
        }
    }

    private func name(_ key: Key, at time: UnixTime, _ ask: () -> String?) -> String? {
        if let answer = answers.withLock({ $0[key] }), Self.isFresh(answer, time) { return answer.name }
        let name = ask()
        answers.withLock { answers in
            if answers.count >= Self.limit { answers.removeAll(keepingCapacity: true) }
            answers[key] = Answer(name: name, askedAt: time)
        }
        return name
    }

    /// A clock that was set back makes an answer as old as one that was set forward.
    private static func isFresh(_ answer: Answer?, _ time: UnixTime) -> Bool {
        guard let answer else { return false }
        return (0..<lifetime).contains(time.milliseconds(since: answer.askedAt))
    }
}
