import Attestation
import AuditTrail
import SPIFFE
import Testing

@testable import Registry

@Suite struct JoinTokenTests {
    private let nobody = AuditEvent.AgentField(authMethod: .none)

    @Test("a token names one node, once, until it ends")
    func once() async throws {
        try await TestBed.run { bed in
            let token = try await bed.registry.createJoinToken(by: TestBed.admin, requestID: "r")
            #expect(token.expiresAt == bed.clock.now + 600)
            #expect(token.value.utf8.count == 36)
            #expect(
                try await bed.registry.consumeJoinToken(token.value, by: nobody, requestID: "r") == node(token.value))
            await #expect(throws: RegistryError.joinTokenRefused(.unknown)) {
                try await bed.registry.consumeJoinToken(token.value, by: nobody, requestID: "r")
            }
        }
    }

    @Test("of 20 parallel tries with one token one succeeds")
    func race() async throws {
        try await TestBed.run { bed in
            let token = try await bed.registry.createJoinToken(by: TestBed.admin, requestID: "r")
            let winners = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        (try? await bed.registry.consumeJoinToken(token.value, by: nobody, requestID: "r")) != nil
                    }
                }
                return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(winners == 1)
        }
    }

    @Test("an expired token is refused and spent")
    func expired() async throws {
        try await TestBed.run { bed in
            let token = try await bed.registry.createJoinToken(ttl: 5, by: TestBed.admin, requestID: "r")
            bed.clock.advance(seconds: 5)
            await #expect(throws: RegistryError.joinTokenRefused(.expired)) {
                try await bed.registry.consumeJoinToken(token.value, by: nobody, requestID: "r")
            }
            await #expect(throws: RegistryError.joinTokenRefused(.unknown)) {
                try await bed.registry.consumeJoinToken(token.value, by: nobody, requestID: "r")
            }
        }
    }

    @Test("what cannot be a token is refused without asking the store", arguments: ["", "a/b", "..", "x y"])
    func malformed(value: String) async throws {
        try await TestBed.run { bed in
            await #expect(throws: RegistryError.joinTokenRefused(.malformed)) {
                try await bed.registry.consumeJoinToken(value, by: nobody, requestID: "r")
            }
            #expect(bed.tokens.table.writes == 0)
        }
    }

    @Test("refused tries leave no trace in the log, so nobody can fill it")
    func unrecordedRefusals() async throws {
        try await TestBed.run { bed in
            for _ in 0..<10 {
                _ = try? await bed.registry.consumeJoinToken("guess", by: nobody, requestID: "r")
            }
            #expect(bed.log.size == 0)
        }
    }

    @Test("tokens that break a rule are not made")
    func refusals() async throws {
        try await TestBed.run { bed in
            await #expect(throws: RegistryError.negativeTTL) {
                try await bed.registry.createJoinToken(ttl: -1, by: TestBed.admin, requestID: "r")
            }
            await #expect(throws: RegistryError.badJoinToken(.badCharacter)) {
                try await bed.registry.createJoinToken(value: "a b", by: TestBed.admin, requestID: "r")
            }
            await #expect(throws: RegistryError.invalidEntry(.reservedSPIFFEID)) {
                try await bed.registry.createJoinToken(
                    nodeAlias: id("/spire/agent/x"), by: TestBed.admin, requestID: "r")
            }
            _ = try await bed.registry.createJoinToken(value: "mine", by: TestBed.admin, requestID: "r")
            await #expect(throws: RegistryError.joinTokenExists) {
                try await bed.registry.createJoinToken(value: "mine", by: TestBed.admin, requestID: "r")
            }
            // The text of a used token cannot come back while its node is known.
            _ = try await bed.registry.consumeJoinToken("mine", by: nobody, requestID: "r")
            try await bed.register("mine")
            await #expect(throws: RegistryError.joinTokenExists) {
                try await bed.registry.createJoinToken(value: "mine", by: TestBed.admin, requestID: "r")
            }
            #expect(bed.registry.countEntries() == 0)
        }
    }

    @Test("a token that could not be stored leaves no alias behind")
    func aliasFault() async throws {
        try await TestBed.run { bed in
            bed.tokens.table.failNextWrite(.failed)
            await #expect(throws: RegistryError.storage(.failed("write"))) {
                try await bed.registry.createJoinToken(nodeAlias: id("/fleet"), by: TestBed.admin, requestID: "r")
            }
            #expect(bed.registry.countEntries() == 0)
            bed.entries.table.failNextWrite(.failed)
            await #expect(throws: RegistryError.storage(.failed("write"))) {
                try await bed.registry.createJoinToken(nodeAlias: id("/fleet"), by: TestBed.admin, requestID: "r")
            }
            #expect(bed.tokens.table.records.isEmpty)
            try await bed.expectConsistent()
        }
    }

    @Test("an alias is an entry under the node's ID, as SPIRE makes it")
    func alias() async throws {
        try await TestBed.run { bed in
            let token = try await bed.registry.createJoinToken(
                nodeAlias: id("/fleet"), by: TestBed.admin, requestID: "r")
            let entry = try #require(try bed.registry.entries().items.first)
            let nodeID = try node(token.value)
            #expect(try entry.spiffeID == id("/fleet"))
            #expect(entry.parentID == nodeID)
            #expect(entry.selectors.map(\.description) == ["spiffe_id:\(nodeID)"])
        }
    }

    @Test("neither the store nor the log ever holds an unused token")
    func secrecy() async throws {
        try await TestBed.run { bed in
            let token = try await bed.registry.createJoinToken(
                value: "very-secret-token", nodeAlias: id("/fleet"), by: TestBed.admin, requestID: "r")
            #expect(token.value == "very-secret-token")
            for record in bed.tokens.table.records.values {
                #expect(record.digest.utf8.count == 64)
                #expect(!"\(record)".contains("very-secret"))
            }
            for entry in try await bed.log.entries(from: 0, count: 100) {
                #expect(!String(decoding: entry.leaf, as: UTF8.self).contains("very-secret"))
            }
        }
    }

    @Test("a use that failed or cannot be recorded attests nobody", arguments: Fault.allCases)
    func consumeFaults(fault: Fault) async throws {
        try await TestBed.run { bed in
            let token = try await bed.registry.createJoinToken(by: TestBed.admin, requestID: "r")
            bed.tokens.table.failNextWrite(fault)
            await #expect(throws: RegistryError.storage(fault == .failed ? .failed("write") : .storageFull)) {
                try await bed.registry.consumeJoinToken(token.value, by: nobody, requestID: "r")
            }
            let other = try await bed.registry.createJoinToken(by: TestBed.admin, requestID: "r")
            bed.auditStore.setFull(true)
            await #expect(throws: RegistryError.audit(.storageFull)) {
                try await bed.registry.consumeJoinToken(other.value, by: nobody, requestID: "r")
            }
            bed.auditStore.setFull(false)
            await #expect(throws: RegistryError.joinTokenRefused(.unknown)) {
                try await bed.registry.consumeJoinToken(other.value, by: nobody, requestID: "r")
            }
        }
    }
}
