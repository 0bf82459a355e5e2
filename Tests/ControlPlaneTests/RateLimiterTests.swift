import ControlPlane
import GRPCCore
import SPIFFE
import Synchronization
import Testing

@Suite("Rate limits")
struct RateLimiterTests {
    /// A clock that stands, and what was slept.
    private final class Time: Sendable {
        let now = Mutex(UnixTime(milliseconds: 1_000_000))
        let slept = Mutex<[Duration]>([])

        func limiter(_ perSecond: Int?) -> RateLimiter {
            RateLimiter(
                perSecond: perSecond, now: { self.now.withLock { $0 } },
                sleep: { duration in self.slept.withLock { $0.append(duration) } })
        }

        func pass(_ milliseconds: Int64) {
            now.withLock { $0 = UnixTime(milliseconds: $0.milliseconds + milliseconds) }
        }

        var waits: [Duration] { slept.withLock { $0 } }
    }

    private func code(_ body: () async throws -> Void) async -> RPCError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? RPCError)?.code
        }
    }

    @Test func `a call above the rate waits for its turn`() async throws {
        let time = Time()
        let limiter = time.limiter(2)
        for _ in 0..<4 { try await limiter.spend(1, from: "a") }
        #expect(time.waits == [.milliseconds(500), .milliseconds(1000)])
        time.pass(2000)
        try await limiter.spend(2, from: "a")
        #expect(time.waits.count == 2)
    }

    @Test func `what can never pass, or not soon, is refused and takes nothing`() async throws {
        let time = Time()
        let limiter = time.limiter(1)
        #expect(await code { try await limiter.spend(2, from: "a") } == .resourceExhausted)
        for _ in 0..<11 { try await limiter.spend(1, from: "a") }
        #expect(await code { try await limiter.spend(1, from: "a") } == .resourceExhausted)
        #expect(time.waits.last == .seconds(10))
        time.pass(1000)
        try await limiter.spend(1, from: "a")
        #expect(time.waits.last == .seconds(10))
    }

    @Test func `hosts are counted apart, also when there are too many`() async throws {
        let time = Time()
        let limiter = time.limiter(1)
        for host in 0..<5000 {
            time.pass(1)
            _ = await code { try await limiter.spend(1, from: "host \(host)") }
        }
        time.pass(60_000)
        let before = time.waits.count
        try await limiter.spend(1, from: "x")
        try await limiter.spend(1, from: "y")
        #expect(time.waits.count == before)
    }

    @Test func `a clock that is set back gives nothing and takes nothing`() async throws {
        let time = Time()
        let limiter = time.limiter(1)
        try await limiter.spend(1, from: "a")
        time.pass(-3_600_000)
        try await limiter.spend(1, from: "a")
        #expect(time.waits == [.seconds(1)])
    }

    @Test func `who is refused when the clock is set back is not refused until it is there again`() async throws {
        let time = Time()
        let limiter = time.limiter(1)
        for _ in 0..<11 { try await limiter.spend(1, from: "a") }
        time.pass(-3_600_000)
        #expect(await code { try await limiter.spend(1, from: "a") } == .resourceExhausted)
        time.pass(11_000)
        let before = time.waits.count
        try await limiter.spend(1, from: "a")
        #expect(time.waits.count == before)
    }

    @Test func `a clock that is set forward fills a bucket once and no more`() async throws {
        let time = Time()
        let limiter = time.limiter(2)
        for _ in 0..<4 { try await limiter.spend(1, from: "a") }
        time.pass(3_600_000)
        let before = time.waits.count
        for _ in 0..<2 { try await limiter.spend(1, from: "a") }
        #expect(time.waits.count == before)
        try await limiter.spend(1, from: "a")
        #expect(time.waits.count == before + 1)
    }

    @Test func `without a rate there is no limit`() async throws {
        let time = Time()
        let limiter = time.limiter(nil)
        for _ in 0..<1000 { try await limiter.spend(500, from: "a") }
        #expect(time.waits.isEmpty)
    }
}
