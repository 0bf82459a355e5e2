import AgentDirectory
import AgentShieldTesting
import Approvals
import AuditTrail
import Crypto
import Issuance
import JOSE
import OAuth
import SPIFFE
import Testing
import TokenService

@Suite("Token service: approvals by people")
struct ApprovalTests {
    static let paul = "paul@example.org"

    // MARK: grants that hold by approval

    @Test("a grant that holds by approval gives nothing before, its scopes for a while, and nothing after")
    func justInTime() async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(activation: 600)
            await expectRefusal(.accessDenied) { try await world.token("a", ["scope": "task.run"]) }
            let peer = try await world.peer("a")
            let asked = try await world.ask(peer, ["scope": "task.run"])
            await expectRefusal(.authorizationPending) { try await world.fetch(asked, peer) }
            let approval = try #require(world.approvals.all.first)
            #expect(approval.demand == .grant(seconds: 600) && approval.act.grantIDs == ["grant-a-b"])
            #expect(approval.act.scope.string == "task.run")
            try await world.approve(approval)
            world.clock.advance(seconds: 5)
            let token = try await world.fetch(asked, peer)
            #expect(try world.claims(token)["single_use"] == nil && world.claims(token)["scope"] == "task.run")
            // The grant holds now, for what the person has seen and nothing else.
            _ = try await world.token("a", ["scope": "task.run"])
            await expectRefusal(.accessDenied) { try await world.token("a", ["scope": "task.read"]) }
            let all = try await world.token("a")
            #expect(try world.claims(all)["scope"] == "task.run")
            world.clock.advance(seconds: 590)
            let last = try await world.token("a", ["scope": "task.run"])
            #expect(last.expiresIn == 5)
            world.clock.advance(seconds: 5)
            await expectRefusal(.accessDenied) { try await world.token("a", ["scope": "task.run"]) }
        }
    }

    @Test("what was approved for a short while is not fetched after it")
    func lapsed() async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(activation: 20)
            let peer = try await world.peer("a")
            let asked = try await world.ask(peer, ["scope": "task.run"])
            try await world.approve(try #require(world.approvals.all.first))
            world.clock.advance(seconds: 15)
            #expect(try await world.fetch(asked, peer).expiresIn == 5)
            let late = try await world.ask(peer, ["scope": "task.read"])
            try await world.approve(try #require(world.approvals.all.first { $0.state == .pending }))
            world.clock.advance(seconds: 20)
            await expectRefusal(.expiredToken) { try await world.fetch(late, peer) }
            await expectRefusal(.accessDenied) { try await world.token("a", ["scope": "task.read"]) }
        }
    }

    @Test("a grant that a person approved for one subject does not hold for another")
    func otherSubject() async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(activation: 600, resource: TokenWorld.resourceC)
            let received = try await world.token("a", ["resource": TokenWorld.resourceB])
            let peer = try await world.peer("b")
            func exchange() async throws -> TokenResponse {
                try await world.exchange(received, by: "b", for: TokenWorld.resourceC, scope: "task.run")
            }
            // For itself.
            _ = try await world.ask(peer, ["scope": "task.run", "resource": TokenWorld.resourceC])
            try await world.approve(try #require(world.approvals.all.first))
            _ = try await world.token("b", ["scope": "task.run", "resource": TokenWorld.resourceC])
            await expectRefusal(.accessDenied) { try await exchange() }
            // And for agent A, which is not for itself either.
            world.clock.advance(seconds: 600)
            let again = try await world.token("a", ["resource": TokenWorld.resourceB])
            _ = try await world.ask(
                peer,
                ["subject_token": again.token.text, "scope": "task.run", "resource": TokenWorld.resourceC])
            try await world.approve(try #require(world.approvals.all.first { $0.state == .pending }))
            _ = try await world.exchange(again, by: "b", for: TokenWorld.resourceC, scope: "task.run")
            await expectRefusal(.accessDenied) {
                try await world.token("b", ["scope": "task.run", "resource": TokenWorld.resourceC])
            }
        }
    }

    @Test(
        "numbers that readers round are neither approved nor granted",
        arguments: ["9007199254740993", "-9007199254740993", "1e300"])
    func roundedNumbers(number: String) async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(types: ["payment"], pattern: #"{"type":"payment","to":{}}"#)
            let peer = try await world.peer("a")
            let details = #"[{"type":"payment","to":\#(number)}]"#
            await expectRefusal(.invalidAuthorizationDetails) {
                try await world.ask(
                    peer, ["authorization_details": details, "resource": TokenWorld.resourceB])
            }
        }
    }

    @Test("what was approved is fetched once")
    func once() async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(activation: 600)
            let peer = try await world.peer("a")
            let asked = try await world.ask(peer, ["scope": "task.run"])
            try await world.approve(try #require(world.approvals.all.first))
            let tokens = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<16 {
                    group.addTask { (try? await world.fetch(asked, peer)) != nil }
                }
                return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(tokens == 1)
        }
    }

    // MARK: single acts

    @Test("an act that is approved each time gives a token that names it and is used up by one of many")
    func singleUse() async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(scopes: "task.run")
            await expectRefusal(.accessDenied) { try await world.token("a", ["scope": "task.run"]) }
            // The other scope is free as before, and `.default` is what is free.
            let free = try await world.token("a")
            #expect(try world.claims(free)["scope"] == "task.read")
            let peer = try await world.peer("a")
            let asked = try await world.ask(peer, ["scope": "task.run", "binding_message": "W4-11"])
            let approval = try #require(world.approvals.all.first)
            #expect(approval.bindingCode == "W4-11" && approval.demand == .settings)
            try await world.approve(approval)
            let token = try await world.fetch(asked, peer)
            let claims = try world.claims(token)
            #expect(claims["txn"]?.stringValue == approval.act.transactionID)
            #expect(claims["act_hash"]?.stringValue == approval.act.hash)
            #expect(claims["approval"]?.stringValue == approval.id && claims["single_use"] == true)
            #expect(token.expiresIn == 120 && claims["cnf"]?.objectValue?["x5t#S256"] != nil)
            #expect(try await world.isActive(token, asking: "b"))
            // Neither the client nor another agent can use it up, nor can it be exchanged.
            for stranger in ["a", "c"] { #expect(try await !world.consume(token, as: stranger)) }
            await expectRefusal(.invalidRequest) { try await world.exchange(token, by: "b", for: TokenWorld.resourceC) }
            let uses = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<32 {
                    group.addTask { (try? await world.consume(token, as: "b")) ?? false }
                }
                return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(uses == 1)
            #expect(try await !world.isActive(token, asking: "b"))
            #expect(try await world.events(.approvalSpend).contains { $0.contains(approval.id) })
        }
    }

    @Test("a token for one act is used up only for the transaction and the details that it is for")
    func otherAct() async throws {
        try await TokenWorld.run { world in
            let details = #"[{"type":"payment","amount":50}]"#
            try world.needsApproval(types: ["payment"], pattern: #"{"type":"payment","amount":{"maximum":100}}"#)
            let peer = try await world.peer("a")
            let asked = try await world.ask(
                peer, ["authorization_details": details, "resource": TokenWorld.resourceB])
            let approval = try #require(world.approvals.all.first)
            #expect(approval.act.scope.isEmpty)
            try await world.approve(approval)
            let token = try await world.fetch(asked, peer)
            #expect(token.authorizationDetails == (try AuthorizationDetails(parsing: details)))
            #expect(try await !world.consume(token, as: "b", ["txn": "another"]))
            #expect(
                try await !world.consume(
                    token, as: "b", ["authorization_details": #"[{"type":"payment","amount":51}]"#]))
            #expect(
                try await world.consume(
                    token, as: "b", ["txn": approval.act.transactionID, "authorization_details": details]))
        }
    }

    @Test("a token for one act is bound: without a key, or with another than when it was asked for, there is none")
    func bound() async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(scopes: "task.run")
            let peer = try await world.peer("a")
            let asked = try await world.ask(peer, ["scope": "task.run"])
            try await world.approve(try #require(world.approvals.all.first))
            let other = try await world.peer("a")
            await expectRefusal(.invalidGrant) { try await world.fetch(asked, other) }
            world.clock.advance(seconds: 5)
            await expectRefusal(.invalidGrant) {
                try await world.service.token(
                    try await world.request(as: "a", world.fetchFields(asked)))
            }
            world.clock.advance(seconds: 5)
            _ = try await world.fetch(asked, peer)
        }
        try await TokenWorld.run { world in
            try world.needsApproval(scopes: "task.run")
            let call = try await world.request(as: "a", ["scope": "task.run"])
            let asked = try await world.service.backchannelAuthentication(call)
            try await world.approve(try #require(world.approvals.all.first))
            await expectRefusal(.invalidRequest) {
                try await world.service.token(try await world.request(as: "a", world.fetchFields(asked)))
            }
        }
    }

    // MARK: asking

    @Test("who asks too often is told so and waits longer; who asks for another's finds nothing")
    func polling() async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(scopes: "task.run")
            let peer = try await world.peer("a")
            let asked = try await world.ask(peer, ["scope": "task.run"])
            #expect(asked.interval == 5 && asked.expiresIn == 300)
            await expectRefusal(.authorizationPending) { try await world.fetch(asked, peer) }
            world.clock.advance(seconds: 4)
            await expectRefusal(.slowDown) { try await world.fetch(asked, peer) }
            world.clock.advance(seconds: 9)
            await expectRefusal(.slowDown) { try await world.fetch(asked, peer) }
            world.clock.advance(seconds: 15)
            await expectRefusal(.authorizationPending) { try await world.fetch(asked, peer) }
            let stranger = try await world.peer("b")
            await expectRefusal(.invalidGrant) { try await world.fetch(asked, stranger) }
            world.clock.advance(seconds: 300)
            await expectRefusal(.expiredToken) { try await world.fetch(asked, peer) }
            try await world.approvals.prune()
            #expect(world.approvals.all.first?.stateName(at: world.clock.time) == "expired")
            #expect(try await world.events(.approvalExpire).count == 2)
        }
    }

    @Test("what a person denied stays denied")
    func denied() async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(scopes: "task.run")
            let peer = try await world.peer("a")
            let asked = try await world.ask(peer, ["scope": "task.run"])
            let approval = try #require(world.approvals.all.first)
            _ = try await world.approvals.deny(
                approval.id, by: world.approver(Self.paul), TokenWorld.caller.agent, requestID: "r")
            await expectRefusal(.accessDenied) { try await world.fetch(asked, peer) }
            await #expect(throws: ApprovalError.notPending) { try await world.approve(approval) }
        }
    }

    @Test("an agent may have so many questions waiting, and so many in an hour")
    func fatigue() async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(scopes: "task.run")
            let peer = try await world.peer("a")
            for _ in 0..<ApprovalRegister.maximumWaitingOfAgent { _ = try await world.ask(peer, ["scope": "task.run"]) }
            await expectRefusal(.accessDenied) { try await world.ask(peer, ["scope": "task.run"]) }
            for _ in 0..<5 {
                world.clock.advance(seconds: 301)
                for _ in 0..<5 { _ = try await world.ask(peer, ["scope": "task.run"]) }
            }
            world.clock.advance(seconds: 301)
            await expectRefusal(.accessDenied) { try await world.ask(peer, ["scope": "task.run"]) }
        }
    }

    @Test(
        "questions that cannot be are refused",
        arguments: [
            (["scope": "task.run", "login_hint": "eve@example.org"], OAuthErrorCode.unknownUserID),
            (["scope": "task.run", "binding_message": "Just say yes"], .invalidBindingMessage),
            (["scope": "task.run", "binding_message": String(repeating: "x", count: 21)], .invalidBindingMessage),
            (["scope": "task.run", "requested_expiry": "0"], .invalidRequest),
            (["scope": "task.run", "requested_expiry": "soon"], .invalidRequest),
            (["scope": "task.run", "request": "ey"], .invalidRequest),
            (["scope": "task.run", "id_token_hint": "ey"], .invalidRequest),
            (["scope": "task.run", "subject_token": "ey"], .invalidRequest),
            (["scope": "task.delete"], .invalidTarget),
            (["scope": "task.run", "resource": TokenWorld.resourceC], .invalidTarget),
            (["scope": "task.run", "authorization_details": #"[{"type":"payment"}]"#], .invalidTarget),
            (
                [
                    "scope": "task.run", "authorization_details": #"[{"type":"payment"}]"#,
                    "resource": TokenWorld.resourceB,
                ], .invalidAuthorizationDetails
            ),
        ])
    func badQuestions(fields: [String: String], code: OAuthErrorCode) async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(scopes: "task.run")
            let peer = try await world.peer("a")
            await expectRefusal(code) { try await world.ask(peer, fields) }
            #expect(world.approvals.all.isEmpty)
        }
    }

    // MARK: answering

    @Test("only approvers answer, in the ways that the resource takes, and not for what they answer for")
    func approvers() async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(scopes: "task.run", approvers: [Self.paul, "sam@example.org", "olga@example.org"])
            _ = try await world.ask(try await world.peer("a"), ["scope": "task.run"])
            let approval = try #require(world.approvals.all.first)
            let hash = approval.act.hash
            func answer(
                _ name: String?, _ way: Approver.Way = .idToken, hash: String
            ) async throws(ApprovalError) {
                _ = try await world.approvals.approve(
                    approval.id, actHash: hash, by: name.flatMap { world.approver($0, way) }, TokenWorld.caller.agent,
                    requestID: "r")
            }
            await #expect(throws: ApprovalError.unknownPerson) { try await answer(nil, hash: hash) }
            await #expect(throws: ApprovalError.notApprover) { try await answer("eve@example.org", hash: hash) }
            await #expect(throws: ApprovalError.notApprover) { try await answer("PAUL@example.org", hash: hash) }
            await #expect(throws: ApprovalError.ownAgent) { try await answer("sam@example.org", hash: hash) }
            await #expect(throws: ApprovalError.ownAgent) { try await answer("olga@example.org", hash: hash) }
            // However it is written, and whoever else answers for somebody in the act.
            try world.changeRules { $0.approvers.append(try Person("SAM@example.org")) }
            await #expect(throws: ApprovalError.ownAgent) { try await answer("SAM@example.org", hash: hash) }
            try world.changeRules { $0.approvers.append(try Person("spiffe://example.org/agent-a")) }
            await #expect(throws: ApprovalError.ownAgent) {
                try await answer("spiffe://example.org/agent-a", .svid, hash: hash)
            }
            await #expect(throws: ApprovalError.otherAct) { try await answer(Self.paul, hash: String(hash.reversed())) }
            await #expect(throws: ApprovalError.notFound) {
                try await world.approvals.approve(
                    "none", actHash: hash, by: world.approver(Self.paul), TokenWorld.caller.agent, requestID: "r")
            }
            try world.changeRules { $0.allowsSocket = false }
            await #expect(throws: ApprovalError.socketRefused) { try await answer(Self.paul, .socket, hash: hash) }
            world.change("a") { $0.state = .disabled }
            await #expect(throws: ApprovalError.nothingToApprove) { try await answer(Self.paul, hash: hash) }
            world.change("a") { $0.state = .enabled }
            try world.changeRules { $0.approvers.removeFirst() }
            await #expect(throws: ApprovalError.notApprover) { try await answer(Self.paul, hash: hash) }
            try world.changeRules { $0.allowsSponsor = true }
            try await answer("sam@example.org", hash: hash)
            #expect(world.approvals.all.first?.answer?.person.name == "sam@example.org")
            #expect(try await world.events(.approvalApprove).count { $0.contains("own_agent") } == 4)
        }
    }

    @Test("what was taken away while a person thought about it is not given")
    func takenAway() async throws {
        let changes: [(OAuthErrorCode, @Sendable (TokenWorld) throws -> Void)] = [
            (.accessDenied, { world in world.change("a") { $0.state = .disabled } }),
            (.invalidTarget, { world in world.directory.change { $0.remove(grant: "grant-a-b") } }),
            (
                .invalidScope,
                { world in
                    guard var resource = world.directory.snapshot.resource(TokenWorld.resourceB) else { return }
                    resource.scopes = try Scope("task.read")
                    world.directory.change { $0.put(resource) }
                }
            ),
        ]
        for (code, change) in changes {
            try await TokenWorld.run { world in
                try world.needsApproval(scopes: "task.run")
                let peer = try await world.peer("a")
                let asked = try await world.ask(peer, ["scope": "task.run"])
                try await world.approve(try #require(world.approvals.all.first))
                try change(world)
                await expectRefusal(code) { try await world.fetch(asked, peer) }
            }
        }
    }

    @Test("an approval for another subject rests on the subject's token, and ends with it")
    func delegated() async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(scopes: "task.run", resource: TokenWorld.resourceC)
            let first = try await world.token("a", ["resource": TokenWorld.resourceB])
            let peer = try await world.peer("b")
            let fields = [
                "subject_token": first.token.text, "resource": TokenWorld.resourceC, "scope": "task.run",
            ]
            let asked = try await world.ask(peer, fields)
            let approval = try #require(world.approvals.all.first)
            #expect(approval.act.subject == "spiffe://example.org/agent-a")
            #expect(approval.act.actors?.current.subject == "spiffe://example.org/agent-b")
            try await world.approve(approval)
            let token = try await world.fetch(asked, peer)
            let claims = try world.claims(token)
            #expect(claims["sub"] == "spiffe://example.org/agent-a" && claims["act"] != nil)
            #expect(claims["chain_root"] == (try world.claims(first))["jti"])
            #expect(claims["sub_profile"] == "ai_agent")
            // The second time the subject's token is taken back meanwhile.
            let again = try await world.ask(peer, fields)
            try await world.approve(try #require(world.approvals.all.first { $0.state == .pending }))
            try await world.service.revoke(try await world.request(as: "a", ["token": first.token.text]))
            await expectRefusal(.accessDenied) { try await world.fetch(again, peer) }
            // And the third time the key that signed it.
            world.clock.advance(seconds: 5)
            let third = try await world.token("a", ["resource": TokenWorld.resourceB])
            let last = try await world.ask(
                peer, ["subject_token": third.token.text, "resource": TokenWorld.resourceC, "scope": "task.run"])
            try await world.approve(try #require(world.approvals.all.first { $0.state == .pending }))
            let keyID = try #require(try CompactJWS(parsing: third.token.text).header.keyID)
            _ = try await world.revocations.revoke(
                .key(keyID), reason: "stolen", latestEnd: world.clock.time + 3600, by: TokenWorld.caller.agent,
                requestID: "r")
            await expectRefusal(.accessDenied) { try await world.fetch(last, peer) }
        }
    }

    // MARK: challenges

    @Test("a resource's challenge becomes a question in the resource's words, and a token for exactly that")
    func challenge() async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(pattern: #"{"type":"payment","amount":{"maximum":100}}"#)
            let peer = try await world.peer("a")
            let challenge = try await world.challenge()
            let asked = try await world.begin(challenge, peer)
            let approval = try #require(world.approvals.all.first)
            #expect(approval.demand == .resource(reason: "more than 20"))
            #expect(approval.act.transactionID == "txn-1")
            await expectRefusal(.authorizationPending) { try await world.poll(asked, peer) }
            try await world.approve(approval)
            world.clock.advance(seconds: 5)
            guard case .token(let token) = try await world.poll(asked, peer) else {
                Issue.record("no token")
                return
            }
            let claims = try world.claims(token)
            #expect(claims["txn"] == "txn-1" && claims["scope"] == nil)
            #expect(claims["authorization_details"] == [["type": "payment", "amount": 50]])
            #expect(try await world.consume(token, as: "b", ["txn": "txn-1"]))
            #expect(try await !world.consume(token, as: "b", ["txn": "txn-1"]))
            await expectRefusal(.invalidRequest) { try await world.begin(challenge, peer) }
        }
    }

    @Test("challenges that no key of the resource's agent has signed, for this service and this client, are refused")
    func badChallenges() async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(pattern: #"{"type":"payment","amount":{"maximum":100}}"#)
            let peer = try await world.peer("a")
            let now = world.clock.time.seconds
            for (code, challenge) in [
                (OAuthErrorCode.invalidRequest, try await world.challenge(signer: "c")),
                (.invalidRequest, try await world.challenge { $0["aud"] = "https://other.example" }),
                (.invalidRequest, try await world.challenge { $0["aud"] = ["https://as.example.org/oauth2", "x"] }),
                (.invalidRequest, try await world.challenge { $0["exp"] = .number(JSONNumber(now)) }),
                (.invalidRequest, try await world.challenge { $0["exp"] = .number(JSONNumber(now + 700)) }),
                (.invalidRequest, try await world.challenge { $0["exp"] = nil }),
                (.invalidRequest, try await world.challenge { $0["iat"] = nil }),
                (.invalidRequest, try await world.challenge { $0["jti"] = nil }),
                (.invalidRequest, try await world.challenge { $0["txn"] = nil }),
                (.invalidRequest, try await world.challenge { $0["authorization_details"] = nil }),
                (.invalidRequest, try await world.challenge { $0["authorization_details"] = [] }),
                (.invalidRequest, try await world.challenge { $0["reason"] = "two\nlines" }),
                (.invalidRequest, try await world.challenge { $0["sub"] = "spiffe://example.org/agent-c" }),
                (
                    .invalidRequest,
                    try await world.challenge {
                        $0["act"] = ["sub": "spiffe://example.org/agent-c", "iss": "spiffe://x"]
                    }
                ),
                (.invalidRequest, try await world.challenge(type: "at+jwt")),
                (.invalidRequest, try await world.challenge(type: "JWT")),
                (.invalidTarget, try await world.challenge { $0["iss"] = .string(TokenWorld.resourceC) }),
                (.invalidTarget, try await world.challenge { $0["iss"] = "api://none" }),
                (
                    .invalidAuthorizationDetails,
                    try await world.challenge { $0["authorization_details"] = [["type": "payment", "amount": 101]] }
                ),
                (.invalidScope, try await world.challenge { $0["scope"] = "task.delete" }),
                (.invalidRequest, try await world.challenge { $0["reason"] = "\u{202e}drawkcab" }),
                (.invalidRequest, try await world.challenge { $0["reason"] = "a\u{2028}b" }),
            ] {
                await expectRefusal(code) { try await world.begin(challenge, peer) }
            }
            let good = try await world.challenge()
            let parts = good.split(separator: ".")
            await expectRefusal(.invalidRequest) {
                try await world.begin("\(parts[0]).\(parts[1]).\(parts[2].reversed().map(String.init).joined())", peer)
            }
            #expect(world.approvals.all.isEmpty)
        }
    }

    @Test("a challenge that names a subject and no actor is nobody's who acts for the subject")
    func challengeOfTheSubject() async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(pattern: #"{"type":"payment","amount":{"maximum":100}}"#)
            // C may act for others at B, and holds a token of A's that is addressed to C.
            try world.grant("c", on: TokenWorld.resourceB, .delegated)
            try world.grant("a", on: TokenWorld.resourceC, .own)
            let received = try await world.token("a", ["resource": TokenWorld.resourceC])
            let challenge = try await world.challenge { $0["sub"] = "spiffe://example.org/agent-a" }
            let stranger = try await world.peer("c")
            await expectRefusal(.invalidRequest) {
                try await world.service.authorizeTransaction(
                    try world.call(
                        ["transaction_challenge": challenge, "subject_token": received.token.text], peer: stranger))
            }
            _ = try await world.begin(challenge, try await world.peer("a"))
        }
    }

    // MARK: faults

    @Test(
        "an answer, a fetch or a use whose record goes wrong is wholly there or not at all",
        arguments: Fault.allCases, 1...3)
    func faults(fault: Fault, call: Int) async throws {
        // Every act writes its intent, itself and its outcome, in this order.
        for step in ["approve", "fetch", "use"] {
            try await TokenWorld.run { world in
                try world.needsApproval(scopes: "task.run")
                let peer = try await world.peer("a")
                let asked = try await world.ask(peer, ["scope": "task.run"])
                let approval = try #require(world.approvals.all.first)
                if step == "approve" { world.plan.arm(fault, atCall: call) }
                let isApproved = (try? await world.approve(approval)) != nil
                #expect(try await world.approvalStore.load() == world.approvals.all)
                guard step != "approve" else {
                    // What is not known to be done may be done again, unless it is done.
                    if !isApproved, world.approvals.all.first?.state == .pending { try await world.approve(approval) }
                    #expect(world.approvals.all.first?.stateName(at: world.clock.time) == "approved")
                    return
                }
                if step == "fetch" { world.plan.arm(fault, atCall: call) }
                let token = try? await world.fetch(asked, peer)
                #expect(try await world.approvalStore.load() == world.approvals.all)
                guard step != "fetch" else {
                    #expect(token == nil)
                    world.clock.advance(seconds: 5)
                    // A second token only if the first was never taken out of the register.
                    let wasPending = world.approvals.all.first?.stateName(at: world.clock.time) == "approved"
                    #expect(((try? await world.fetch(asked, peer)) != nil) == wasPending)
                    return
                }
                let issued = try #require(token)
                world.plan.arm(fault, atCall: call)
                #expect((try? await world.consume(issued, as: "b")) != true)
                #expect(try await world.approvalStore.load() == world.approvals.all)
                let wasUnspent = world.approvals.all.first?.stateName(at: world.clock.time) == "issued"
                #expect(try await world.consume(issued, as: "b") == wasUnspent)
                #expect(try await !world.consume(issued, as: "b"))
            }
        }
    }

    @Test("stored approvals read back as they were, and damaged ones are refused")
    func storage() async throws {
        try await TokenWorld.run { world in
            try world.needsApproval(pattern: #"{"type":"payment","amount":{"maximum":100}}"#)
            let peer = try await world.peer("a")
            _ = try await world.begin(try await world.challenge(), peer)
            let approval = try #require(world.approvals.all.first)
            let bytes = approval.storedBytes
            #expect(try Approval(id: approval.id, storedBytes: bytes) == approval)
            #expect(throws: (any Error).self) { try Approval(id: "other", storedBytes: bytes) }
            let text = String(decoding: bytes, as: UTF8.self)
            for (old, new) in [
                ("\"pending\"", "\"granted\""), ("\"txn-1\"", "7"), ("\"state\":", "\"extra\":1,\"state\":"),
                ("\"amount\":50", "\"amount\":50,\"amount\":51"),
            ] {
                let damaged = Array(text.replacing(old, with: new).utf8)
                #expect(throws: (any Error).self) { try Approval(id: approval.id, storedBytes: damaged) }
            }
        }
    }
}

