import Attestation
import AuditTrail
import SPIFFE
import Testing

@testable import Registry

@Suite struct NodeTests {
    private func check(_ bed: TestBed, _ name: String, _ serial: UInt8, ttl: Int64 = 3600) async -> NodeRefusal? {
        do {
            try await bed.registry.checkNode(
                node(name), serial: SerialNumber([serial]), expiresAt: bed.clock.now + ttl)
            return nil
        } catch NodeCheckError.refused(let reason) {
            return reason
        } catch {
            Issue.record(error)
            return nil
        }
    }

    private func renew(_ bed: TestBed, _ name: String, _ serial: UInt8) async throws -> NodeRecord {
        try await bed.registry.renewNode(
            node(name), serial: SerialNumber([serial]), expiresAt: bed.clock.now + 7200, by: TestBed.admin,
            requestID: "r")
    }

    @Test("current serial passes, others do not; missing, expired and banned nodes have their own reasons")
    func serials() async throws {
        try await TestBed.run { bed in
            try await bed.register("a", serial: 1)
            #expect(await check(bed, "a", 1) == nil)
            #expect(await check(bed, "a", 2) == .notActive)
            #expect(await check(bed, "a", 1, ttl: 0) == .expired)
            #expect(await check(bed, "a", 2, ttl: -1) == .expired)
            #expect(await check(bed, "none", 1) == .notAttested)
            try await bed.registry.banNode(node("a"), by: TestBed.admin, requestID: "r")
            #expect(await check(bed, "a", 1) == .banned)
            #expect(await check(bed, "a", 2) == .banned)
            #expect(await check(bed, "a", 1, ttl: 0) == .expired)
            try await bed.registry.evictNode(node("a"), by: TestBed.admin, requestID: "r")
            #expect(await check(bed, "a", 1) == .notAttested)
            try await bed.expectConsistent()
        }
    }

    @Test("a renewed serial waits beside the current one and replaces it at its first use")
    func pending() async throws {
        try await TestBed.run { bed in
            try await bed.register("a", serial: 1)
            #expect(try await renew(bed, "a", 2).pendingSerial == SerialNumber([2]))
            #expect(await check(bed, "a", 1) == nil)
            // A second renewal before any use replaces the first one.
            _ = try await renew(bed, "a", 3)
            #expect(await check(bed, "a", 2) == .notActive)
            let revision = bed.registry.position.nodesRevision
            #expect(await check(bed, "a", 3) == nil)
            #expect(bed.registry.position.nodesRevision == revision + 1)
            let record = try #require(bed.registry.node(node("a")))
            #expect(try record.currentSerial == SerialNumber([3]))
            #expect(record.currentExpiresAt == bed.clock.now + 7200)
            #expect(record.pendingSerial == nil)
            #expect(record.pendingExpiresAt == nil)
            #expect(await check(bed, "a", 1) == .notActive)
            #expect(await check(bed, "a", 3) == nil)
            try await bed.expectConsistent()
        }
    }

