import A2A
import AgentDirectory
import SPIFFE
import Testing

@testable import AgentRegistry

struct SearchTests {
    private static func skill(_ id: String, tags: [String] = [], description: String = "") -> AgentSkill {
        AgentSkill(id: id, name: id, description: description, tags: tags)
    }

    private static func prepare(_ bed: TestBed) async throws {
        try await bed.active(
            "risk",
            TestBed.card(
                "risk", description: "Scores portfolios",
                skills: [skill("risk_scoring", tags: ["finance", "Risk"]), skill("portfolio_analysis")],
                schemes: ["tls": .mutualTLS(SecurityScheme.MutualTLS(description: "SVID"))]))
        try await bed.active(
            "news",
            TestBed.card(
                "news", description: "Reads news about portfolio risk", skills: [skill("news", tags: ["finance"])]))
        try await bed.active("other", TestBed.card("other", description: "Übersetzt Texte"))
        try await bed.active(
            "hidden", TestBed.card("hidden", skills: [skill("risk_scoring")]), visibility: .nobody)
    }

    static let queries: [(change: @Sendable (inout SearchQuery) -> Void, found: [String])] = [
        ({ $0.text = "" }, ["risk", "news", "other"]),
        ({ $0.text = "risk" }, ["risk", "news"]),
        ({ $0.text = "PORTFOLIO risk" }, ["risk", "news"]),
        ({ $0.text = "news" }, ["news"]),
        ({ $0.text = "übersetzt" }, ["other"]),
        ({ $0.text = "nothing of this" }, []),
        ({ $0.text = "..." }, ["risk", "news", "other"]),
        ({ $0.skills = ["risk_scoring"] }, ["risk"]),
        ({ $0.skills = ["news", "risk_scoring"] }, ["risk", "news"]),
        ({ $0.tags = ["finance"] }, ["risk", "news"]),
        ({ $0.tags = ["Finance"] }, []),
        ({ $0.schemes = ["mtls"] }, ["risk"]),
        ({ $0.trustDomains = ["example.org"] }, ["risk", "news", "other"]),
        ({ $0.trustDomains = ["example.com"] }, []),
        (
            {
                $0.text = "portfolio"
                $0.tags = ["finance"]
                $0.skills = ["news"]
            }, ["news"]
        ),
    ]

    @Test(arguments: queries.indices)
    func `words, skills, tags, schemes and trust domains find the agents that the caller may see`(
        index: Int
    ) async throws {
        try await TestBed.run { bed in
            try await Self.prepare(bed)
            var query = SearchQuery()
            Self.queries[index].change(&query)
            let hits = try bed.registry.search(query, for: .anyone).items
            #expect(hits.map(\.listing.agent.name.text) == Self.queries[index].found)
            #expect(hits.allSatisfy { (1...100).contains($0.score) })
            #expect(hits.map(\.score) == hits.map(\.score).sorted(by: >))
        }
    }

    @Test func `a search follows what is approved, deprecated and revoked`() async throws {
        try await TestBed.run { bed in
            try await Self.prepare(bed)
            func found(_ text: String) throws -> [String] {
                var query = SearchQuery()
                query.text = text
                return try bed.registry.search(query, for: .anyone).items.map(\.listing.agent.name.text)
            }
            let next = try await bed.register("news", TestBed.card("news", version: "2", description: "Weather"))
            #expect(try found("weather") == [])
            _ = try await bed.registry.approve("news", digest: next.candidate.digest, by: TestBed.admin)
            #expect(try found("weather") == ["news"])
            #expect(try found("risk") == ["risk"])
            _ = try await bed.registry.deprecate("news", reason: "", by: TestBed.admin)
            #expect(try found("weather") == ["news"])
            _ = try await bed.registry.revoke("news", reason: "", by: TestBed.admin)
            #expect(try found("weather") == [])
            try await bed.expectConsistent()
        }
    }

    @Test func `pages of a search and of a list hold every agent once`() async throws {
        try await TestBed.run { bed in
            for number in 0..<7 { try await bed.active("a\(number)") }
            func walk(_ next: (String) throws -> ([String], String)) throws -> [String] {
                var names: [String] = []
                var token = ""
                repeat {
                    let (items, following) = try next(token)
                    #expect(items.count <= 3)
                    names += items
                    token = following
                } while !token.isEmpty
                return names
            }
            let all = (0..<7).map { "a\($0)" }
            for text in ["", "agent"] {
                var query = SearchQuery()
                query.text = text
                let found = try walk { token in
                    let page = try bed.registry.search(query, for: .anyone, size: 3, token: token)
                    return (page.items.map(\.listing.agent.name.text), page.nextToken)
                }
                #expect(found == all)
            }
            let listed = try walk { token in
                let page = try bed.registry.list(for: .anyone, size: 3, token: token)
                return (page.items.map(\.agent.name.text), page.nextToken)
            }
            #expect(listed == all)
            for token in ["x", "101.0", "1", "1.2.3", "01.1", "-1"] {
                #expect(throws: AgentRegistryError.badPageToken) {
                    try bed.registry.search(SearchQuery(), for: .anyone, token: token)
                }
            }
            #expect(throws: AgentRegistryError.badPageToken) { try bed.registry.list(for: .anyone, token: "007") }
        }
    }

    @Test func `values are counted among the agents that the caller may see`() async throws {
        try await TestBed.run { bed in
            try await Self.prepare(bed)
            func counts(_ facet: SearchQuery.Facet, _ viewer: RegistryViewer = .anyone) -> [String] {
                bed.registry.counts(SearchQuery(), of: facet, limit: 10, for: viewer).map { "\($0.value) \($0.count)" }
            }
            #expect(counts(.tag) == ["finance 2", "Risk 1"])
            #expect(counts(.skill) == ["news 1", "portfolio_analysis 1", "risk_scoring 1"])
            #expect(counts(.skill, .administrator).first == "risk_scoring 2")
            #expect(counts(.trustDomain) == ["example.org 3"])
        }
    }

    @Test(arguments: [
        ("risk_scoring", ["risk", "scoring"]), ("", []), ("a-b c.d", ["a", "b", "c", "d"]), ("ÄÖ ß", ["äö", "ß"]),
        ("日本 語", ["日本", "語"]), ("x\u{0}y", ["x", "y"]), ("GPT4o", ["gpt4o"]),
    ])
    func `words are runs of letters and digits in lower case`(text: String, words: [String]) {
        #expect(SearchText.words(text) == words)
    }

    @Test func `a word without an end is cut`() {
        let words = SearchText.words(String(repeating: "x", count: 1000))
        #expect(words.allSatisfy { $0.utf8.count <= SearchText.maximumWordLength + 4 })
    }
}
