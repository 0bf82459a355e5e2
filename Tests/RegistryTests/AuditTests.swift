import Attestation
import AuditTrail
import JOSE
import SPIFFE
import Testing

@testable import Registry

@Suite struct AuditTests {
    struct Act: CustomTestStringConvertible {
        let name: String
        let summaries: [String]
        let action: String
        let prepare: @Sendable (TestBed) async throws -> Void
        let run: @Sendable (TestBed) async throws -> Void
        var testDescription: String { name }

        /// An act that is done: intent and outcome.
        static func done(
            _ type: String, _ action: String, prepare: @escaping @Sendable (TestBed) async throws -> Void = { _ in },
            _ run: @escaping @Sendable (TestBed) async throws -> Void
        ) -> Act {
            Act(
                name: action + " done",
                summaries: ["\(type) intent permit -", "\(type) outcome permit occurred"], action: action,
                prepare: prepare, run: run)
        }

        /// An act that a rule refuses: one record.
        static func denied(
            _ type: String, _ action: String, prepare: @escaping @Sendable (TestBed) async throws -> Void = { _ in },
            _ run: @escaping @Sendable (TestBed) async throws -> Void
        ) -> Act {
            Act(
                name: action + " denied", summaries: ["\(type) single deny none"], action: action, prepare: prepare,
                run: run)
        }
    }

    private static let caller = AuditEvent.AgentField(
        id: "spiffe://example.org/admin", authMethod: .mtls, peer: AuditEvent.PeerField(address: "192.0.2.1:5"))

    private static func draft(_ path: String = "/web", id entryID: String = "e") throws -> EntryDraft {
        EntryDraft(id: entryID, spiffeID: try id(path), selectors: [try Selector(parsing: "secret:value")])
    }

    private static func registration() throws -> NodeRegistration {
        NodeRegistration(
            id: try node("n"), attestationType: "join_token", serial: try SerialNumber([1]),
            expiresAt: UnixTime(seconds: 1_800_000_010), canReattest: false, selectors: [try Selector(parsing: "x:1")])
    }

    private static let entry: @Sendable (TestBed) async throws -> Void = {
        _ = try await $0.registry.createEntry(draft(), by: caller, requestID: "request-1")
    }
    private static let attested: @Sendable (TestBed) async throws -> Void = {
        try await $0.registry.registerNode(registration(), by: caller, requestID: "request-1")
    }
    private static let renewed: @Sendable (TestBed) async throws -> Void = {
        try await $0.registry.renewNode(
            node("n"), serial: SerialNumber([2]), expiresAt: $0.clock.now + 9, by: caller, requestID: "request-1")
    }
    private static let updated: @Sendable (TestBed) async throws -> Void = {
        _ = try await $0.registry.updateEntry("e", draft(), by: caller, requestID: "request-1")
    }
    private static let deleted: @Sendable (TestBed) async throws -> Void = {
        try await $0.registry.deleteEntry("e", by: caller, requestID: "request-1")
    }
    private static let status: @Sendable (TestBed) async throws -> Void = {
        try await $0.registry.postStatus(node("n"), agentVersion: "1", by: caller, requestID: "request-1")
    }
    private static let banned: @Sendable (TestBed) async throws -> Void = {
        try await $0.registry.banNode(node("n"), by: caller, requestID: "request-1")
    }
    private static let evicted: @Sendable (TestBed) async throws -> Void = {
        try await $0.registry.evictNode(node("n"), by: caller, requestID: "request-1")
    }
    private static let purged: @Sendable (TestBed) async throws -> Void = {
        _ = try await $0.registry.purgeNodes(expiredBefore: $0.clock.now + 99, by: caller, requestID: "request-1")
    }
    private static let token: @Sendable (TestBed) async throws -> Void = {
        _ = try await $0.registry.createJoinToken(ttl: 1, value: "t", by: caller, requestID: "request-1")
    }
    private static let badToken: @Sendable (TestBed) async throws -> Void = {
        _ = try await $0.registry.createJoinToken(ttl: -1, by: caller, requestID: "request-1")
    }
    private static let consumed: @Sendable (TestBed) async throws -> Void = {
        _ = try await $0.registry.consumeJoinToken("t", by: caller, requestID: "request-1")
    }
    private static let bundleSet: @Sendable (TestBed) async throws -> Void = {
        try await $0.registry.writeFederatedBundle(
            TrustDomain("x.org"), document: [1], .create, by: caller, requestID: "request-1")
    }
    private static let bundleDeleted: @Sendable (TestBed) async throws -> Void = {
        try await $0.registry.deleteFederatedBundle(
            TrustDomain("x.org"), .restrict, by: caller, requestID: "request-1")
    }

