import JOSE
import OAuth
import Registry
import SPIFFE
import Testing

@testable import AgentDirectory

struct RecordTests {
    /// Records with each field set, and with as few as there can be.
    static func records() throws -> [DirectoryRecord] {
        let time = UnixTime(milliseconds: 1_800_000_000_123)
        let digest = Array(UInt8(0)..<32)
        let federated = [
            try FederatedCredential(
                name: AgentName("one"), issuer: "https://i.example", subject: .exactly("s"), audiences: ["a", "b"],
                description: "d\u{0}é"),
            try FederatedCredential(
                name: AgentName("two"), issuer: "https://gitlab.com",
                subject: .matching(ClaimsExpression("claims['sub'] eq 'x' and claims['ref'] matches 'a*'"))),
        ]
        let proofs: [ClientCredential.Proof] = [
            .secret(digest: digest), .key(try Keys.p256()), .key(try Keys.rsa()),
            .selfSignedCertificate(digest: digest),
            .certificateName(.dns("a.example")), .certificateName(.uri("urn:x")),
        ]
        return [
            .blueprint(
                AgentBlueprint(
                    id: "b1", name: try AgentName("b"), description: "text", allowedScopes: try Scope("x y"),
                    allowedAudiences: ["api://b", "api://a"], credentialKinds: [.jwtSVID, .clientSecret],
                    maximumTokenLifetime: 61, maximumActorDepth: 3, sponsor: try Person("ä b"), isEnabled: false,
                    operatorID: "a2", createdAt: time)),
            .blueprint(
                AgentBlueprint(
                    id: "b2", name: try AgentName("c"), allowedScopes: .empty, allowedAudiences: [],
                    credentialKinds: [.x509SVID], sponsor: try Person("p"), createdAt: time)),
            .agent(
                AgentIdentity(
                    id: "a1", name: try AgentName("a"), spiffeID: try SPIFFEID("spiffe://example.org/a"),
                    blueprintID: "b1", owner: try Person("o"), sponsor: try Person("s"), state: .disabled,
                    expiresAt: time + 1, createdAt: time, federatedCredentials: federated,
                    clientCredentials: proofs.enumerated().map { number, proof in
                        ClientCredential(
                            id: "c\(number)", proof: proof, createdAt: time, expiresAt: number == 0 ? time + 5 : nil)
                    })),
            .agent(
                AgentIdentity(
                    id: "a2", name: try AgentName("z"), spiffeID: try SPIFFEID("spiffe://example.org/z"),
                    blueprintID: nil, owner: try Person("o"), sponsor: try Person("s"), createdAt: time)),
            .resource(
                ProtectedResource(
                    id: "api://b", description: "r", scopes: try Scope("read write"), profile: .entra,
                    tokenLifetime: 60, binding: .required, agentID: "a1", createdAt: time)),
            .resource(ProtectedResource(id: "api://c", scopes: .empty, createdAt: time)),
            .grant(
                AgentGrant(
                    id: "g1", agentID: "a1", resourceID: "api://b", scopes: try Scope("read"), use: .delegated,
                    expiresAt: time + 9, createdAt: time)),
            .grant(
                AgentGrant(
                    id: "g2", agentID: "a2", resourceID: "api://c", scopes: try Scope("x"), createdAt: time)),
        ]
    }

    private func read(_ record: DirectoryRecord, _ bytes: [UInt8]) throws(StoreError) -> DirectoryRecord {
        var pool = TextPool()
        return try DirectoryRecord(kind: record.kind.rawValue, id: record.id, storedBytes: bytes, pool: &pool)
    }

    @Test func `records keep every field, in canonical form`() throws {
        for record in try Self.records() {
            let bytes = record.storedBytes
            #expect(try read(record, bytes) == record)
            #expect(try JSONValue(parsing: bytes).canonicalBytes == bytes)
        }
    }

