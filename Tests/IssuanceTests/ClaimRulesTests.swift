import AuditTrail
import JOSE
import SPIFFE
import Testing

@testable import Issuance

struct ClaimRulesTests {
    private func subject(_ path: String, hint: String = "", entryID: String? = "e-1") throws -> ClaimSubject {
        ClaimSubject(id: try SPIFFEID("spiffe://example.org\(path)"), hint: hint, entryID: entryID)
    }

    private func rule(
        _ path: String, kinds: Set<ClaimRule.Kind> = [.jwt, .wit], required: Bool = false, _ add: JSONObject
    ) throws -> ClaimRule {
        try ClaimRule(path: path, kinds: kinds, isRequired: required, add: add)
    }

    private func rule(required: Bool = false, _ add: JSONObject) throws -> ClaimRule {
        try rule("/**", required: required, add)
    }

    // MARK: patterns

    @Test(
        "a pattern takes whole segments, and the rest only at its end",
        arguments: [
            ("/a", "/a", true), ("/a", "/b", false), ("/a", "/A", false), ("/a", "/a/b", false), ("/a/b", "/a", false),
            ("/*", "/a", true), ("/*", "/a/b", false), ("/*/b", "/a/b", true), ("/*/b", "/a/c", false),
            ("/**", "/a", true), ("/**", "/a/b/c", true), ("/a/**", "/a", false), ("/a/**", "/a/b", true),
            ("/a/**", "/a/b/c", true), ("/a/**", "/ab/c", false), ("/team/*/agent/**", "/team/x/agent/y/z", true),
            ("/team/*/agent/**", "/team/x/tool/y", false), ("/team/*/agent/**", "/team/agent/x", false),
            ("/*/*", "/a/b", true), ("/*/*", "/a", false),
        ])
    func patterns(pattern: String, path: String, matches: Bool) throws {
        let claims = try ClaimRules([try rule(pattern, ["c": true])]).claims(in: .jwt, for: try subject(path))
        #expect(claims == (matches ? ["c": true] : [:]))
    }

