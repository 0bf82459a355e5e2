import A2A
import AgentTasks
import OAuth
import Synchronization

/// Notifications that wait for their receivers, within limits.
package final class PushQueue: Sendable {
    /// One URL of one caller: callers do not get in each other's way, even where they name the same place.
    struct Receiver: Hashable, Sendable {
        let scope: TaskScope
        let url: String
    }

    struct Item: Sendable {
        let event: PublishedEvent
        let taskID: String
        let config: PushNotificationConfig
        let key: String
    }

    /// What may wait.
    package struct Limits: Sendable {
        /// Events of one receiver; the oldest makes room.
        package var perReceiver = 256
        /// Events of all receivers.
        package var events = 10_000
        /// Bytes of these events.
        package var bytes = 64 << 20
        /// Receivers that are sent to at once.
        package var receivers = 1000

        package init() {}
    }

    /// What became of events.
    package struct Counts: Sendable, Equatable {
        package var delivered = 0
        package var givenUp = 0
        package var dropped = 0

        package init(delivered: Int = 0, givenUp: Int = 0, dropped: Int = 0) {
            self.delivered = delivered
            self.givenUp = givenUp
            self.dropped = dropped
        }
    }

    fileprivate struct Waiting {
        var items: [Item] = []
        var dropped = 0
    }

    fileprivate struct State {
        /// INVARIANT: a receiver is here exactly as long as somebody serves it.
        var receivers: [Receiver: Waiting] = [:]
        var events = 0
        var bytes = 0
        var overflowed = 0
        var counts = Counts()
    }

    private let limits: Limits
    private let state = Mutex(State())

    init(_ limits: Limits) {
        self.limits = limits
    }

    package var counts: Counts { state.withLock { $0.counts } }

    /// Takes an event, for which others of the receiver may have to go; true when the caller has to have the receiver served.
    func add(_ item: Item, for receiver: Receiver) -> Bool {
        let size = item.event.json.count
        return state.withLock { state in
            let begins = state.receivers[receiver] == nil
            if begins && state.receivers.count >= limits.receivers {
                state.overflow()
                return false
            }
            var waiting = state.receivers[receiver] ?? Waiting()
            while !waiting.items.isEmpty,
                waiting.items.count >= limits.perReceiver || !state.hasRoom(for: size, limits)
            {
                state.remove(waiting.items.removeFirst())
                waiting.dropped += 1
                state.counts.dropped += 1
            }
            if state.hasRoom(for: size, limits) {
                waiting.items.append(item)
                state.events += 1
                state.bytes += size
            } else {
                state.overflow()
            }
            // A receiver for which there was no room is not begun.
            guard !begins || !waiting.items.isEmpty else { return false }
            state.receivers[receiver] = waiting
            return begins
        }
    }

    /// The oldest event of a receiver with the number of those that were dropped; `nil` when its service ends.
    func next(of receiver: Receiver) -> (item: Item, dropped: Int, overflowed: Int)? {
        state.withLock { state in
            guard var waiting = state.receivers[receiver], !waiting.items.isEmpty else {
                state.receivers[receiver] = nil
                return nil
            }
            let item = waiting.items.removeFirst()
            state.remove(item)
            defer { state.overflowed = 0 }
            let dropped = waiting.dropped
            waiting.dropped = 0
            state.receivers[receiver] = waiting
            return (item, dropped, state.overflowed)
        }
    }

    func count(isDelivered: Bool) {
        state.withLock { state in
            if isDelivered { state.counts.delivered += 1 } else { state.counts.givenUp += 1 }
        }
    }

    /// What may be said of a URL where others read it.
    static func host(of url: String) -> String { (try? WebURL(url))?.host ?? "" }
}

extension PushQueue.State {
    fileprivate func hasRoom(for size: Int, _ limits: PushQueue.Limits) -> Bool {
        events < limits.events && bytes + size <= limits.bytes
    }

    fileprivate mutating func remove(_ item: PushQueue.Item) {
        events -= 1
        bytes -= item.event.json.count
    }

    fileprivate mutating func overflow() {
        overflowed += 1
        counts.dropped += 1
    }
}
