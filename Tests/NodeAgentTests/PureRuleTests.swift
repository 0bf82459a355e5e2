import Attestation
import AuditTrail
import ControlPlaneAPI
import Crypto
import JOSE
import SPIFFE
import Testing

@testable import NodeAgent

private func entry(
    _ id: String, _ path: String = "/w", selectors: [String] = ["unix:uid:1"], hint: String = "", created: Int64 = 0,
    revision: Int64 = 0
) throws -> AuthorizedEntry {
    AuthorizedEntry(
        id: id, spiffeID: try SPIFFEID("spiffe://lab.example\(path)"),
        selectors: Set(try selectors.map { try Selector(parsing: $0) }), hint: hint, revision: revision,
        createdAt: created)
}

struct RotationScheduleTests {
    @Test(
        arguments: [
            // obtained, expires (seconds), random, rotation (milliseconds)
            (0, 100, 0.0, 55_000), (0, 100, 0.5, 50_000), (0, 100, 0.999_999_9, 45_000),
            (90, 100, 0.5, 95_000), (100, 100, 0.5, 100_000), (200, 100, 0.5, 200_000),
        ] as [(Int64, Int64, Double, Int64)])
    func `rotation comes with 45 to 55 percent of life left`(row: (Int64, Int64, Double, Int64)) {
        let (obtained, expires, random, expected) = row
        let at = RotationSchedule.rotation(
            obtained: UnixTime(seconds: obtained), expires: UnixTime(seconds: expires), random: random)
        #expect(abs(at.milliseconds - expected) <= 1)
    }

    @Test(arguments: [(99_999, true), (100_000, false), (100_001, false)] as [(Int64, Bool)])
    func `what has expired is not usable`(time: Int64, isUsable: Bool) {
        #expect(
            RotationSchedule.isUsable(expires: UnixTime(seconds: 100), at: UnixTime(milliseconds: time)) == isUsable)
    }
}

struct HintRuleTests {
    @Test func `the older entry keeps a hint, of equally old ones the smaller ID`() throws {
        let entries = [
            try entry("b", hint: "x", created: 5), try entry("a", hint: "x", created: 5),
            try entry("c", hint: "x", created: 4), try entry("d", created: 1), try entry("e", created: 1),
            try entry("f", hint: "X", created: 9),
        ]
        for order in [entries, entries.reversed()] {
            let (kept, dropped) = HintRule.apply(to: order)
            #expect(kept.map(\.id) == ["d", "e", "c", "f"])
            #expect(Set(dropped.map(\.id)) == ["a", "b"])
        }
    }
}

struct BackOffTests {
    @Test func `waits grow by half up to the cap, with a tenth of jitter, and start anew after success`() {
        var backOff = BackOff(initial: .seconds(2), cap: .seconds(4))
        let waits = [0.5, 0.5, 0.5, 0.5].map { backOff.failed(random: $0) }
        #expect(waits == [.seconds(2), .seconds(3), .seconds(4), .seconds(4)])
        backOff.succeeded()
        let shortest = backOff.failed(random: 0)
        backOff.succeeded()
        let longest = backOff.failed(random: 0.999_999)
        #expect(shortest >= .milliseconds(1799) && shortest <= .milliseconds(1801))
        #expect(longest >= .milliseconds(2199) && longest <= .milliseconds(2200))
    }

    @Test(arguments: [
        (1, false, 48), (5, false, 240), (10, false, 480), (60, false, 480), (0, false, 1), (1, true, 6), (5, true, 30),
        (60, true, 360), (0, true, 1),
    ]) func `the longest wait is SPIRE's where nothing is pushed`(interval: Int, isPushed: Bool, longest: Int) {
        #expect(BackOff.cap(interval: .seconds(interval), isPushed: isPushed) == .seconds(longest))
    }

    @Test func `the first pause after a connection that worked is short, and each node's own`() {
        #expect(BackOff.soon(random: 0) == .milliseconds(50))
        #expect(BackOff.soon(random: 0.5) == .milliseconds(150))
        #expect(BackOff.soon(random: 0.999_999) < .milliseconds(250))
    }