    @Test(
        "what is no pattern is refused",
        arguments: [
            "", "a", "spiffe://example.org/a", "/", "//", "/a/", "/a//b", "/a/../b", "/a b", "/a*", "/*a", "/**/a",
            "/a/***", "/a/**/", "/ä", "/a?", "/spire", "/spire/agent/**", "/spire/*",
        ])
    func badPatterns(pattern: String) {
        let error = #expect(throws: ClaimRuleError.self) { try ClaimRule(path: pattern, add: ["c": true]) }
        guard case .path = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    // MARK: names

    @Test(
        "a name that a standard gives its meaning to is refused, in whatever case",
        arguments: [
            "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "act", "may_act", "client_id", "scope", "scp",
            "azp",
            "tid", "oid", "appid", "nonce", "acr", "amr", "sid", "events", "txn", "sub_id", "email", "email_verified",
            "preferred_username", "upn", "tctx", "rctx", "status", "vct", "authorization_details", "htm", "htu", "ath",
            "SUB", "Aud", "May_Act", "spiffe_id", "spiffe", "Spiffe.x", "agentshield", "agentshield_root", "_sd",
            "_sd_alg", "...",
        ])
    func reservedNames(name: String) {
        #expect(throws: ClaimRuleError.claim(name, .reserved)) { try ClaimRule(path: "/**", add: [name: "x"]) }
    }

    @Test func `a name is one word of ASCII within its bounds`() throws {
        for (name, problem) in [
            ("", ClaimProblem.emptyName), ("a b", .badName), ("ä", .badName), ("a\"", .badName), ("a\\", .badName),
            ("a\u{7f}", .badName), ("\u{430}ud", .badName), (String(repeating: "n", count: 64), .nameTooLong),
        ] {
            #expect(throws: ClaimRuleError.claim(name, problem)) { try ClaimRule(path: "/**", add: [name: "x"]) }
        }
        for name in ["team", "https://example.org/team", "groups", "roles", "a", String(repeating: "n", count: 63)] {
            #expect(throws: Never.self) { try ClaimRule(path: "/**", add: [name: "x"]) }
        }
    }

    // MARK: templates

    @Test(
        "placeholders stand for what is known of the identity",
        arguments: [
            ("plain", "plain"), ("", ""), ("{spiffe_id}", "spiffe://example.org/team/red/agent"),
            ("{trust_domain}", "example.org"), ("{path}", "/team/red/agent"), ("{path[1]}", "team"),
            ("{path[3]}", "agent"), ("{hint}", "h"), ("{entry_id}", "e-1"), ("x-{path[2]}-{hint}-y", "x-red-h-y"),
            ("{{{path[2]}}}", "{red}"), ("{{path}}", "{path}"), ("}}{{", "}{"), ("{path[1]}{path[2]}", "teamred"),
        ])
    func placeholders(template: String, text: String) throws {
        let claims = try ClaimRules([try rule(["c": .string(template)])])
            .claims(in: .jwt, for: try subject("/team/red/agent", hint: "h"))
        #expect(claims == ["c": .string(text)])
    }

    @Test func `texts inside arrays and objects are templates too, everything else is a constant`() throws {
        let claims = try ClaimRules([
            try rule([
                "list": ["team-{path[1]}", 1, true], "map": ["team": "{path[1]}", "deep": [["{path[1]}"]]],
                "number": .number(try #require(JSONNumber(1.5))), "yes": true,
            ])
        ]).claims(in: .wit, for: try subject("/red"))
        #expect(
            claims == [
                "list": ["team-red", 1, true], "map": ["team": "red", "deep": [["red"]]],
                "number": .number(try #require(JSONNumber(1.5))), "yes": true,
            ])
    }

    static let badValues: [(JSONValue, ClaimProblem)] = [
        (nil, .null), (["a", nil], .null), ("{", .openBrace), ("a}", .openBrace), ("{path", .openBrace),
        ("{}", .unknownPlaceholder("")), ("{selector}", .unknownPlaceholder("selector")),
        ("{ path }", .unknownPlaceholder(" path ")), ("{PATH}", .unknownPlaceholder("PATH")),
        ("{env[HOME]}", .unknownPlaceholder("env[HOME]")), ("{path[1]", .openBrace),
        ("{path[0]}", .badSegment("path[0]")), ("{path[-1]}", .badSegment("path[-1]")),
        ("{path[01]}", .badSegment("path[01]")), ("{path[]}", .badSegment("path[]")),
        ("{path[10000]}", .badSegment("path[10000]")), ("{path[٣]}", .badSegment("path[٣]")),
        ("a\nb", .controlCharacter), (.string(String(repeating: "a", count: 1025)), .textTooLong),
        ([[[[["a"]]]]], .tooDeep), (.array(Array(repeating: true, count: 64)), .tooManyValues),
        (["": 1], .emptyName), ([["x": "{nope}"]], .unknownPlaceholder("nope")),
    ]

    @Test("a value outside the bounds is refused", arguments: badValues)
    func refusedValues(value: JSONValue, problem: ClaimProblem) {
        #expect(throws: ClaimRuleError.claim("c", problem)) { try ClaimRule(path: "/**", add: ["c": value]) }
    }

    @Test func `values at the bounds are taken`() throws {
        for value: JSONValue in [
            .string(String(repeating: "a", count: 1024)), [[[["a"]]]], .array(Array(repeating: true, count: 63)),
        ] {
            #expect(throws: Never.self) { try ClaimRule(path: "/**", add: ["c": value]) }
        }
    }

    @Test(
        "a claim whose placeholder has no value is left out, or the token is refused where it is required",
        arguments: ["{path[3]}", "{hint}", "{entry_id}"])
    func missing(template: String) throws {
        let subject = try subject("/a/b", entryID: nil)
        for value: JSONValue in [.string(template), .string("x" + template), ["x", .string(template)]] {
            let add: JSONObject = ["c": value, "d": 1]
            #expect(try ClaimRules([try rule(add)]).claims(in: .jwt, for: subject) == ["d": 1])
            #expect(throws: ClaimRefusal.noValue(claim: "c")) {
                try ClaimRules([try rule(required: true, add)]).claims(in: .jwt, for: subject)
            }
        }
    }

    // MARK: rules together

    @Test func `of two rules the first that has a value wins, and each kind has its own`() throws {
        let rules = try ClaimRules([
            try rule("/a/*", kinds: [.jwt], ["team": "{path[3]}", "own": 1]),
            try rule("/a/b", kinds: [.jwt], ["team": "special", "own": 2]),
            try rule("/**", kinds: [.wit, .jwt], required: true, ["team": "general", "wide": true]),
        ])
        #expect(
            try rules.claims(in: .jwt, for: try subject("/a/b")) == ["team": "special", "own": 1, "wide": true])
        #expect(
            try rules.claims(in: .jwt, for: try subject("/a/c")) == ["team": "general", "own": 1, "wide": true])
        #expect(try rules.claims(in: .wit, for: try subject("/a/b")) == ["team": "general", "wide": true])
    }

    @Test func `what an earlier rule gave satisfies one that requires it`() throws {
        let rules = try ClaimRules([
            try rule("/a", ["team": "fixed"]), try rule("/**", required: true, ["team": "{path[2]}"]),
        ])
        #expect(try rules.claims(in: .jwt, for: try subject("/a")) == ["team": "fixed"])
        #expect(throws: ClaimRefusal.noValue(claim: "team")) { try rules.claims(in: .jwt, for: try subject("/b")) }
    }

    @Test func `rules, their claims and what they add together have bounds`() throws {
        let one = try rule(["c": true])
        #expect(throws: Never.self) { try ClaimRules(Array(repeating: one, count: 64)) }
        #expect(throws: ClaimRuleError.tooManyRules) { try ClaimRules(Array(repeating: one, count: 65)) }
        #expect(throws: ClaimRuleError.noClaims) { try ClaimRule(path: "/**", add: [:]) }
        #expect(throws: ClaimRuleError.noKinds) { try ClaimRule(path: "/**", kinds: [], add: ["c": true]) }
        func many(_ letter: String, _ count: Int) -> JSONObject {
            JSONObject((0..<count).map { ("\(letter)\($0)", true) })
        }
        #expect(throws: ClaimRuleError.tooManyClaims) { try ClaimRule(path: "/**", add: many("a", 17)) }
        #expect(try ClaimRules([try rule(many("a", 16))]).claims(in: .jwt, for: try subject("/a")).count == 16)
        #expect(throws: ClaimRefusal.tooManyClaims) {
            try ClaimRules([try rule(many("a", 16)), try rule(many("b", 1))]).claims(in: .jwt, for: try subject("/a"))
        }
        let long = JSONValue.string(String(repeating: "a", count: 1000))
        #expect(throws: ClaimRefusal.tooLarge) {
            try ClaimRules([try rule(["a": long, "b": long, "c": long, "d": long, "e": long])])
                .claims(in: .jwt, for: try subject("/a"))
        }
        #expect(throws: ClaimRefusal.tooLarge) {
            try ClaimRules([try rule(["c": .string(String(repeating: "{path}", count: 170))])])
                .claims(in: .jwt, for: try subject("/" + String(repeating: "p", count: 2000)))
        }
    }
}