    static let acts: [Act] = [
        .done("entry.create", "create", entry),
        .denied("entry.create", "create", prepare: entry) {
            _ = try await $0.registry.createEntry(draft(id: "f"), by: caller, requestID: "request-1")
        },
        .denied("entry.create", "create") {
            _ = try await $0.registry.createEntry(draft("/spire/x"), by: caller, requestID: "request-1")
        },
        .done("entry.update", "update", prepare: entry, updated), .denied("entry.update", "update", updated),
        .done("entry.delete", "delete", prepare: entry, deleted), .denied("entry.delete", "delete", deleted),
        .done("node.attest", "register", attested), .denied("node.attest", "register", prepare: attested, attested),
        .done("node.renew", "renew", prepare: attested, renewed), .denied("node.renew", "renew", renewed),
        .done("node.status", "status", prepare: attested, status), .denied("node.status", "status", status),
        .done("node.ban", "ban", prepare: attested, banned), .denied("node.ban", "ban", banned),
        .done("node.evict", "evict", prepare: attested, evicted), .denied("node.evict", "evict", evicted),
        .done("node.purge", "purge", prepare: attested, purged),
        .done("token.create", "create", token), .denied("token.create", "create", badToken),
        Act(
            name: "consume done", summaries: ["token.consume single permit occurred"], action: "consume",
            prepare: token, run: consumed),
        Act(
            name: "consume expired", summaries: ["token.consume single deny occurred"], action: "consume",
            prepare: { bed in
                try await token(bed)
                bed.clock.advance(seconds: 1)
            }, run: consumed),
        .done("bundle.set", "create", bundleSet), .denied("bundle.set", "create", prepare: bundleSet, bundleSet),
        .done("bundle.delete", "delete.restrict", prepare: bundleSet, bundleDeleted),
        .denied("bundle.delete", "delete.restrict", bundleDeleted),
    ]

    @Test("every act is in the log with its actor and the seven fields, denied ones too", arguments: acts)
    func events(act: Act) async throws {
        try await TestBed.run { bed in
            try await act.prepare(bed)
            let size = bed.log.size
            _ = try? await act.run(bed)
            let events = try await bed.events(from: size)
            #expect(events.map(\.summary) == act.summaries)
            for event in events {
                #expect(event.action == act.action)
                #expect(event.text("agent", "id") == "spiffe://example.org/admin")
                #expect(event.text("agent", "auth_method") == "mtls")
                #expect(event.text("correlation", "request_id") == "request-1")
                #expect(event.resource?.isEmpty == false)
                #expect(event.text("time") != nil)
                #expect((event.result == "deny") == (event.reason != nil))
                let members = Set(event.json.objectValue?.members.map(\.name) ?? [])
                #expect(
                    members.isSuperset(of: [
                        "agent", "delegation", "resource", "decision", "correlation", "time", "posture", "remediation",
                    ]))
            }
            if events.count == 2 {
                #expect(events[1].intentID == events[0].id)
                #expect(events[0].intentID == nil)
            }
        }
    }

    @Test("bans, evictions and purges say what was taken back and why; attestation says on what evidence")
    func remediationAndPosture() async throws {
        try await TestBed.run { bed in
            try await Self.attested(bed)
            try await bed.registry.banNode(node("n"), by: Self.caller, requestID: "r", cause: "stolen")
            let events = try await bed.events()
            #expect(events.first?.text("posture", "level") == "attested")
            #expect(events.last?.text("remediation", "action") == "ban")
            #expect(events.last?.text("remediation", "cause") == "stolen")
        }
    }

    @Test("the first use of a renewed serial is recorded as the node's own act")
    func activation() async throws {
        try await TestBed.run { bed in
            try await Self.attested(bed)
            try await Self.renewed(bed)
            let size = bed.log.size
            for _ in 0..<2 {
                try await bed.registry.checkNode(
                    node("n"), serial: SerialNumber([2]), expiresAt: bed.clock.now + 1)
            }
            let events = try await bed.events(from: size)
            #expect(events.map(\.summary) == ["node.renew intent permit -", "node.renew outcome permit occurred"])
            #expect(events.map(\.action) == ["activate", "activate"])
            #expect(events.first?.text("agent", "id") == (try node("n").string))
        }
    }

    @Test("selector values never enter the log")
    func noSelectors() async throws {
        try await TestBed.run { bed in
            try await Self.entry(bed)
            for entry in try await bed.log.entries(from: 0, count: 10) {
                #expect(!String(decoding: entry.leaf, as: UTF8.self).contains("secret"))
            }
        }
    }

    @Test("the digest of a draft changes with every field")
    func digests() throws {
        let base = try Self.draft()
        var digests: Set<String> = [base.digest(), base.digest(mask: .hint)]
        let changes: [(inout EntryDraft) throws -> Void] = [
            { $0.id = nil }, { $0.spiffeID = nil }, { $0.parentID = try id("/p") }, { $0.selectors = [] },
            { $0.x509SVIDTTL = 1 }, { $0.jwtSVIDTTL = 1 }, { $0.federatesWith = [try TrustDomain("x.org")] },
            { $0.isAdmin = true }, { $0.isDownstream = true }, { $0.storeSVID = true },
            { $0.expiresAt = UnixTime(seconds: 1) }, { $0.dnsNames = ["a"] }, { $0.dnsNames = ["", "a"] },
            { $0.hint = "a" }, { $0.attributes.disableX509SVIDPrefetch = true },
            { $0.attributes.jwtSVIDIncludeJTI = true },
        ]
        for change in changes {
            var draft = base
            try change(&draft)
            digests.insert(draft.digest())
        }
        #expect(digests.count == changes.count + 2)
    }
}