extension TokenWorld {
    /// Puts rules of approval on a resource, and limits on the grant of agent A or B there.
    func needsApproval(
        activation: Int64? = nil, scopes: String = "", types: [String] = [], pattern: String? = nil,
        approvers: [String] = [ApprovalTests.paul], resource: String = resourceB
    ) throws {
        guard var target = directory.snapshot.resource(resource) else { return }
        target.approval = ApprovalRules(
            approvers: try approvers.map { name throws(DirectoryError) in try Person(name) },
            scopes: scopes.isEmpty ? .empty : try Scope(scopes), detailTypes: types)
        let isB = resource == Self.resourceB
        let json = try pattern.map { try JSONValue(parsing: $0).objectValue ?? JSONObject() }
        let grant = AgentGrant(
            id: isB ? "grant-a-b" : "grant-b-c", agentID: isB ? "client-a" : "client-b", resourceID: resource,
            scopes: try Scope("task.run task.read"), use: isB ? .own : .delegated,
            details: try json.map { [try AuthorizationDetailPattern($0)] } ?? [], activation: activation,
            createdAt: Self.start)
        directory.change {
            $0.put(target)
            $0.put(grant)
        }
    }

    func changeRules(_ change: (inout ApprovalRules) throws -> Void) throws {
        guard var target = directory.snapshot.resource(Self.resourceB), var rules = target.approval else { return }
        try change(&rules)
        target.approval = rules
        directory.change { $0.put(target) }
    }