    @Test func `batches halve on failure and double on success within their bounds`() {
        var batch = BatchSize(maximum: 5)
        var sizes: [Int] = []
        for _ in 0..<4 {
            sizes.append(batch.current)
            batch.failed()
        }
        for _ in 0..<4 {
            batch.succeeded()
            sizes.append(batch.current)
        }
        #expect(sizes == [5, 2, 1, 1, 2, 4, 5, 5])
    }

    @Test func `a failed call with fewer requests than allowed halves these`() {
        var batch = BatchSize(maximum: 500)
        batch.failed(of: 40)
        #expect(batch.current == 20)
        batch.succeeded()
        batch.failed(of: 1000)
        #expect(batch.current == 20)
    }
}

struct EntryExchangeTests {
    private typealias Message = Spire_Api_Server_Entry_V1_SyncAuthorizedEntriesResponse

    private func wire(_ id: String, revision: Int64 = 1) -> Spire_Api_Types_Entry {
        .with {
            $0.id = id
            $0.spiffeID.trustDomain = "lab.example"
            $0.spiffeID.path = "/\(id)"
            $0.selectors = [
                .with {
                    $0.type = "unix"; $0.value = "uid:1"
                }
            ]
            $0.revisionNumber = revision
        }
    }

    private func ids(_ step: EntryExchange.Step) -> [String]? {
        guard case .done(let outcome) = step else { return nil }
        return outcome.entries.map(\.id).sorted()
    }

    @Test func `few entries come at once, and malformed ones are left out`() throws {
        var exchange = EntryExchange(known: [:])
        var bad = wire("bad")
        bad.spiffeID.path = "//"
        var bare = wire("bare")
        bare.selectors = []
        let step = try exchange.receive(.with { $0.entries = [wire("a"), bad, wire("b"), bare] })
        guard case .done(let outcome) = step else {
            Issue.record("\(step)")
            return
        }
        #expect(outcome.entries.map(\.id) == ["a", "b"])
        #expect(outcome.malformed == 2)
    }

    @Test func `no entries at all is an answer`() throws {
        var exchange = EntryExchange(known: ["a": try entry("a")])
        #expect(ids(try exchange.receive(Message())) == [])
    }

    @Test func `of many entries only new and changed ones are asked for`() throws {
        var exchange = EntryExchange(known: ["a": try entry("a", revision: 1), "b": try entry("b", revision: 1)])
        let revisions: ([(String, Int64)], Bool) -> Message = { list, more in
            .with {
                $0.entryRevisions = list.map { item in
                    .with {
                        $0.id = item.0
                        $0.revisionNumber = item.1
                    }
                }
                $0.more = more
            }
        }
        #expect(try exchange.receive(revisions([("a", 1), ("b", 2)], true)) == .read)
        #expect(try exchange.receive(revisions([("c", 0)], false)) == .ask(["b", "c"]))
        #expect(
            try exchange.receive(
                .with {
                    $0.entries = [wire("b", revision: 2)]; $0.more = true
                }) == .read)
        // `c` was deleted meanwhile.
        #expect(ids(try exchange.receive(Message())) == ["a", "b"])
    }

    @Test func `IDs are asked for in portions`() throws {
        var exchange = EntryExchange(known: [:])
        let all = (0..<EntryExchange.portion + 3).map { "e\($0)" }
        let step = try exchange.receive(.with { $0.entryRevisions = all.map { id in .with { $0.id = id } } })
        #expect(step == .ask(Array(all.prefix(EntryExchange.portion))))
        #expect(
            try exchange.receive(.with { $0.entries = all.prefix(EntryExchange.portion).map { wire($0) } })
                == .ask(Array(all.suffix(3))))
        #expect(
            ids(try exchange.receive(.with { $0.entries = all.suffix(3).map { wire($0) } }))?.count == all.count)
    }

    @Test func `a server without end is cut off`() throws {
        var exchange = EntryExchange(known: [:])
        let page = Message.with {
            $0.entryRevisions = (0..<1000).map { number in .with { $0.id = "e\(number)" } }
            $0.more = true
        }
        for _ in 0..<EntryExchange.maximumEntries / 1000 { _ = try exchange.receive(page) }
        #expect(throws: EntryExchange.Failure.tooManyEntries) { try exchange.receive(page) }
    }
}

struct JWTCacheTests {
    private func token(_ text: String, expires: Int64 = 100, revision: Int64 = 0) throws -> JWTCache.Token {
        JWTCache.Token(
            text: text, id: try SPIFFEID("spiffe://lab.example/w"), keyID: "k", obtainedAt: UnixTime(seconds: 0),
            expiresAt: UnixTime(seconds: expires), revision: revision)
    }

