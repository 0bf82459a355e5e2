import AuditTrail
import Foundation
import JOSE
import Registry
import Revocation
import SPIFFE
import Synchronization
import TestPrograms
import Testing

@testable import Issuance

/// Holds revocations in memory; the next write can be made to fail, with or without its effect.
private final class MemoryRevocationStore: RevocationStore {
    private struct State {
        var value = StoredRevocations()
        var fails = false
        var persists = false
        var failsToRead = false
        var isUnreadable = false
    }

    private let state = Mutex(State())

    func load() async throws(StoreError) -> StoredRevocations {
        let (value, failed) = state.withLock { state in
            defer { state.isUnreadable = false }
            return (state.value, state.isUnreadable)
        }
        if failed { throw .failed("injected") }
        return value
    }

    func replace(with revocations: StoredRevocations) async throws(StoreError) {
        let failed = state.withLock { state in
            defer { state.fails = false }
            if state.fails { state.isUnreadable = state.failsToRead }
            if !state.fails || state.persists { state.value = revocations }
            return state.fails
        }
        if failed { throw .failed("injected") }
    }

    func failNext(persisting: Bool, andRead: Bool = false) {
        state.withLock { state in
            state.fails = true
            state.persists = persisting
            state.failsToRead = andRead
        }
    }
}

@Suite("Revocation register")
struct RevocationRegisterTests {
    private let administrator = AuditEvent.AgentField(authMethod: .unixSocket)

    private func open(_ domain: TestDomain, _ store: any RevocationStore) async throws -> RevocationRegister {
        try await RevocationRegister.open(
            trustDomain: domain.trustDomain, store: store, audit: domain.log, now: domain.clock.read,
            randomBytes: domain.random.draw)
    }

    private func revoke(
        _ subject: RevokedSubject, in register: RevocationRegister, _ domain: TestDomain, latestEnd: Int64 = 3600
    ) async throws -> RevocationRecord {
        try await register.revoke(
            subject, reason: "stolen", latestEnd: domain.clock.now + latestEnd, by: administrator, requestID: "r")
    }