    @Test("parallel first uses of a renewed serial all pass and change the record once")
    func parallelActivation() async throws {
        try await TestBed.run { bed in
            try await bed.register("a", serial: 1)
            _ = try await renew(bed, "a", 2)
            let revision = bed.registry.position.nodesRevision
            await withTaskGroup(of: NodeRefusal?.self) { group in
                for _ in 0..<10 { group.addTask { await self.check(bed, "a", 2) } }
                for await refusal in group { #expect(refusal == nil) }
            }
            #expect(bed.registry.position.nodesRevision == revision + 1)
        }
    }

    @Test("a renewed serial that cannot be stored does not become current")
    func activationFault() async throws {
        try await TestBed.run { bed in
            try await bed.register("a", serial: 1)
            _ = try await renew(bed, "a", 2)
            bed.nodes.table.failNextWrite(.failed)
            await #expect(throws: NodeCheckError.failed(.failed("write"))) {
                try await bed.registry.checkNode(
                    node("a"), serial: SerialNumber([2]), expiresAt: bed.clock.now + 1)
            }
            #expect(await check(bed, "a", 1) == nil)
            bed.nodes.table.failNextWrite(.failedButPersisted)
            await #expect(throws: NodeCheckError.failed(.storageFull)) {
                try await bed.registry.checkNode(
                    node("a"), serial: SerialNumber([2]), expiresAt: bed.clock.now + 1)
            }
            #expect(await check(bed, "a", 1) == .notActive)
            #expect(await check(bed, "a", 2) == nil)
            try await bed.expectConsistent()
        }
    }

    @Test("who may renew")
    func renewal() async throws {
        try await TestBed.run { bed in
            try await bed.register("gone")
            try await bed.registry.banNode(node("gone"), by: TestBed.admin, requestID: "r")
            try await bed.register("again", canReattest: true)
            for (name, reason) in [("none", NodeRefusal.notAttested), ("gone", .banned), ("again", .mustReattest)] {
                await #expect(throws: RegistryError.nodeRefused(reason)) { try await renew(bed, name, 9) }
            }
        }
    }

    @Test("who may attest again: re-attestable nodes that are not banned; the rest of the record is fresh")
    func reattestation() async throws {
        try await TestBed.run { bed in
            try await bed.register("token")
            await #expect(throws: RegistryError.nodeAlreadyAttested) { try await bed.register("token", serial: 2) }
            let first = try await bed.register("pop", canReattest: true, selectors: ["x:1"], type: "x509pop")
            try await bed.registry.postStatus(
                node("pop"), agentVersion: "1.2.3", by: TestBed.admin, requestID: "r")
            bed.clock.advance(seconds: 5)
            let second = try await bed.register(
                "pop", serial: 2, canReattest: true, selectors: ["x:2"], type: "x509pop")
            #expect(second.createdAt == first.createdAt)
            #expect(second.agentVersion == "1.2.3")
            #expect(second.selectors.map(\.description) == ["x:2"])
            #expect(await check(bed, "pop", 1) == .notActive)
            #expect(await check(bed, "pop", 2) == nil)
            try await bed.registry.banNode(node("pop"), by: TestBed.admin, requestID: "r")
            await #expect(throws: RegistryError.nodeBanned) {
                try await bed.register("pop", serial: 3, canReattest: true, type: "x509pop")
            }
            try await bed.registry.evictNode(node("pop"), by: TestBed.admin, requestID: "r")
            try await bed.register("pop", serial: 4, canReattest: true, type: "x509pop")
            #expect(await check(bed, "pop", 4) == nil)
        }
    }

    @Test("a ban blanks both serials")
    func ban() async throws {
        try await TestBed.run { bed in
            try await bed.register("a")
            _ = try await renew(bed, "a", 2)
            for _ in 0..<2 { try await bed.registry.banNode(node("a"), by: TestBed.admin, requestID: "r") }
            let record = try #require(bed.registry.node(node("a")))
            #expect(record.isBanned)
            #expect(record.currentSerial == nil)
            #expect(record.pendingSerial == nil)
            #expect(await check(bed, "a", 2) == .banned)
        }
    }

    @Test("only IDs of node agents can be registered, and unknown nodes are not found")
    func refusals() async throws {
        try await TestBed.run { bed in
            for text in [
                "spiffe://other.org/spire/agent/join_token/a", "spiffe://example.org/web",
                "spiffe://example.org/spire/server", "spiffe://example.org/spire/agent",
            ] {
                await #expect(throws: RegistryError.badNodeID) {
                    try await bed.registry.registerNode(
                        NodeRegistration(
                            id: SPIFFEID(text), attestationType: "t", serial: SerialNumber([1]),
                            expiresAt: bed.clock.now + 1, canReattest: false),
                        by: TestBed.admin, requestID: "r")
                }
            }
            await #expect(throws: RegistryError.nodeNotFound) {
                try await bed.registry.banNode(node("x"), by: TestBed.admin, requestID: "r")
            }
            await #expect(throws: RegistryError.nodeNotFound) {
                try await bed.registry.evictNode(node("x"), by: TestBed.admin, requestID: "r")
            }
            await #expect(throws: RegistryError.nodeNotFound) {
                try await bed.registry.postStatus(node("x"), agentVersion: "1", by: TestBed.admin, requestID: "r")
            }
            try await bed.register("a")
            await #expect(throws: RegistryError.versionTooLong) {
                try await bed.registry.postStatus(
                    node("a"), agentVersion: String(repeating: "v", count: 256), by: TestBed.admin, requestID: "r")
            }
        }
    }

    @Test("a status that says nothing new writes nothing")
    func status() async throws {
        try await TestBed.run { bed in
            try await bed.register("a")
            try await bed.registry.postStatus(node("a"), agentVersion: "1", by: TestBed.admin, requestID: "r")
            let (writes, size) = (bed.nodes.table.writes, bed.log.size)
            try await bed.registry.postStatus(node("a"), agentVersion: "1", by: TestBed.admin, requestID: "r")
            #expect(bed.nodes.table.writes == writes)
            #expect(bed.log.size == size)
        }
    }

    @Test("purge forgets expired nodes, not banned ones, and a dry run only tells")
    func purge() async throws {
        try await TestBed.run { bed in
            try await bed.register("old", ttl: 10)
            try await bed.register("old-pop", ttl: 10, canReattest: true)
            try await bed.register("banned", ttl: 10)
            try await bed.registry.banNode(node("banned"), by: TestBed.admin, requestID: "r")
            try await bed.register("edge", ttl: 20)
            try await bed.register("young", ttl: 100)
            let time = bed.clock.now + 20
            func purge(_ canReattest: Bool?, dryRun: Bool) async throws -> [String] {
                try await bed.registry.purgeNodes(
                    expiredBefore: time, canReattest: canReattest, dryRun: dryRun, by: TestBed.admin, requestID: "r"
                ).map { String($0.id.path.split(separator: "/").last ?? "") }
            }
            let size = bed.log.size
            #expect(try await purge(nil, dryRun: true) == ["old", "old-pop"])
            #expect(bed.log.size == size)
            #expect(bed.registry.countNodes() == 5)
            #expect(try await purge(true, dryRun: false) == ["old-pop"])
            #expect(try await purge(nil, dryRun: false) == ["old"])
            #expect(bed.registry.countNodes() == 3)
            try await bed.expectConsistent()
        }
    }

    @Test("node lists have filters, pages and counts")
    func lists() async throws {
        try await TestBed.run { bed in
            for number in 0..<10 {
                try await bed.register(
                    "n\(number)", ttl: Int64(number + 1), canReattest: number < 3, selectors: ["s:\(number % 2)"],
                    type: number < 5 ? "join_token" : "x509pop")
            }
            try await bed.registry.banNode(node("n9"), by: TestBed.admin, requestID: "r")
            let all = try bed.registry.nodes().items
            let filters = [
                NodeFilter(attestationType: "x509pop"), NodeFilter(isBanned: true), NodeFilter(isBanned: false),
                NodeFilter(selectors: SetFilter([try Selector(parsing: "s:1")], match: .exact)),
                NodeFilter(canReattest: true), NodeFilter(expiresBefore: bed.clock.now + 4),
                NodeFilter(attestationType: "join_token", isBanned: false, canReattest: false),
            ]
            let counts = [5, 1, 9, 5, 3, 3, 2]
            for (filter, count) in zip(filters, counts) {
                #expect(bed.registry.countNodes(filter) == count)
                #expect(try bed.registry.nodes(filter).items == all.filter(filter.matches))
                var paged: [NodeRecord] = []
                var token = ""
                repeat {
                    let page = try bed.registry.nodes(filter, page: PageRequest(size: 2, token: token))
                    paged += page.items
                    token = page.nextToken
                } while !token.isEmpty
                #expect(paged == all.filter(filter.matches))
            }
            #expect(throws: RegistryError.badPageToken) {
                try bed.registry.nodes(page: PageRequest(size: 1, token: "?"))
            }
        }
    }
}