    @Test func `the key is the entry with the set of audiences`() {
        #expect(
            JWTCache.Key(entryID: "e", audience: ["b", "a", "b"]) == JWTCache.Key(entryID: "e", audience: ["a", "b"]))
        #expect(JWTCache.Key(entryID: "e", audience: ["a"]) != JWTCache.Key(entryID: "f", audience: ["a"]))
        #expect(JWTCache.Key(entryID: "e", audience: ["a", "b"]) != JWTCache.Key(entryID: "e", audience: ["ab"]))
    }

    @Test func `expired and outdated tokens are not given out`() throws {
        var cache = JWTCache(limit: 10)
        let key = JWTCache.Key(entryID: "e", audience: ["a"])
        cache.store(try token("t"), for: key, asked: cache.turn)
        #expect(cache.token(for: key, revision: 0, at: UnixTime(seconds: 99))?.text == "t")
        #expect(cache.token(for: key, revision: 0, at: UnixTime(seconds: 100)) == nil)
        cache.store(try token("t"), for: key, asked: cache.turn)
        #expect(cache.token(for: key, revision: 1, at: UnixTime(seconds: 1)) == nil)
        #expect(cache.count == 0)
    }

    @Test(arguments: [(49, true), (50, false), (99, false)] as [(Int64, Bool)])
    func `a token is fresh for half of its life`(time: Int64, isFresh: Bool) throws {
        #expect(try token("t").isFresh(at: UnixTime(seconds: time)) == isFresh)
    }

    @Test func `a token from before the clock was set back is not fresh, but there while nothing else is`() throws {
        let token = JWTCache.Token(
            text: "t", id: try SPIFFEID("spiffe://lab.example/w"), keyID: "k", obtainedAt: UnixTime(seconds: 3600),
            expiresAt: UnixTime(seconds: 3900), revision: 0)
        #expect(token.isFresh(at: UnixTime(seconds: 3590)))
        #expect(!token.isFresh(at: UnixTime(seconds: 3589)))
        var cache = JWTCache(limit: 1)
        let key = JWTCache.Key(entryID: "e", audience: ["a"])
        cache.store(token, for: key, asked: cache.turn)
        #expect(cache.token(for: key, revision: 0, at: UnixTime(seconds: 0)) != nil)
    }

    private func witToken(obtained: UnixTime, rotates: UnixTime, expires: UnixTime) throws -> WITCache.Token {
        WITCache.Token(
            entryID: "e", id: try SPIFFEID("spiffe://lab.example/w"), text: "t", privateJWK: "",
            holder: JWSVerificationKey(p256: P256.Signing.PrivateKey().publicKey, keyID: nil), jwtID: nil, keyID: "k",
            obtainedAt: obtained, expiresAt: expires, rotatesAt: rotates, revision: 0)
    }

    @Test func `a WIT-SVID from before the clock was set back is due, and put off when that fails`() throws {
        var cache = WITCache(limit: 1)
        let token = try witToken(
            obtained: UnixTime(seconds: 3600), rotates: UnixTime(seconds: 5400), expires: UnixTime(seconds: 7200))
        _ = cache.store(token, asked: cache.turn, at: UnixTime(seconds: 3600))
        #expect(cache.due(at: UnixTime(seconds: 3590)).isEmpty)
        #expect(cache.due(at: UnixTime(seconds: 3589)) == ["e"])
        cache.postpone(["e"], to: UnixTime(seconds: 5))
        #expect(cache.due(at: UnixTime(seconds: 4)).isEmpty)
        #expect(cache.due(at: UnixTime(seconds: 5)) == ["e"])
    }

    @Test func `beyond the limit the longest unused one goes`() throws {
        var cache = JWTCache(limit: 2)
        let keys = ["a", "b", "c"].map { JWTCache.Key(entryID: $0, audience: ["x"]) }
        cache.store(try token("a"), for: keys[0], asked: cache.turn)
        cache.store(try token("b"), for: keys[1], asked: cache.turn)
        _ = cache.token(for: keys[0], revision: 0, at: UnixTime(seconds: 1))
        cache.store(try token("c"), for: keys[2], asked: cache.turn)
        #expect(cache.count == 2)
        #expect(cache.token(for: keys[1], revision: 0, at: UnixTime(seconds: 1)) == nil)
        #expect(cache.token(for: keys[0], revision: 0, at: UnixTime(seconds: 1)) != nil)
        cache.remove(entries: ["a"])
        #expect(cache.token(for: keys[0], revision: 0, at: UnixTime(seconds: 1)) == nil)
    }

    @Test func `tokens of keys that left the bundle or are tainted are dropped`() throws {
        var cache = JWTCache(limit: 2)
        let key = JWTCache.Key(entryID: "e", audience: ["a"])
        cache.store(try token("t"), for: key, asked: cache.turn)
        cache.keep(signedBy: TrustBundle(trustDomain: Lab.trustDomain))
        #expect(cache.count == 0)
    }

    @Test func `a JWT-SVID that was asked for before a key was tainted and comes after it is not kept`() throws {
        var cache = JWTCache(limit: 2)
        let key = JWTCache.Key(entryID: "e", audience: ["a"])
        let asked = cache.turn
        cache.keep(signedBy: TrustBundle(trustDomain: Lab.trustDomain))
        cache.store(try token("t"), for: key, asked: asked)
        #expect(cache.count == 0)
        cache.store(try token("u"), for: key, asked: cache.turn)
        #expect(cache.token(for: key, revision: 0, at: UnixTime(seconds: 1))?.text == "u")
    }

    @Test func `a WIT-SVID that was asked for before a key was tainted and comes after it is not kept`() throws {
        var cache = WITCache(limit: 2)
        let start = UnixTime(seconds: 0)
        let token = try witToken(obtained: start, rotates: UnixTime(seconds: 50), expires: UnixTime(seconds: 100))
        let asked = cache.turn
        cache.keep(signedBy: TrustBundle(trustDomain: Lab.trustDomain))
        #expect(cache.store(token, asked: asked, at: start).text == "t")
        #expect(cache.due(at: UnixTime(seconds: 60)).isEmpty)
        _ = cache.store(token, asked: cache.turn, at: start)
        #expect(cache.due(at: UnixTime(seconds: 60)) == ["e"])
    }
}