    @Test func `a revoked agent gets no credential until it is taken back`() async throws {
        try await TestDomain.run { domain in
            let register = try await open(domain, MemoryRevocationStore())
            let issuer = Issuer(
                authorities: try await domain.open(), audit: domain.log, revocations: register, now: domain.clock.read,
                randomBytes: domain.random.draw)
            let entry = try domain.entry()
            let first = try await issuer.issueX509SVID(for: domain.caller, entry: entry, csr: domain.request())
            _ = try await revoke(.agent(entry.spiffeID), in: register, domain)
            #expect(register.revoked.revocation(of: try verified(first, issuer, domain)) == .agent(entry.spiffeID))
            await #expect(throws: IssuanceError.revoked) {
                try await issuer.issueX509SVID(for: domain.caller, entry: entry, csr: domain.request())
            }
            await #expect(throws: IssuanceError.revoked) {
                try await issuer.issueJWTSVID(for: domain.caller, entry: entry, audience: ["a"])
            }
            await #expect(throws: IssuanceError.revoked) {
                try await issuer.mintJWTSVID(for: domain.caller, id: entry.spiffeID, audience: ["a"])
            }
            // Its certificate came along, and goes with it.
            #expect(register.current.records.map(\.subject).contains(.serial(first.serialNumber)))
            try await register.undo(.agent(entry.spiffeID), reason: "", by: administrator, requestID: "r")
            #expect(register.current.records.isEmpty)
            _ = try await issuer.issueX509SVID(for: domain.caller, entry: entry, csr: domain.request())
        }
    }

    private func verified(
        _ issued: IssuedX509SVID, _ issuer: Issuer, _ domain: TestDomain
    ) throws -> VerifiedX509SVID {
        try X509SVIDVerifier.verify(
            chain: issued.chain, bundle: { _ in issuer.authorities.bundle.x509Bundle }, at: domain.clock.now)
    }

    @Test func `a revocation is replaced in one act where its reason says so, and stays otherwise`() async throws {
        try await TestDomain.run { domain in
            let register = try await open(domain, MemoryRevocationStore())
            let subject = RevokedSubject.agent(try domain.entry().spiffeID)
            _ = try await revoke(subject, in: register, domain)
            let end = domain.clock.now + 60
            func replace(_ reason: String) async throws -> RevocationRecord {
                try await register.revoke(
                    subject, reason: "over", expiresAt: end, latestEnd: end, replacing: reason, by: administrator,
                    requestID: "r")
            }
            #expect(try await replace("lost").reason == "stolen")
            let number = register.sequence
            let replaced = try await replace("stolen")
            #expect(replaced.reason == "over" && replaced.expiresAt == end)
            #expect(register.current.records == [replaced] && register.sequence > number)
        }
    }

    @Test func `numbers grow with every change and over restarts`() async throws {
        try await TestDomain.run { domain in
            let store = MemoryRevocationStore()
            let register = try await open(domain, store)
            var numbers = [register.sequence]
            for name in ["a", "b"] {
                _ = try await revoke(.jwtID(name), in: register, domain)
                numbers.append(register.sequence)
            }
            try await register.undo(.jwtID("a"), reason: "", by: administrator, requestID: "r")
            numbers.append(register.sequence)
            let again = try await open(domain, store)
            #expect(numbers == numbers.sorted() && Set(numbers).count == 4)
            #expect(again.sequence >= register.sequence)
            #expect(again.current.records.map(\.subject) == [.jwtID("b")])
        }
    }

    @Test func `an item leaves only after its credential's end, an agent never by itself`() async throws {
        try await TestDomain.run { domain in
            let register = try await open(domain, MemoryRevocationStore())
            let id = try SPIFFEID("spiffe://example.org/a")
            _ = try await revoke(.agent(id), in: register, domain)
            _ = try await revoke(.jwtID("t"), in: register, domain, latestEnd: 100)
            domain.clock.advance(seconds: 100 + RevocationRegister.grace - 1)
            try await register.prune()
            #expect(register.current.records.count == 2)
            domain.clock.advance(seconds: 1)
            try await register.prune()
            #expect(register.current.records.map(\.subject) == [.agent(id)])
        }
    }

    @Test func `what cannot be revoked is refused and recorded`() async throws {
        try await TestDomain.run { domain in
            let register = try await open(domain, MemoryRevocationStore())
            let refused: [(String, RevocationRegisterError)] = [
                ("spiffe://other.org/a", .otherTrustDomain(try TrustDomain("other.org"))),
                ("spiffe://example.org/spire/server", .ownIdentity),
                ("spiffe://example.org/spire/revocation", .ownIdentity), ("spiffe://example.org", .ownIdentity),
            ]
            for (id, error) in refused {
                await #expect(throws: error) { try await revoke(.agent(SPIFFEID(id)), in: register, domain) }
            }
            await #expect(throws: RevocationRegisterError.alreadyEnded) {
                try await revoke(.jwtID("t"), in: register, domain, latestEnd: 0)
            }
            await #expect(throws: RevocationRegisterError.alreadyEnded) {
                try await revoke(.chainRoot("t"), in: register, domain, latestEnd: 0)
            }
            await #expect(throws: RevocationRegisterError.authorityKey) {
                try await register.revoke(
                    .key("k"), reason: "", latestEnd: domain.clock.now, sparing: ["k"], by: administrator,
                    requestID: "r")
            }
            await #expect(throws: RevocationRegisterError.notRevoked) {
                try await register.undo(.jwtID("t"), reason: "", by: administrator, requestID: "r")
            }
            let denied = try await domain.events().filter { $0.decision.result == .deny }
            #expect(denied.map(\.type).filter { $0 == .revocationAdd }.count == 7)
            #expect(denied.map(\.type).contains(.revocationRemove))
        }
    }

    enum Act: CaseIterable, Sendable {
        case revokeAgent, revokeSerial, undoAgent, prune
    }

    private func run(
        _ act: Act, _ register: RevocationRegister, _ domain: TestDomain, _ agent: IssuedX509SVID
    ) async throws {
        switch act {
        case .revokeAgent: _ = try await revoke(.agent(agent.id), in: register, domain)
        case .revokeSerial: _ = try await revoke(.serial(agent.serialNumber), in: register, domain)
        case .undoAgent:
            try await register.undo(.agent(agent.id), reason: "", by: administrator, requestID: "r")
        case .prune: try await register.prune()
        }
    }

    @Test("each act of which a write fails is wholly there or wholly absent", arguments: Act.allCases, [false, true])
    func faults(act: Act, persisting: Bool) async throws {
        try await TestDomain.run { domain in
            let store = MemoryRevocationStore()
            let register = try await open(domain, store)
            let issuer = Issuer(
                authorities: try await domain.open(), audit: domain.log, revocations: register, now: domain.clock.read,
                randomBytes: domain.random.draw)
            let agent = try await issuer.issueX509SVID(
                for: domain.caller, entry: domain.entry(), csr: domain.request())
            _ = try await revoke(.jwtID("kept"), in: register, domain, latestEnd: 864_000)
            if act == .undoAgent { try await run(.revokeAgent, register, domain, agent) }
            if act == .prune {
                _ = try await revoke(.jwtID("ended"), in: register, domain, latestEnd: 1)
                domain.clock.advance(seconds: 1 + RevocationRegister.grace)
            }
            let before = register.current
            let events = try await domain.events().count
            store.failNext(persisting: persisting)
            await #expect(throws: RevocationRegisterError.store(.failed("injected"))) {
                try await run(act, register, domain, agent)
            }
            // Memory says what the store says, at once and after a restart.
            let stored = try await store.load()
            #expect(register.current.records == stored.records)
            #expect((stored.records == before.records) == !persisting)
            #expect(register.sequence >= before.sequence && (register.sequence > before.sequence) == persisting)
            #expect(register.revoked.all == Set(stored.records.map(\.subject)))
            let again = try await open(domain, store)
            #expect(again.current.records == stored.records)
            #expect(again.sequence >= register.sequence)
            // An agent's revocation came with its certificate, or neither did.
            let subjects = Set(stored.records.map(\.subject))
            if act == .revokeAgent || act == .undoAgent {
                #expect(subjects.contains(.agent(agent.id)) == subjects.contains(.serial(agent.serialNumber)))
            }
            let told = try await domain.events().dropFirst(events)
            #expect(told.map(\.phase) == [.intent, .outcome])
            #expect(told.last?.effect?.observed == (persisting ? .occurred : AuditEvent.EffectField.Observed.none))
            if !persisting { try await run(act, register, domain, agent) }
            #expect(try await store.load().records == register.current.records)
        }
    }

    @Test("each act of which a record fails is wholly there or wholly absent", arguments: Act.allCases, Fault.allCases)
    func logFaults(act: Act, fault: Fault) async throws {
        for number in 1...2 {
            try await TestDomain.run { domain in
                let store = MemoryRevocationStore()
                let register = try await open(domain, store)
                let issuer = Issuer(
                    authorities: try await domain.open(), audit: domain.log, revocations: register,
                    now: domain.clock.read, randomBytes: domain.random.draw)
                let agent = try await issuer.issueX509SVID(
                    for: domain.caller, entry: domain.entry(), csr: domain.request())
                if act == .undoAgent { try await run(.revokeAgent, register, domain, agent) }
                if act == .prune {
                    _ = try await revoke(.jwtID("ended"), in: register, domain, latestEnd: 1)
                    domain.clock.advance(seconds: 1 + RevocationRegister.grace)
                }
                let before = register.current.records
                domain.auditStore.fail(write: number, fault)
                await #expect(throws: RevocationRegisterError.self) { try await run(act, register, domain, agent) }
                let stored = try await store.load().records
                #expect(register.current.records == stored)
                // Without an intent nothing; without an outcome it has happened all the same.
                #expect((stored == before) == (number == 1))
                #expect(try await open(domain, store).current.records == stored)
            }
        }
    }

    @Test func `a store that can neither be written nor read is asked again before the next act`() async throws {
        try await TestDomain.run { domain in
            let store = MemoryRevocationStore()
            let register = try await open(domain, store)
            store.failNext(persisting: true, andRead: true)
            await #expect(throws: RevocationRegisterError.self) { try await revoke(.jwtID("a"), in: register, domain) }
            #expect(register.current.records.isEmpty)
            _ = try await revoke(.jwtID("b"), in: register, domain)
            #expect(Set(register.current.records.map(\.subject)) == [.jwtID("a"), .jwtID("b")])
        }
    }

    @Test(arguments: [false, true])
    func `after a failed write the store's word counts`(persisting: Bool) async throws {
        try await TestDomain.run { domain in
            let store = MemoryRevocationStore()
            let register = try await open(domain, store)
            store.failNext(persisting: persisting)
            await #expect(throws: RevocationRegisterError.store(.failed("injected"))) {
                try await revoke(.jwtID("a"), in: register, domain)
            }
            let before = register.sequence
            _ = try await revoke(.jwtID("b"), in: register, domain)
            let subjects = Set(register.current.records.map(\.subject))
            #expect(subjects == (persisting ? [.jwtID("a"), .jwtID("b")] : [.jwtID("b")]))
            #expect(register.sequence > before)
            #expect(try await store.load().records == register.current.records)
        }
    }

    @Test func `after the clock was set back the snapshot is signed anew, by a signer that is good already`()
        async throws
    {
        try await TestDomain.run { domain in
            let register = try await open(domain, MemoryRevocationStore())
            let authorities = try await domain.open()
            let issuer = Issuer(
                authorities: authorities, audit: domain.log, revocations: register, now: domain.clock.read,
                randomBytes: domain.random.draw)
            let publisher = RevocationPublisher(
                register: register, issuer: issuer, audit: domain.log, now: domain.clock.read,
                randomBytes: domain.random.draw)
            domain.clock.advance(seconds: 3600)
            let later = try await publisher.current()
            domain.clock.advance(seconds: -3600)
            let bundle = issuer.authorities.bundle.x509Bundle
            #expect(throws: RevocationError.self) {
                try SignedRevocations.verify(later.token, bundle: bundle, at: domain.clock.now)
            }
            let now = try await publisher.current()
            #expect(now.sequence == later.sequence)
            let snapshot = try SignedRevocations.verify(now.token, bundle: bundle, at: domain.clock.now)
            #expect(snapshot.issuedAt == domain.clock.now)
            #expect(try await publisher.current() == now)
        }
    }

    @Test func `the published snapshot verifies with the bundle alone, and the list with the authority`() async throws {
        try await TestDomain.run { domain in
            let register = try await open(domain, MemoryRevocationStore())
            let issuer = Issuer(
                authorities: try await domain.open(), audit: domain.log, revocations: register, now: domain.clock.read,
                randomBytes: domain.random.draw)
            let publisher = RevocationPublisher(
                register: register, issuer: issuer, audit: domain.log, now: domain.clock.read,
                randomBytes: domain.random.draw)
            #expect(try await publisher.current().revocationLists.isEmpty)
            let issued = try await issuer.issueX509SVID(
                for: domain.caller, entry: domain.entry(), csr: domain.request())
            _ = try await revoke(.serial(issued.serialNumber), in: register, domain)
            let published = try await publisher.current()
            let bundle = issuer.authorities.bundle.x509Bundle
            let snapshot = try SignedRevocations.verify(published.token, bundle: bundle, at: domain.clock.now)
            #expect(snapshot.sequence == register.sequence)
            #expect(snapshot.subjects == [.serial(issued.serialNumber)])
            #expect(try await publisher.current() == published)

            let list = try #require(published.revocationLists.first)
            let directory = NSTemporaryDirectory() + "crl-" + UUID().uuidString
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
            defer { try? FileManager.default.removeItem(atPath: directory) }
            let root = try #require(issuer.authorities.bundle.x509Authorities.first).der
            for (name, label, der) in [
                ("root", PEM.certificateLabel, root), ("leaf", PEM.certificateLabel, issued.leaf.der),
                ("crl", "X509 CRL", list),
            ] {
                try PEM.encode(label: label, der: der).write(
                    toFile: "\(directory)/\(name).pem", atomically: true, encoding: .utf8)
            }
            let time = String(domain.clock.now.seconds)
            let verify = ["verify", "-x509_strict", "-attime", time, "-CAfile", "\(directory)/root.pem"]
            #expect(try await openSSL(verify + ["\(directory)/leaf.pem"]) == 0)
            #expect(
                try await openSSL(
                    verify + ["-crl_check", "-CRLfile", "\(directory)/crl.pem", "\(directory)/leaf.pem"]) != 0)
            let other = try await issuer.issueX509SVID(
                for: domain.caller, entry: domain.entry(), csr: domain.request())
            try PEM.encode(label: PEM.certificateLabel, der: other.leaf.der).write(
                toFile: "\(directory)/other.pem", atomically: true, encoding: .utf8)
            #expect(
                try await openSSL(
                    verify + ["-crl_check", "-CRLfile", "\(directory)/crl.pem", "\(directory)/other.pem"]) == 0)
        }
    }

    /// What openssl says of a leaf below a root, with a list of what is revoked.
    private func openSSLVerdict(
        _ domain: TestDomain, root: [UInt8], leaf: [UInt8], list: [UInt8]
    ) async throws -> Int32 {
        let directory = NSTemporaryDirectory() + "crl-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        for (name, label, der) in [
            ("root", PEM.certificateLabel, root), ("leaf", PEM.certificateLabel, leaf), ("crl", "X509 CRL", list),
        ] {
            try PEM.encode(label: label, der: der).write(
                toFile: "\(directory)/\(name).pem", atomically: true, encoding: .utf8)
        }
        return try await openSSL([
            "verify", "-x509_strict", "-attime", String(domain.clock.now.seconds), "-CAfile",
            "\(directory)/root.pem", "-crl_check", "-CRLfile", "\(directory)/crl.pem", "\(directory)/leaf.pem",
        ])
    }

    @Test func `a former authority lists what is revoked of its own, over a restart, until it is revoked itself`()
        async throws
    {
        try await TestDomain.run { domain in
            let register = try await open(domain, MemoryRevocationStore())
            var authorities = try await domain.open()
            func lists() async throws -> [[UInt8]] {
                let issuer = Issuer(
                    authorities: authorities, audit: domain.log, revocations: register, now: domain.clock.read,
                    randomBytes: domain.random.draw)
                return try await RevocationPublisher(
                    register: register, issuer: issuer, audit: domain.log, now: domain.clock.read,
                    randomBytes: domain.random.draw
                ).current().revocationLists
            }
            let issuer = domain.issuer(authorities)
            let former = try #require(authorities.latest(.x509, .active))
            let root = try #require(former.certificate)
            let stolen = try await issuer.issueX509SVID(
                for: domain.caller, entry: domain.entry(), csr: domain.request())
            let other = try await issuer.issueX509SVID(
                for: domain.caller, entry: domain.entry(), csr: domain.request())
            let next = try await authorities.prepare(.x509, by: administrator, requestID: "r")
            _ = try await authorities.activate(.x509, id: next.id, by: administrator, requestID: "r")
            _ = try await revoke(.serial(stolen.serialNumber), in: register, domain)
            for _ in 0..<2 {
                let lists = try await lists()
                try #require(lists.count == 2)
                for (leaf, isRevoked) in [(stolen.leaf.der, true), (other.leaf.der, false)] {
                    let verdict = try await openSSLVerdict(domain, root: root, leaf: leaf, list: lists[1])
                    #expect((verdict != 0) == isRevoked)
                }
                // The new authority's list says nothing about it: openssl misses one of the right issuer.
                #expect(try await openSSLVerdict(domain, root: root, leaf: other.leaf.der, list: lists[0]) != 0)
                authorities = try await domain.open()
            }
            _ = try await authorities.taint(.x509, id: former.id, by: administrator, requestID: "r")
            #expect(try await lists().count == 2)
            _ = try await authorities.revoke(.x509, id: former.id, by: administrator, requestID: "r")
            #expect(try await lists().count == 1)
            let keyID = try #require(former.keyID)
            #expect(try await !domain.keys.list().contains(keyID))
        }
    }

    @Test func `nothing is issued for a revoked key, by whatever name`() async throws {
        try await TestDomain.run { domain in
            let register = try await open(domain, MemoryRevocationStore())
            let issuer = Issuer(
                authorities: try await domain.open(), audit: domain.log, revocations: register, now: domain.clock.read,
                randomBytes: domain.random.draw)
            let request = try domain.request()
            let thumbprint = try #require(request.publicKey.thumbprint)
            let record = try await revoke(.key(thumbprint), in: register, domain)
            // Nobody knows when the last certificate for a key ends.
            #expect(record.expiresAt == nil)
            for path in ["/a", "/b"] {
                let entry = try domain.entry(path)
                await #expect(throws: IssuanceError.revoked) {
                    try await issuer.issueX509SVID(for: domain.caller, entry: entry, csr: request)
                }
                await #expect(throws: IssuanceError.revoked) {
                    try await issuer.issueWITSVID(
                        for: domain.caller, entry: entry, publicKey: request.publicKey.derSPKI)
                }
                _ = try await issuer.issueX509SVID(for: domain.caller, entry: entry, csr: domain.request())
            }
            try await register.undo(.key(thumbprint), reason: "", by: administrator, requestID: "r")
            _ = try await issuer.issueX509SVID(for: domain.caller, entry: domain.entry(), csr: request)
        }
    }

    private func openSSL(_ arguments: [String]) async throws -> Int32 {
        try await TestProgram(["openssl"] + arguments).ended()
    }
}
