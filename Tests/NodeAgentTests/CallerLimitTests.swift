import Attestation
import SPIFFE
import Testing

@testable import NodeAgent

@Suite struct CallerLimitTests {
    private func at(_ milliseconds: Int64) -> UnixTime { UnixTime(milliseconds: milliseconds) }
    private func selectors(_ uid: Int) throws -> Set<Selector> { [try Selector(type: "unix", value: "uid:\(uid)")] }

    @Test func `a bucket empties, refills with time, and holds no more than a second's calls`() throws {
        let limit = CallerLimit(callsPerSecond: 3)
        let one = try selectors(1)
        #expect((0..<5).map { _ in limit.admit(one, at: at(1000)) } == [true, true, true, false, false])
        #expect(limit.admit(one, at: at(1334)))
        #expect(!limit.admit(one, at: at(1340)))
        #expect((0..<5).map { _ in limit.admit(one, at: at(60_000)) } == [true, true, true, false, false])
    }

    @Test func `one caller takes nothing from another`() throws {
        let limit = CallerLimit(callsPerSecond: 1)
        #expect(limit.admit(try selectors(1), at: at(0)))
        #expect(!limit.admit(try selectors(1), at: at(0)))
        #expect(limit.admit(try selectors(2), at: at(0)))
    }

    @Test func `a clock that was set back does not lock a caller out`() throws {
        let limit = CallerLimit(callsPerSecond: 1)
        #expect(limit.admit(try selectors(1), at: at(3_600_000)))
        #expect(limit.admit(try selectors(1), at: at(0)))
    }

    @Test func `beyond its places all share one bucket, and quiet callers make room`() throws {
        let limit = CallerLimit(callsPerSecond: 1)
        for uid in 0..<CallerLimit.places { #expect(limit.admit(try selectors(uid), at: at(0))) }
        #expect(limit.admit(try selectors(-1), at: at(0)))
        #expect(!limit.admit(try selectors(-2), at: at(0)))
        #expect(limit.admit(try selectors(-2), at: at(2000)))
        #expect(limit.admit(try selectors(-3), at: at(2000)))
    }

    @Test func `no limit is no limit`() throws {
        let limit = CallerLimit(callsPerSecond: nil)
        for _ in 0..<1000 { #expect(limit.admit(try selectors(1), at: at(0))) }
    }
}
