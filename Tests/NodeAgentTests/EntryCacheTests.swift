import Attestation
import Crypto
import SPIFFE
import Testing

@testable import NodeAgent

/// The cache's rules, with a clock that the test holds.
struct EntryCacheTests {
    private static let selectors: Set<Selector> = ["unix:uid:1", "unix:gid:2", "unix:user:u"].reduce(into: []) {
        if let selector = try? Selector(parsing: $1) { $0.insert(selector) }
    }

    private func entry(
        _ id: String, _ path: String? = nil, selectors: [String] = ["unix:uid:1"], revision: Int64 = 0
    ) throws -> AuthorizedEntry {
        AuthorizedEntry(
            id: id, spiffeID: try SPIFFEID("spiffe://lab.example\(path ?? "/" + id)"),
            selectors: Set(try selectors.map { try Selector(parsing: $0) }), revision: revision)
    }

    private func svid(
        _ path: String, from: Int64 = 0, expires: Int64 = 1000, revision: Int64 = 0, authority: [UInt8]? = nil
    ) throws -> CachedSVID {
        CachedSVID(
            id: try SPIFFEID("spiffe://lab.example\(path)"), chain: [], privateKey: [],
            notBefore: UnixTime(seconds: from), expiresAt: UnixTime(seconds: expires),
            rotatesAt: UnixTime(seconds: expires / 2), serialNumber: nil, key: nil, revision: revision,
            authorityKeyID: authority)
    }

    private func cache(_ entries: [AuthorizedEntry], limit: Int = 10) -> EntryCache {
        var cache = EntryCache(bundle: TrustBundle(trustDomain: Lab.trustDomain), limit: limit)
        _ = cache.replace(entries: entries)
        return cache
    }

    private func due(_ cache: EntryCache, at seconds: Int64, followed: Set<String> = []) -> [String] {
        cache.due(at: UnixTime(seconds: seconds)) { followed.contains($0.id) }.map(\.id)
    }

    @Test(
        arguments: [
            (["unix:uid:1"], true), (["unix:uid:1", "unix:gid:2"], true), (["unix:uid:2"], false),
            (["unix:uid:1", "unix:gid:3"], false), (["docker:label:a:b"], false),
            (["unix:gid:2", "unix:uid:1", "unix:user:u"], true), (["unix:gid:2", "zzz:a"], false),
        ] as [([String], Bool)])
    func `an entry applies when all its selectors were attested`(selectors: [String], applies: Bool) throws {
        let cache = cache([try entry("a", selectors: selectors)])
        #expect(cache.entries(for: Self.selectors).kept.map(\.id) == (applies ? ["a"] : []))
    }

    @Test func `entries of SVID stores are neither signed nor served`() throws {
        var stored = try entry("a")
        stored.storesSVID = true
        let cache = cache([stored])
        #expect(cache.entries(for: Self.selectors).kept.isEmpty)
        #expect(due(cache, at: 0).isEmpty)
    }

    @Test func `new entries are signed ahead, unless they say no and nobody asks`() throws {
        var lazy = try entry("b")
        lazy.isOnDemand = true
        var cache = cache([try entry("a"), lazy])
        #expect(due(cache, at: 0) == ["a"])
        #expect(due(cache, at: 0, followed: ["b"]) == ["a", "b"])
        cache.demand(["b", "unknown"], at: UnixTime(seconds: 0))
        #expect(due(cache, at: 0) == ["b", "a"])
    }

    @Test(arguments: [(499, false), (500, true), (999, true)] as [(Int64, Bool)])
    func `an SVID is replaced from its rotation on`(time: Int64, isDue: Bool) throws {
        var cache = cache([try entry("a")])
        #expect(cache.store(try svid("/a"), for: "a") != nil)
        #expect(due(cache, at: time) == (isDue ? ["a"] : []))
        #expect(cache.nextDue(after: UnixTime(seconds: 0)) == UnixTime(seconds: 500))
    }

