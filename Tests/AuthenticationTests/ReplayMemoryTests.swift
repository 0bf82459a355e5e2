import Authentication
import OAuth
import Testing

@Suite struct ReplayMemoryTests {
    private func take(
        _ memory: ReplayMemory, _ name: String, of sender: String, in group: String = "g", until: Int64 = 100,
        now: Int64 = 0
    ) -> ReplayCache.Outcome {
        memory.insert(name, of: [], sender: sender, group: group, until: until, now: now)
    }

    @Test func `each sender has names of its own, and counts them once`() {
        let memory = ReplayMemory(capacity: 8)
        #expect(take(memory, "1", of: "a") == .fresh)
        #expect(take(memory, "1", of: "a") == .replayed)
        #expect(take(memory, "1", of: "b") == .fresh)
        #expect(take(memory, "1", of: "a", in: "other") == .fresh)
        #expect(take(memory, "2", of: "a", until: 5, now: 5) == .ended)
    }

    @Test func `a sender that fills its memory locks out nobody else`() {
        let memory = ReplayMemory(capacity: 2)
        for name in ["1", "2"] { #expect(take(memory, name, of: "a") == .fresh) }
        #expect(take(memory, "3", of: "a") == .full)
        #expect(take(memory, "3", of: "b") == .fresh)
        #expect(take(memory, "3", of: "a", until: 200, now: 100) == .fresh)
    }

    @Test func `a group has a limit however many senders it has, until something ends`() {
        let memory = ReplayMemory(capacity: 8, groupCapacity: 3)
        for sender in ["a", "b", "c"] { #expect(take(memory, "1", of: sender) == .fresh) }
        #expect(take(memory, "1", of: "d") == .full)
        #expect(take(memory, "1", of: "a") == .full)
        #expect(take(memory, "1", of: "d", in: "other") == .fresh)
        #expect(take(memory, "1", of: "d", until: 200, now: 99) == .full)
        for sender in ["d", "e", "f"] { #expect(take(memory, "1", of: sender, until: 200, now: 100) == .fresh) }
        #expect(take(memory, "1", of: "g", until: 200, now: 100) == .full)
    }

    @Test func `senders of whom everything has ended are forgotten, the others not`() {
        let memory = ReplayMemory(capacity: 8)
        for number in 0..<3000 { #expect(take(memory, "1", of: "early \(number)", until: 10) == .fresh) }
        #expect(take(memory, "1", of: "late", until: 100, now: 9) == .fresh)
        for number in 0..<3000 { #expect(take(memory, "1", of: "new \(number)", until: 100, now: 50) == .fresh) }
        #expect(take(memory, "1", of: "late", until: 100, now: 50) == .replayed)
    }
}
