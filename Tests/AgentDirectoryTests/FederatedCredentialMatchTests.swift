import JOSE
import Testing

@testable import AgentDirectory

struct FederatedCredentialMatchTests {
    private let exact = Result<FederatedCredential, any Error> {
        try FederatedCredential(
            name: AgentName("k8s"), issuer: "https://issuer.example", subject: .exactly("spiffe://example.org/agent-a"),
            audiences: ["api://one", "api://two/"])
    }

    private static let claims: JSONObject = [
        "iss": "https://issuer.example", "sub": "spiffe://example.org/agent-a", "aud": "api://one",
    ]

    struct Row: Sendable {
        let claim: String
        let value: JSONValue?
        let result: FederatedCredentialMatch.Result
    }

    private static func differs(
        _ found: String, _ nearMiss: FederatedCredentialMatch.NearMiss? = nil
    ) -> FederatedCredentialMatch.Result { .differs(found: found, nearMiss: nearMiss) }

    static let rows: [Row] = [
        Row(claim: "iss", value: "https://issuer.example", result: .met),
        Row(claim: "iss", value: nil, result: .missing),
        Row(claim: "iss", value: 7, result: .wrongType),
        Row(claim: "iss", value: .null, result: .wrongType),
        Row(claim: "iss", value: "https://issuer.example/", result: differs("https://issuer.example/", .trailingSlash)),
        Row(claim: "iss", value: "https://Issuer.Example", result: differs("https://Issuer.Example", .letterCase)),
        Row(
            claim: "iss", value: " https://issuer.example\n", result: differs(" https://issuer.example\n", .whitespace)),
        Row(
            claim: "iss", value: "HTTPS://issuer.example/ ",
            result: differs("HTTPS://issuer.example/ ", [.letterCase, .trailingSlash, .whitespace])),
        Row(claim: "iss", value: "https://other.example", result: differs("https://other.example")),
        Row(claim: "iss", value: "", result: differs("")),
        Row(claim: "sub", value: "spiffe://example.org/agent-a", result: .met),
        Row(claim: "sub", value: nil, result: .missing),
        Row(claim: "sub", value: ["spiffe://example.org/agent-a"], result: .wrongType),
        Row(
            claim: "sub", value: "spiffe://example.org/Agent-A",
            result: differs("spiffe://example.org/Agent-A", .letterCase)),
        Row(claim: "sub", value: "spiffe://example.org/agent-ab", result: differs("spiffe://example.org/agent-ab")),
        Row(claim: "aud", value: "api://one", result: .met),
        Row(claim: "aud", value: ["api://one"], result: .met),
        Row(claim: "aud", value: "api://two/", result: .met),
        Row(claim: "aud", value: "api://two", result: differs("api://two", .trailingSlash)),
        Row(claim: "aud", value: nil, result: .missing),
        Row(claim: "aud", value: [], result: .missing),
        Row(claim: "aud", value: ["api://one", "api://two/"], result: .severalAudiences(2)),
        Row(claim: "aud", value: ["api://one", "api://one"], result: .severalAudiences(2)),
        Row(claim: "aud", value: [1], result: .wrongType),
        Row(claim: "aud", value: ["api://other"], result: differs("api://other")),
    ]

    @Test(arguments: rows)
    func `issuer, subject and audience are compared byte by byte, and near misses are named`(row: Row) throws {
        var claims = Self.claims
        claims[row.claim] = row.value
        let match = try exact.get().match(claims)
        #expect(match.checks.map(\.demand.claim) == ["iss", "sub", "aud"])
        let check = try #require(match.checks.first { $0.demand.claim == row.claim })
        #expect(check.result == row.result)
        #expect(match.isMatch == (row.result == .met))
        #expect(match.checks.filter { $0 != check }.allSatisfy { $0.result == .met })
    }

    @Test func `texts that only look equal are not`() throws {
        let decomposed = "https://issuer.example/e\u{301}"
        var claims = Self.claims
        claims["iss"] = .string(decomposed)
        #expect(try !exact.get().match(claims).isMatch)
    }

    @Test func `an expression is looked at condition by condition`() throws {
        let credential = try FederatedCredential(
            name: AgentName("ci"), issuer: "https://token.actions.githubusercontent.com",
            subject: .matching(
                ClaimsExpression(
                    "claims['repository_id'] eq '12' and claims['sub'] matches 'repo:acme/*' and claims['ref'] eq 'main'"
                )),
            audiences: ["api://one"])
        var claims: JSONObject = [
            "iss": "https://token.actions.githubusercontent.com", "aud": "api://one", "repository_id": "12",
            "sub": "repo:acme/site:ref", "ref": "main",
        ]
        #expect(credential.match(claims).isMatch)
        claims["ref"] = "Main"
        claims["sub"] = "repo:other/site"
        claims["repository_id"] = 12
        let match = credential.match(claims)
        #expect(!match.isMatch)
        #expect(
            match.checks.map(\.result) == [
                .met, .wrongType, .differs(found: "repo:other/site", nearMiss: nil),
                .differs(found: "Main", nearMiss: .letterCase), .met,
            ])
    }
}