    @Test func `expired SVIDs are never served`() throws {
        var cache = cache([try entry("a")])
        _ = cache.store(try svid("/a"), for: "a")
        #expect(cache.svid(of: "a", at: UnixTime(milliseconds: 999_999)) != nil)
        #expect(cache.svid(of: "a", at: UnixTime(seconds: 1000)) == nil)
    }

    @Test func `a new revision signs anew and keeps the old SVID until then`() throws {
        var cache = cache([try entry("a")])
        _ = cache.store(try svid("/a"), for: "a")
        let difference = cache.replace(entries: [try entry("a", revision: 1)])
        #expect(difference.touched.map(\.revision) == [0, 1])
        #expect(difference.invalidated == ["a"])
        #expect(due(cache, at: 0) == ["a"])
        #expect(cache.svid(of: "a", at: UnixTime(seconds: 0)) != nil)
        _ = cache.store(try svid("/a", revision: 1), for: "a")
        #expect(due(cache, at: 0).isEmpty)
    }

    @Test func `a new ID drops the SVID at once, and one that comes late for the old ID is refused`() throws {
        var cache = cache([try entry("a")])
        _ = cache.store(try svid("/a"), for: "a")
        _ = cache.replace(entries: [try entry("a", "/b", revision: 1)])
        #expect(cache.svid(of: "a", at: UnixTime(seconds: 0)) == nil)
        #expect(cache.store(try svid("/a"), for: "a") == nil)
        #expect(cache.store(try svid("/b", revision: 1), for: "a") != nil)
    }

    @Test func `unchanged entries make no news, removed ones do`() throws {
        let entries = [try entry("a"), try entry("b")]
        var cache = cache(entries)
        #expect(cache.replace(entries: entries.reversed()) == EntryCache.Difference())
        let difference = cache.replace(entries: [entries[1]])
        #expect(difference.touched.map(\.id) == ["a"])
        #expect(difference.invalidated == ["a"])
        #expect(cache.entries(for: Self.selectors).kept.map(\.id) == ["b"])
        #expect(cache.store(try svid("/a"), for: "a") == nil)
    }

    @Test func `what was signed before the clock was set back is signed anew, and served meanwhile`() throws {
        var cache = cache([try entry("a")])
        _ = cache.store(try svid("/a", from: 3600, expires: 9000), for: "a")
        #expect(due(cache, at: 3600).isEmpty)
        #expect(due(cache, at: 3599) == ["a"])
        #expect(cache.svid(of: "a", at: UnixTime(seconds: 0)) != nil)
        // Not in a circle, should the server's clock be another.
        #expect(cache.nextDue(after: UnixTime(seconds: 0)) == UnixTime(milliseconds: EntryCache.pause))
        cache.failed(["a"], at: UnixTime(seconds: 0))
        #expect(due(cache, at: 1).isEmpty)
        #expect(due(cache, at: 2) == ["a"])
        _ = cache.store(try svid("/a", from: 2, expires: 3600), for: "a")
        #expect(due(cache, at: 2).isEmpty)
    }

    @Test func `a wait from before the clock was set back is over`() throws {
        var cache = cache([try entry("a")])
        cache.failed(["a"], at: UnixTime(seconds: 3600))
        #expect(due(cache, at: 3601).isEmpty)
        #expect(due(cache, at: 0) == ["a"])
    }

    @Test func `what has ended by a clock that was set forward is signed anew and not served`() throws {
        var cache = cache([try entry("a")])
        _ = cache.store(try svid("/a", from: 0, expires: 3600), for: "a")
        #expect(due(cache, at: 3601) == ["a"])
        #expect(cache.svid(of: "a", at: UnixTime(seconds: 3601)) == nil)
    }