    func approver(_ name: String, _ way: Approver.Way = .idToken) -> Approver? {
        (try? Person(name)).map { Approver(person: $0, way: way) }
    }

    func approve(_ approval: Approval) async throws(ApprovalError) {
        _ = try await approvals.approve(
            approval.id, actHash: approval.act.hash, by: approver(ApprovalTests.paul), Self.caller.agent,
            requestID: "r")
    }

    /// Asks people, at the backchannel endpoint.
    func ask(_ peer: VerifiedX509SVID, _ fields: [String: String]) async throws -> ApprovalResponse {
        try await service.backchannelAuthentication(try call(fields, peer: peer))
    }

    func fetchFields(_ asked: ApprovalResponse) -> [String: String] {
        ["grant_type": TokenRequest.GrantType.backchannel.rawValue, "auth_req_id": asked.handle.text]
    }

    func fetch(_ asked: ApprovalResponse, _ peer: VerifiedX509SVID) async throws -> TokenResponse {
        try await service.token(try call(fetchFields(asked), peer: peer))
    }

    func consume(
        _ token: TokenResponse, as letter: String, _ more: [String: String] = [:]
    ) async throws -> Bool {
        var fields = more
        fields["token"] = token.token.text
        if case .active = try await service.consume(try await request(as: letter, fields)) { return true }
        return false
    }

