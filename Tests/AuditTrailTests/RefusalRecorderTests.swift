import AgentShieldTesting
import AuditTrail
import SPIFFE
import Synchronization
import Testing

struct RefusalRecorderTests {
    private func refusal(_ number: Int) -> AuditEvent {
        var refusal = event(number, type: .requestRefuse)
        refusal.agent = AuditEvent.AgentField(authMethod: .none)
        refusal.decision = AuditEvent.DecisionField(action: "attest", result: .deny, reason: "bad token")
        return refusal
    }

    /// Records refusals, ends the interval, and gives the events that the log holds then.
    private func flood(
        _ limits: RefusalRecorder.Limits = RefusalRecorder.Limits(),
        _ body: @Sendable (RefusalRecorder) -> Void
    ) async throws -> [AuditEvent] {
        let fixture = try LogFixture()
        let log = try await fixture.open()
        let recorder = RefusalRecorder(
            log: log, limits: limits, now: testNow, sleep: { _ in try await Task.sleep(for: .seconds(3600)) })
        try await withRunning(log) {
            body(recorder)
            let service = Task { try await recorder.run() }
            // Single records come by themselves; the counted ones come when the recorder stops.
            for _ in 0..<100 { await Task.yield() }
            service.cancel()
            try await service.value
        }
        try await fixture.verify()
        return try await fixture.events()
    }

    private func total(_ events: [AuditEvent]) -> Int64 { events.reduce(0) { $0 + ($1.counted ?? 1) } }

    @Test func `a few refusals are recorded singly`() async throws {
        let events = try await flood { recorder in
            for number in 0..<5 { recorder.record(refusal(number), source: "127.0.0.1", kind: "attest") }
        }
        #expect(events.count == 5)
        #expect(events.allSatisfy { $0.counted == nil && $0.decision.result == .deny })
    }

    @Test func `a flood of one source becomes a few records and one count`() async throws {
        let events = try await flood { recorder in
            for number in 0..<10_000 { recorder.record(refusal(number), source: "127.0.0.1", kind: "attest") }
        }
        #expect(events.count == 6)
        #expect(events.compactMap(\.counted) == [9995])
    }

    @Test func `a flood of many sources is bounded and counted as a whole`() async throws {
        let limits = RefusalRecorder.Limits()
        let events = try await flood(limits) { recorder in
            for number in 0..<20_000 { recorder.record(refusal(number), source: "10.0.\(number)", kind: "attest") }
        }
        #expect(events.count <= limits.singleInTotal + limits.sources + 1)
        #expect(total(events) == 20_000)
    }

    @Test func `kinds of one source are told apart`() async throws {
        let limits = RefusalRecorder.Limits(singlePerSource: 1)
        let events = try await flood(limits) { recorder in
            for kind in ["attest", "renew"] {
                for number in 0..<10 { recorder.record(refusal(number), source: "127.0.0.1", kind: kind) }
            }
        }
        #expect(events.count == 4)
        #expect(events.compactMap(\.counted) == [9, 9])
    }

    @Test func `a short queue counts what it cannot hold`() async throws {
        let limits = RefusalRecorder.Limits(singlePerSource: 100, queued: 3)
        let events = try await flood(limits) { recorder in
            for number in 0..<50 { recorder.record(refusal(number), source: "127.0.0.1", kind: "attest") }
        }
        #expect(events.count == 4)
        #expect(events.compactMap(\.counted) == [47])
    }

    @Test func `each interval starts anew and names what the log refused before`() async throws {
        let plan = FaultPlan()
        let fixture = try LogFixture(store: FaultyAuditStore(MemoryAuditStore(), plan: plan))
        let log = try await fixture.open()
        let ticks = AsyncStream<Void>.makeStream()
        let slept = Collected<Duration>()
        let recorder = RefusalRecorder(
            log: log, limits: RefusalRecorder.Limits(singlePerSource: 1), now: testNow,
            sleep: { duration in
                slept.append(duration)
                var iterator = ticks.stream.makeAsyncIterator()
                guard await iterator.next() != nil else { throw CancellationError() }
            })
        try await withRunning(log) {
            let service = Task { try await recorder.run() }
            recorder.record(refusal(0), source: "a", kind: "k")
            while log.size < 1 { await Task.yield() }
            recorder.record(refusal(1), source: "a", kind: "k")
            plan.arm(.before)
            ticks.continuation.yield()
            // The counted record fails; the second interval begins when the recorder sleeps again.
            while slept.all.count < 2 { await Task.yield() }
            recorder.record(refusal(2), source: "a", kind: "k")
            while log.size < 2 { await Task.yield() }
            ticks.continuation.yield()
            while log.size < 3 { await Task.yield() }
            service.cancel()
            ticks.continuation.finish()
            try await service.value
        }
        let events = try await fixture.events()
        #expect(events.map(\.counted) == [nil, nil, 1])
        #expect(slept.all.first == .seconds(60))
    }
}