    @Test func `a failed signature is tried again later, later each time, at once when asked for`() throws {
        var cache = cache([try entry("a")])
        var waits: [Int64] = []
        var time = UnixTime(seconds: 0)
        for _ in 0..<12 {
            cache.failed(["a"], at: time)
            let next = try #require(cache.nextDue(after: time))
            #expect(cache.due(at: next.adding(milliseconds: -1)) { _ in false }.isEmpty)
            waits.append(next.milliseconds(since: time))
            time = next
        }
        #expect(waits.prefix(3) == [2000, 3000, 4500])
        #expect(waits.last == 60_000)
        cache.demand(["a"], at: time)
        #expect(cache.due(at: time) { _ in false }.map(\.id) == ["a"])
        #expect(cache.isAwaited("a"))
        cache.failed(["a"], at: time)
        #expect(!cache.isAwaited("a"))
    }

    @Test func `who waits for an entry that the server does not find waits on until it is gone or signed`() throws {
        var cache = cache([try entry("a")])
        let time = UnixTime(seconds: 0)
        cache.demand(["a"], at: time)
        cache.postpone(["a"], at: time)
        #expect(cache.isAwaited("a"))
        #expect(cache.due(at: time) { _ in false }.isEmpty)
        #expect(cache.nextDue(after: time) == time.adding(milliseconds: 2000))
        var gone = cache
        _ = gone.replace(entries: [])
        #expect(!gone.isAwaited("a"))
        _ = cache.store(try svid("/a"), for: "a")
        #expect(!cache.isAwaited("a"))
    }

    @Test func `beyond the limit the longest unused SVIDs go, never those that somebody follows`() throws {
        let ids = ["a", "b", "c", "d"]
        var cache = cache(try ids.map { try entry($0) }, limit: 2)
        // Not more is signed ahead than there is room for.
        #expect(due(cache, at: 0) == ["a", "b"])
        for (age, id) in ids.enumerated() {
            _ = cache.store(try svid("/\(id)"), for: id)
            _ = cache.svid(of: id, at: UnixTime(seconds: Int64(10 + age)))
        }
        cache.evict(followed: { $0.id == "a" }, at: UnixTime(seconds: 20))
        #expect(ids.filter { cache.svid(of: $0, at: UnixTime(seconds: 20)) != nil } == ["a", "d"])
        #expect(due(cache, at: 20).isEmpty)
        cache.evict(followed: { _ in true }, at: UnixTime(seconds: 20))
        #expect(cache.svidCount == 2)
    }

    @Test func `federated bundles go only with the entries that ask for them`() throws {
        let other = try TrustDomain("other.example")
        var federating = try entry("a")
        federating.federatesWith = [other]
        let plain = try entry("b")
        var cache = cache([federating, plain])
        #expect(cache.neededTrustDomains == [other])
        let news = (0..<2).map { _ in
            cache.replace(bundle: cache.bundle, federated: [other: TrustBundle(trustDomain: other)])
        }
        #expect(news == [true, false])
        #expect(Set(cache.federatedBundles(of: [federating]).keys) == [other])
        #expect(cache.federatedBundles(of: [plain]).isEmpty)
    }

    @Test func `an SVID of an authority that left the bundle or is tainted is signed anew`() throws {
        let key = P256.Signing.PrivateKey()
        let certificate = try TestAuthority.certificate(key)
        let keyID = try #require(certificate.subjectKeyIdentifier)
        var cache = cache([try entry("a"), try entry("b")])
        let bundle = { (isTainted: Bool) in
            TrustBundle(
                trustDomain: Lab.trustDomain,
                x509Authorities: [X509Authority(certificate: certificate, isTainted: isTainted)])
        }
        _ = cache.replace(bundle: bundle(false), federated: [:])
        _ = cache.store(try svid("/a", authority: keyID), for: "a")
        _ = cache.store(try svid("/b", authority: [1, 2, 3]), for: "b")
        #expect(due(cache, at: 0) == ["b"])
        _ = cache.replace(bundle: bundle(true), federated: [:])
        #expect(due(cache, at: 0) == ["a", "b"])
    }
}