    /// A challenge of agent B, signed with an X.509-SVID of an agent.
    func challenge(
        signer letter: String = "b", type: String = UnverifiedTransactionChallenge.type,
        _ change: (inout JSONObject) -> Void = { _ in }
    ) async throws -> String {
        let now = clock.time.seconds
        var claims: JSONObject = [
            "iss": .string(Self.resourceB), "aud": .string(Self.names.issuer(.standard)),
            "iat": .number(JSONNumber(now)), "exp": .number(JSONNumber(now + 300)),
            "jti": .string(Base64URL.encode(Self.randomBytes(8))), "txn": "txn-1", "reason": "more than 20",
            "authorization_details": [["type": "payment", "amount": 50]],
        ]
        change(&claims)
        let key = P256.Signing.PrivateKey()
        let csr = try CertificateSigningRequest(parsing: CSRBuilder.make(privateKey: key, uri: nil))
        let chain = try await issuer.issueX509SVID(for: Self.caller, entry: entry(letter), csr: csr).chain
        return try CompactJWS.sign(
            header: [("typ", .string(type)), ("x5c", .array(chain.map { .string(Base64.encode($0)) }))],
            payload: claims.serializedBytes, key: JWSSigningKey(p256: key, keyID: "k"), writesKeyID: false)
    }

    func begin(_ challenge: String, _ peer: VerifiedX509SVID) async throws -> ApprovalResponse {
        guard
            case .waiting(let asked) = try await service.authorizeTransaction(
                try call(["transaction_challenge": challenge], peer: peer))
        else { throw ApprovalError.notFound }
        return asked
    }

    func poll(_ asked: ApprovalResponse, _ peer: VerifiedX509SVID) async throws -> TransactionOutcome {
        try await service.authorizeTransaction(
            try call(["transaction_authorization_id": asked.handle.text], peer: peer))
    }
}