struct RefusalLimitTests {
    private func event(_ reason: String) -> AuditEvent {
        WorkloadEvents.refused(nil, method: "FetchX509SVID", reason: reason, requestID: "r")
    }

    @Test func `some are recorded singly, the rest as one count`() {
        var limit = RefusalLimit()
        let admitted = (0..<20).filter { _ in limit.admit(event("no_identity"), source: "uid:1", kind: "k") }
        #expect(admitted.count == RefusalLimit.singles)
        let isOtherAdmitted = limit.admit(event("no_identity"), source: "uid:2", kind: "k")
        #expect(isOtherAdmitted)
        let counted = limit.endInterval()
        #expect(counted.map(\.counted) == [Int64(20 - RefusalLimit.singles)])
        let rest = limit.endInterval()
        #expect(rest.isEmpty)
        let isAdmittedAgain = limit.admit(event("no_identity"), source: "uid:1", kind: "k")
        #expect(isAdmittedAgain)
    }

    @Test func `sources without end share one count`() {
        var limit = RefusalLimit()
        let admitted = (0..<1000).filter { limit.admit(event("no_identity"), source: "uid:\($0)", kind: "k") }
        #expect(admitted.count == RefusalLimit.places)
        let counted = limit.endInterval()
        #expect(counted.map(\.counted) == [Int64(1000 - RefusalLimit.places)])
    }
}

struct SignalTests {
    @Test func `what happens while nobody waits is one wake-up, and a change outweighs a check`() async throws {
        let signal = Signal()
        signal.fire(.check)
        signal.fire(.change)
        signal.fire(.check)
        #expect(try await signal.wait() == .change)
        #expect(try await signal.wait(upTo: .milliseconds(1), sleep: Lab.sleep) == nil)
        signal.fire(.check)
        #expect(try await signal.wait(upTo: .seconds(60), sleep: Lab.sleep) == .check)
    }

    @Test func `a cancelled wait ends, and the next one works`() async throws {
        let signal = Signal()
        let waiting = Task { try await signal.wait() }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        signal.fire()
        #expect(try await signal.wait() == .change)
    }
}
