import A2A
import AgentDirectory
import AgentRegistry
import AuditTrail
import Crypto
import Registry
import SPIFFE
import TransparencyLog

/// Searches in a registry of many agents: how long each takes, in wall time on one thread.
///
/// usage: AgentRegistryBenchmark [AGENTS] [SEARCHES]
@main
struct AgentRegistryBenchmark {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst().compactMap { Int($0) }
        let agents = arguments.first ?? 100_000
        let searches = arguments.dropFirst().first ?? 2_000
        let clock = ContinuousClock()
        var registry: AgentRegistry?
        let store = ManyAgents(agents: try (0..<agents).map { try ManyAgents.agent($0) })
        let opening = try await clock.measure { registry = try await open(store) }
        guard let registry else { return }
        print("\(agents) agents, read in \(milliseconds(opening)) ms")
        print("search, caller without identity                    p50 ms     p99 ms    max ms")
        for (name, query) in queries {
            var times: [Duration] = []
            for _ in 0..<searches {
                times.append(clock.measure { _ = try? registry.search(query, for: .anyone, size: 20) })
            }
            times.sort()
            let columns = [times[times.count / 2], times[times.count * 99 / 100], times[times.count - 1]]
            print(pad(name, 46) + columns.map { pad(milliseconds($0), 11, left: true) }.joined())
        }
    }

    private static var queries: [(String, SearchQuery)] {
        func query(_ text: String, tags: [String] = [], skills: [String] = []) -> SearchQuery {
            var query = SearchQuery()
            query.text = text
            query.tags = tags
            query.skills = skills
            return query
        }
        return [
            ("one rare word", query("agent4242")),
            ("one word that one in a hundred has", query("topic7")),
            ("one word that all have", query("agent")),
            ("six words, three of which all have", query("an agent that does topic7 for field3")),
            ("a skill", query("", skills: ["skill_42"])),
            ("words and a tag that one in ten has", query("agent topic7", tags: ["field3"])),
            ("everything", query("")),
        ]
    }

    private static func open(_ store: ManyAgents) async throws -> AgentRegistry {
        let log = try await AuditLog.open(
            store: MemoryAuditStore(),
            signer: NoteSigner(name: "example.org/log", privateKey: Curve25519.Signing.PrivateKey()),
            origin: "example.org/log", now: { UnixTime(seconds: 1_800_000_000) }, randomBytes: randomBytes)
        return try await AgentRegistry.open(
            store: store, audit: log, judge: { _ in .unsigned }, barred: { { _ in false } }, nameHolder: { _ in nil },
            now: { UnixTime(seconds: 1_800_000_000) }, randomBytes: randomBytes)
    }

    private static func randomBytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    private static func milliseconds(_ duration: Duration) -> String {
        let micros = duration.components.seconds * 1_000_000 + duration.components.attoseconds / 1_000_000_000_000
        let fraction = String(1000 + micros % 1000).dropFirst()
        return "\(micros / 1000).\(fraction)"
    }

    private static func pad(_ text: String, _ width: Int, left: Bool = false) -> String {
        let gap = String(repeating: " ", count: max(0, width - text.utf8.count))
        return left ? gap + text : text + gap
    }
}

/// A store of agents that are alike but for their numbers; every tenth is private.
private struct ManyAgents: AgentRegistryStore {
    let agents: [StoredAgent]

    func load() async throws(StoreError) -> [StoredAgent] { agents }

    static func agent(_ number: Int) throws -> StoredAgent {
        let id = try SPIFFEID("spiffe://example.org/agent/\(number)")
        let card = AgentCard(
            name: "Agent\(number)", description: "An agent that does topic\(number % 100) for those who ask",
            version: "1.0.0",
            supportedInterfaces: [
                AgentInterface(url: "https://agent\(number).example.org/a2a", protocolBinding: .jsonRPC)
            ],
            capabilities: AgentCapabilities(
                streaming: true, extensions: [try CardIdentity(spiffeID: id).agentExtension]),
            skills: (0..<3).map { skill in
                AgentSkill(
                    id: "skill_\((number + skill) % 1000)", name: "Skill \((number + skill) % 1000)",
                    description: "Does what skills of its kind do, for field\(number % 10)",
                    tags: ["field\(number % 10)", "kind\(skill)"])
            })
        let bytes = card.jsonBytes
        let time = UnixTime(milliseconds: Int64(number))
        let version = CardVersion(
            number: 1, version: card.version, digest: HexText.encode(SHA256.hash(data: bytes)), signature: .unsigned,
            source: .agent, registeredAt: time, stage: .approved(by: try Person("ann@example.org"), at: time))
        return StoredAgent(
            agent: RegisteredAgent(
                id: "\(number)", name: try AgentName("agent\(number)"), identity: id,
                visibility: number % 10 == 0 ? .nobody : .everyone, versions: [version], current: 1, createdAt: time),
            cards: [bytes])
    }

    func apply(_ changes: [AgentRegistryChange]) async throws(StoreError) { throw .failed("not for writing") }

    func card(agentID: String, digest: String) async throws(StoreError) -> [UInt8]? { nil }
}
