import AgentDirectory
import JOSE
import Registry
import SPIFFE
import Testing

@testable import AgentRegistry

struct RecordTests {
    private static let time = UnixTime(milliseconds: 1_800_000_000_123)
    private static let person = try! Person("ä b")

    static func version(
        _ number: Int64, _ stage: CardVersion.Stage, _ signature: CardSignature = .unsigned,
        _ source: CardVersion.Source = .agent
    ) -> CardVersion {
        CardVersion(
            number: number, version: "\(number).0", digest: String(repeating: "0\(number)", count: 32),
            signature: signature, source: source, registeredAt: time, stage: stage)
    }

    /// Agents with each field set, and with as few as there can be.
    static func agents() throws -> [RegisteredAgent] {
        [
            RegisteredAgent(
                id: "1", name: try AgentName("a"), identity: TestBed.id("a"),
                visibility: .entitled([TestBed.id("x"), TestBed.id("y")]), life: .deprecated(reason: "\u{0}é"),
                versions: [
                    version(1, .approved(by: person, at: time), .verified(keyID: "k")),
                    version(2, .approved(by: person, at: time), .unknownKey, .url("https://a.example/card")),
                    version(3, .pending, .unsigned, .administrator),
                ], current: 2,
                drift: RegisteredAgent.Drift(digest: String(repeating: "ab", count: 32), seenAt: time),
                createdAt: time),
            RegisteredAgent(
                id: "2", name: try AgentName("b"), identity: nil, visibility: .nobody, versions: [version(1, .draft)],
                createdAt: time),
            RegisteredAgent(
                id: "3", name: try AgentName("c"), identity: nil, visibility: .everyone, life: .revoked(reason: ""),
                versions: [version(1, .rejected(by: person, at: time, reason: "no"))], createdAt: time),
        ]
    }

    @Test func `an agent is read as it was written`() throws {
        for agent in try Self.agents() {
            let bytes = agent.storedBytes
            let read = try RegisteredAgent(id: agent.id, storedBytes: bytes)
            #expect(read == agent)
            #expect(read.storedBytes == bytes)
        }
    }

    @Test func `a record with a member more, a member less or another value is refused`() throws {
        for agent in try Self.agents() {
            let json = try #require(try JSONValue(parsing: agent.storedBytes).objectValue)
            func expectRefused(_ changed: JSONObject) {
                #expect(throws: StoreError.self) {
                    try RegisteredAgent(id: agent.id, storedBytes: changed.canonicalBytes)
                }
            }
            var more = json
            more["more"] = "x"
            expectRefused(more)
            for member in json.members where !["drift", "identity"].contains(member.name) {
                var less = json
                less[member.name] = Optional<JSONValue>.none
                // An agent of which no version is served is one, too.
                if member.name != "current" { expectRefused(less) }
                var other = json
                other[member.name] = .null
                expectRefused(other)
            }
            expectRefused(json.merging(["current": 17]))
            expectRefused(json.merging(["versions": []]))
            #expect(throws: StoreError.self) { try RegisteredAgent(id: "other", storedBytes: agent.storedBytes) }
        }
    }
}

extension JSONObject {
    fileprivate func merging(_ members: JSONObject) -> JSONObject {
        var merged = self
        for member in members.members { merged[member.name] = member.value }
        return merged
    }
}
