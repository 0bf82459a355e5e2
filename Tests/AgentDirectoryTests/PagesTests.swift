import Registry
import SPIFFE
import Testing

@testable import AgentDirectory

struct PagesTests {
    /// Agents in no order, some of the same moment.
    private static func snapshot(_ count: Int) throws -> DirectorySnapshot {
        var snapshot = DirectorySnapshot()
        for number in (0..<count).shuffled() {
            snapshot.put(
                AgentIdentity(
                    id: "id-\(number)", name: try AgentName("n\(number)"),
                    spiffeID: try SPIFFEID("spiffe://example.org/\(number)"), blueprintID: nil, owner: try Person("o"),
                    sponsor: try Person("s"), state: number.isMultiple(of: 3) ? .disabled : .enabled,
                    createdAt: UnixTime(seconds: Int64(number / 4))))
        }
        return snapshot
    }

    private func all(
        _ snapshot: DirectorySnapshot, size: Int, where isWanted: (AgentIdentity) -> Bool = { _ in true }
    ) throws -> [AgentIdentity] {
        var items: [AgentIdentity] = []
        var token = ""
        repeat {
            let page = try snapshot.agents(page: PageRequest(size: size, token: token), where: isWanted)
            #expect(page.items.count <= size)
            #expect(page.items.count == size || page.nextToken.isEmpty)
            items += page.items
            token = page.nextToken
        } while !token.isEmpty
        return items
    }

    @Test(arguments: [1, 2, 7, 99, 100, 101, 500])
    func `pages of any size give everything once, older first`(size: Int) throws {
        let snapshot = try Self.snapshot(100)
        let found = try all(snapshot, size: size)
        #expect(found.count == 100 && Set(found.map(\.id)).count == 100)
        #expect(zip(found, found.dropFirst()).allSatisfy { $0.createdAt <= $1.createdAt })
        let disabled = try all(snapshot, size: size) { $0.state == .disabled }
        #expect(disabled == found.filter { $0.state == .disabled })
    }

    @Test func `a page goes on where the one before ended, whatever has gone`() throws {
        var snapshot = try Self.snapshot(10)
        let first = try snapshot.agents(page: PageRequest(size: 4))
        let rest = try all(snapshot, size: 500).dropFirst(4)
        for agent in first.items { snapshot.remove(agent: agent.id) }
        #expect(try snapshot.agents(page: PageRequest(size: 100, token: first.nextToken)).items == Array(rest))
    }

    @Test(arguments: ["x", "1", ".", "1.", "01.x", "a.b"])
    func `a token that is not ours is refused`(token: String) throws {
        let snapshot = try Self.snapshot(1)
        #expect(throws: DirectoryError.badPageToken) { try snapshot.agents(page: PageRequest(token: token)) }
    }
}
