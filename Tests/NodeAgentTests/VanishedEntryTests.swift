import Attestation
import ControlPlane
import SPIFFE
import Testing
import WorkloadAPI

@testable import NodeAgent

/// What becomes of tokens whose entry the server has deleted and this node still knows.
@Suite(.serialized) struct VanishedEntryTests {
    @Test func `an entry that the server does not have any more has no token, and the others have theirs`() async throws
    {
        try await Lab().withConnection { connection, _, serving in
            let kept = try entry(try await serving.createEntry("/kept"), "/kept")
            let gone = try entry("gone", "/gone")
            let cache = AgentCache(bundle: serving.bundle, x509Limit: 10, jwtLimit: 10)
            let syncSignal = Signal()
            let tokens = TokenSource(cache: cache, syncSignal: syncSignal, logger: Lab.logger, now: Lab.now)
            tokens.use(connection)
            #expect(try await tokens.tokens(for: [gone], audience: ["a"]).isEmpty)
            // The exchange of entries is asked to tell.
            #expect(try await syncSignal.wait() == .change)
            #expect(try await tokens.tokens(for: [gone, kept, gone], audience: ["a"]).map(\.0.id) == [kept.id])

            let wits = WITSource(
                cache: cache, syncSignal: syncSignal, logger: Lab.logger, now: Lab.now, random: { 0.5 })
            wits.use(connection)
            #expect(try await wits.svids(for: [gone]).isEmpty)
            #expect(try await wits.svids(for: [gone, kept]).map(\.0.id) == [kept.id])
        }
    }

    @Test func `tokens whose node cannot reach the server are unavailable`() async throws {
        try await Lab().withConnection { connection, _, serving in
            let gone = try entry("gone", "/gone")
            let cache = AgentCache(bundle: serving.bundle, x509Limit: 10, jwtLimit: 10)
            let tokens = TokenSource(cache: cache, syncSignal: Signal(), logger: Lab.logger, now: Lab.now)
            let wits = WITSource(cache: cache, syncSignal: Signal(), logger: Lab.logger, now: Lab.now, random: { 0.5 })
            await #expect(throws: WorkloadAPIError.unavailable("the WIT-SVID cannot be signed now")) {
                try await wits.svids(for: [gone])
            }
            await #expect(throws: WorkloadAPIError.unavailable("the node agent is not ready")) {
                try await tokens.tokens(for: [gone], audience: ["a"])
            }
        }
    }

    /// Whether the exchange of entries or the signature finds it first.
    @Test func `a call whose entry is deleted in that moment is denied, never unavailable`() async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth()
        let serving = plane.value
        try await within(.seconds(60)) {
            try await lab.withWorkload { client in
                for round in 0..<Self.rounds {
                    let entry = try await serving.createEntry("/brief-\(round)")
                    _ = try await client.firstContext()
                    try await serving.deleteEntry(entry)
                    let error = await #expect(throws: WorkloadAPIError.self) {
                        if round.isMultiple(of: 2) {
                            _ = try await client.fetchJWTSVID(audience: ["a"])
                        } else {
                            for try await _ in client.streamWITSVIDs() {}
                        }
                    }
                    #expect(error == .permissionDenied("no identity issued"))
                }
            }
        }
        try await agent.stop()
        try await plane.stop()
    }

    private static let rounds = 20

    private func entry(_ id: String, _ path: String) throws -> AuthorizedEntry {
        AuthorizedEntry(
            id: id, spiffeID: try SPIFFEID("spiffe://lab.example\(path)"),
            selectors: [try Selector(parsing: "unix:uid:1")])
    }
}