struct AddedClaimsTests {
    private static let added: JSONObject = ["team": "{path[1]}", "level": 3]

    private func rules(
        kinds: Set<ClaimRule.Kind> = [.jwt, .wit], required: Bool = false, add: JSONObject = added
    ) throws -> IssuanceDefaults {
        IssuanceDefaults(
            claims: try ClaimRules([try ClaimRule(path: "/**", kinds: kinds, isRequired: required, add: add)]))
    }

    @Test func `JWT-SVIDs of entries and minted ones have the claims, and the log their names alone`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let issuer = domain.issuer(authorities, try rules())
            let id = try SPIFFEID("spiffe://example.org/payments/refund-agent")
            let tokens = [
                try await issuer.issueJWTSVID(for: domain.caller, entry: try domain.entry(), audience: ["a"]),
                try await issuer.mintJWTSVID(for: domain.caller, id: id, audience: ["a"]),
            ]
            for token in tokens {
                let svid = try JWTSVID.verify(
                    token: token.token, audience: "a", bundles: { _ in authorities.bundle.jwtAuthorities },
                    now: domain.clock.now)
                #expect(svid.claims["team"] == "payments")
                #expect(svid.claims["level"] == 3)
                #expect(svid.claims.count == 6)
            }
            for type in [EventType.jwtSVIDIssue, .jwtSVIDMint] {
                let outcome = try #require(try await domain.events(of: type).last)
                #expect(outcome.effect?.result["claims"] == "level team")
            }
            let log = try await domain.log.entries(from: 0, count: 100).map { String(decoding: $0.leaf, as: UTF8.self) }
            #expect(!log.contains { $0.contains("\"payments\"") })
        }
    }

    @Test func `WIT-SVIDs have the claims, and kinds that a rule does not name do not`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let issuer = domain.issuer(authorities, try rules(kinds: [.wit]))
            let key = try domain.request().publicKey.derSPKI
            let issued = try await issuer.issueWITSVID(
                for: domain.caller, entry: try domain.entry(), publicKey: key)
            let wit = try WITSVID.verify(
                token: issued.token, bundles: { _ in authorities.bundle.witAuthorities }, now: domain.clock.now)
            #expect(wit.claims["team"] == "payments")
            #expect(wit.claims.count == 7)
            let minted = try await issuer.mintWITSVID(
                for: domain.caller, id: try SPIFFEID("spiffe://example.org/tool"), publicKey: key)
            #expect(try UnverifiedWITSVID(parsing: minted.token).claims.json["team"] == "tool")
            let jwt = try await issuer.issueJWTSVID(for: domain.caller, entry: try domain.entry(), audience: ["a"])
            #expect(try UnverifiedJWTSVID(parsing: jwt.token).claims.json["team"] == nil)
            #expect(try await domain.events(of: .witSVIDIssue).last?.effect?.result["claims"] == "level team")
            #expect(try await domain.events(of: .jwtSVIDIssue).last?.effect?.result["claims"] == nil)
        }
    }

    @Test func `a required claim without a value refuses the token on the record and signs nothing`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let issuer = domain.issuer(
                authorities, try rules(required: true, add: ["entry": "{entry_id}", "h": "{hint}"]))
            let entry = try domain.entry()
            for (expected, attempt) in [
                (
                    "h",
                    { _ = try await issuer.issueJWTSVID(for: domain.caller, entry: entry, audience: ["a"]) }
                ),
                (
                    "entry",
                    { _ = try await issuer.mintJWTSVID(for: domain.caller, id: entry.spiffeID, audience: ["a"]) }
                ),
            ] as [(String, () async throws -> Void)] {
                let error = IssuanceError.claims(.noValue(claim: expected))
                await #expect(throws: error) { try await attempt() }
                #expect(error.isRefusal)
            }
            let key = try domain.request().publicKey.derSPKI
            await #expect(throws: IssuanceError.claims(.noValue(claim: "h"))) {
                _ = try await issuer.issueWITSVID(for: domain.caller, entry: entry, publicKey: key)
            }
            #expect(authorities.jwtActive?.signatureCount == 0)
            let events = try await domain.events()
                .filter { [.jwtSVIDIssue, .jwtSVIDMint, .witSVIDIssue].contains($0.type) }
            #expect(events.count == 3)
            #expect(events.allSatisfy { $0.phase == .single && $0.decision.result == .deny })
        }
    }

    @Test func `claims and audience share the room of a token`() async throws {
        try await TestDomain.run { domain in
            let issuer = domain.issuer(
                try await domain.open(), try rules(add: ["c": .string(String(repeating: "c", count: 1000))]))
            let path = "/" + String(repeating: "p", count: 2000)
            let longest = [String(repeating: "a", count: 2048), String(repeating: "b", count: 2048)]
            let entry = try domain.entry(path)
            let token = try await issuer.issueJWTSVID(
                for: domain.caller, entry: entry, audience: longest + [String(repeating: "c", count: 2048)])
            #expect(token.token.utf8.count <= JWTSVID.maximumLength)
            await #expect(throws: IssuanceError.claims(.tooLarge)) {
                _ = try await issuer.issueJWTSVID(for: domain.caller, entry: entry, audience: longest + longest)
            }
        }
    }

    // MARK: the check of what was signed

    static let otherThanPrepared: [(signed: JSONObject, prepared: JSONObject)] = [
        (["team": "red"], ["team": "blue"]), ([:], ["team": "red"]), (["team": "red"], [:]),
        (["team": "red", "more": 1], ["team": "red"]), (["team": "1"], ["team": 1]),
    ]

    @Test("a signed token that says anything else than what was prepared is thrown away", arguments: otherThanPrepared)
    func selfCheck(signed: JSONObject, prepared: JSONObject) async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let snapshot = authorities.snapshot
            let entry = try domain.entry()
            let key = try domain.request().publicKey.derSPKI
            // The same moment and the same randomness: nothing differs but the claims.
            func terms(_ add: JSONObject) throws -> IssuanceTerms {
                let claims: ClaimRules =
                    add.isEmpty ? .none : try ClaimRules([try ClaimRule(path: "/**", isRequired: false, add: add)])
                return IssuanceTerms(
                    trustDomain: domain.trustDomain, time: domain.clock.now, x509: snapshot.x509, jwt: snapshot.jwt,
                    wit: snapshot.wit, card: snapshot.card, defaults: IssuanceDefaults(claims: claims),
                    randomBytes: { Array(repeating: 7, count: $0) }, revoked: nil)
            }
            func receipt() async throws -> AuditReceipt {
                try await domain.log.record(
                    AuditEvent(
                        type: .jwtSVIDIssue, phase: .intent, agent: domain.caller.agent,
                        resource: AuditEvent.ResourceField(kind: "jwt-svid", id: entry.spiffeID.string),
                        decision: AuditEvent.DecisionField(action: "issue", result: .permit),
                        correlation: AuditEvent.CorrelationField(requestID: "r")))
            }
            func verdict(_ signing: JSONObject, _ preparing: JSONObject) async throws -> [IssuanceError?] {
                func failure(_ body: () throws(IssuanceError) -> Void) -> IssuanceError? {
                    do throws(IssuanceError) {
                        try body()
                        return nil
                    } catch {
                        return error
                    }
                }
                let jwt = try JWTPreparation.workload(entry, audience: ["a"], try terms(signing))
                    .sign(consuming: try await receipt())
                let wit = try WITPreparation.workload(entry, publicKey: key, try terms(signing))
                    .sign(consuming: try await receipt())
                let (jwtCheck, witCheck) = (
                    try JWTPreparation.workload(entry, audience: ["a"], try terms(preparing)),
                    try WITPreparation.workload(entry, publicKey: key, try terms(preparing))
                )
                return [
                    failure { () throws(IssuanceError) in
                        _ = try jwtCheck.verify(jwt, with: snapshot, at: domain.clock.now)
                    },
                    failure { () throws(IssuanceError) in
                        _ = try witCheck.verify(wit, with: snapshot, at: domain.clock.now)
                    },
                ]
            }
            #expect(try await verdict(prepared, prepared) == [nil, nil])
            let refused = IssuanceError.selfCheckFailed("it is not what was prepared")
            #expect(try await verdict(signed, prepared) == [refused, refused])
        }
    }
}