    @Test func `a record with a member missing, added, or of another type is damaged`() throws {
        let optional = ["expires_at", "blueprint", "agent", "operator"]
        for record in try Self.records() {
            let json = try #require(JSONValue(parsing: record.storedBytes).objectValue)
            var more = json
            more["unknown"] = true
            #expect(throws: StoreError.self) { try read(record, more.canonicalBytes) }
            for member in json.members {
                var changed = json
                changed[member.name] = [[]]
                #expect(throws: StoreError.self, "\(member.name)") { try read(record, changed.canonicalBytes) }
                changed[member.name] = nil
                guard !optional.contains(member.name) else { continue }
                #expect(throws: StoreError.self, "\(member.name)") { try read(record, changed.canonicalBytes) }
            }
        }
    }

    @Test func `damage inside of credentials is found too`() throws {
        let record = try Self.records()[2]
        let text = String(decoding: record.storedBytes, as: UTF8.self)
        let damages = [
            (#""subject":"s""#, #""subject":"""#), (#""subject":"s""#, #""other":"s""#),
            (#""issuer":"https://gitlab.com""#, #""issuer":"https://gitlab.com","subject":"x""#),
            (#"claims['sub'] eq 'x'"#, #"claims['sub'] is 'x'"#), (#""dns":"a.example""#, #""dns":"a","uri":"b""#),
            (#""dns":"a.example""#, #""dnss":"a.example""#), (#""crv":"P-256""#, #""crv":"P-257""#),
            (#""secret":"AAEC"#, #""secret":""#), (#""state":"disabled""#, #""state":"gone""#),
        ]
        for (from, to) in damages {
            let damaged = text.split(separator: from, maxSplits: 1, omittingEmptySubsequences: false)
            try #require(damaged.count == 2, "\(from)")
            #expect(throws: StoreError.self, "\(from)") {
                try read(record, Array("\(damaged[0])\(to)\(damaged[1])".utf8))
            }
        }
    }

    @Test func `a record under another identifier or of an unknown kind is damaged`() throws {
        let record = try Self.records()[0]
        var pool = TextPool()
        for (kind, id) in [("blueprint", "b2"), ("agent", "b1"), ("other", "b1"), ("", "b1")] {
            #expect(throws: StoreError.self) {
                try DirectoryRecord(kind: kind, id: id, storedBytes: record.storedBytes, pool: &pool)
            }
        }
        #expect(throws: StoreError.self) { try read(record, Array("{".utf8)) }
        #expect(throws: StoreError.self) { try read(record, []) }
    }

    @Test func `what two records contradict each other in is found when they are loaded`() throws {
        let records = try Self.records()
        var snapshot = DirectorySnapshot()
        for record in records { try snapshot.restore(record) }
        try snapshot.checkRestored()
        #expect(snapshot.contents.count == records.count)
        for record in records { #expect(throws: StoreError.self) { try snapshot.restore(record) } }
        let time = UnixTime(seconds: 1)
        func agent(_ id: String, _ name: String, _ path: String) throws -> DirectoryRecord {
            .agent(
                AgentIdentity(
                    id: id, name: try AgentName(name), spiffeID: try SPIFFEID("spiffe://example.org/\(path)"),
                    blueprintID: nil, owner: try Person("o"), sponsor: try Person("s"), createdAt: time))
        }
        #expect(throws: StoreError.self) { try snapshot.restore(agent("n", "a", "new")) }
        #expect(throws: StoreError.self) { try snapshot.restore(agent("n", "new", "a")) }
        try snapshot.restore(agent("n", "new", "new"))
        // The grant `g1` is of `a1` on `api://b`; `a1` is made from `b1`.
        for missing in [records[0], records[2], records[4]] {
            var incomplete = DirectorySnapshot()
            for record in records where record != missing { try incomplete.restore(record) }
            #expect(throws: StoreError.self, "\(missing.id)") { try incomplete.checkRestored() }
        }
    }
}
