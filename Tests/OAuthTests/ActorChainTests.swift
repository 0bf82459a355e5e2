import JOSE
import OAuth
import Testing

@Suite struct `Chains of actors` {
    private func actor(_ name: String, _ issuer: String? = "https://i") throws -> Actor {
        try Actor(subject: name, issuer: issuer, profiles: ["ai_agent"])
    }

    private func chain(_ count: Int) throws -> ActorChain {
        var chain: ActorChain?
        for number in 1...count {
            chain = try ActorChain.extending(chain, by: actor("a\(number)"), limit: ActorChain.deepestLimit)
        }
        return try #require(chain)
    }

    @Test func `grow by one, the newest outermost, and read back whole`() throws {
        for count in 1...ActorChain.deepestLimit {
            let chain = try chain(count)
            #expect(chain.depth == count)
            #expect(chain.current.subject == "a\(count)")
            #expect(chain.actors.last?.subject == "a1")
            #expect(try ActorChain(parsing: .object(chain.json), limit: count) == chain)
        }
        #expect(
            try chain(2).json.serializedBytes
                == bytes(
                    #"{"sub":"a2","iss":"https://i","sub_profile":"ai_agent","#
                        + #""act":{"sub":"a1","iss":"https://i","sub_profile":"ai_agent"}}"#))
    }

    @Test(arguments: 1...ActorChain.deepestLimit)
    func `that are longer than the limit are refused and never cut`(limit: Int) throws {
        let longest = try chain(limit)
        #expect(throws: ActorChainError.tooLong(limit: limit)) {
            try ActorChain.extending(longest, by: actor("x"), limit: limit)
        }
        let longer = changed(try actorJSON("x"), [("act", .object(longest.json))])
        #expect(throws: ActorChainError.tooLong(limit: limit)) {
            try ActorChain(parsing: .object(longer), limit: limit)
        }
    }

    private func actorJSON(_ name: String) throws -> JSONObject {
        try ActorChain.extending(nil, by: actor(name)).json
    }

    @Test func `have a limit that no setting can lift, and none below one`() throws {
        let longest = try chain(ActorChain.deepestLimit)
        #expect(throws: ActorChainError.tooLong(limit: ActorChain.deepestLimit)) {
            try ActorChain.extending(longest, by: actor("x"), limit: .max)
        }
        for limit in [0, -1, Int.min] {
            #expect(throws: ActorChainError.tooLong(limit: limit)) {
                try ActorChain.extending(nil, by: actor("x"), limit: limit)
            }
            #expect(throws: ActorChainError.tooLong(limit: limit)) {
                try ActorChain(parsing: .object(actorJSON("x")), limit: limit)
            }
        }
    }

    private static let malformed: [(String, ActorChainError)] = [
        (#""x""#, ActorChainError.notAnObject), ("[]", .notAnObject), ("null", .notAnObject), ("{}", .missingSubject),
        (#"{"sub":""}"#, .missingSubject), (#"{"sub":1}"#, .missingSubject), (#"{"sub":"a"}"#, .missingIssuer),
        (#"{"sub":"a","iss":""}"#, .missingIssuer), (#"{"sub":"a","iss":1}"#, .missingIssuer),
        (#"{"sub":"a","iss":"i","sub_profile":[]}"#, .badProfile), (#"{"sub":"a","iss":"i","act":null}"#, .notAnObject),
        (#"{"sub":"a","iss":"i","act":[]}"#, .notAnObject),
        (#"{"sub":"a","iss":"i","act":{"iss":"i"}}"#, .missingSubject),
        (#"{"sub":"a","iss":"i","act":{"sub":"b"}}"#, .missingIssuer),
    ]

    @Test(arguments: malformed)
    func `with a malformed link are refused`(text: String, expected: ActorChainError) throws {
        let claim = try json(text)
        #expect(throws: expected) { try ActorChain(parsing: claim) }
    }

    @Test func `keep what else is said about an actor`() throws {
        let text = #"{"sub":"a","act":{"sub":"b","iss":"i","sub_profile":"x y","email":"e"}}"#
        let chain = try ActorChain(parsing: json(text), requiresIssuer: false)
        #expect(chain.json.serializedBytes == bytes(text))
        #expect(chain.actors[1].profiles == ["x", "y"])
        #expect(chain.current.issuer == nil)
    }

    @Test func `name actors by subject and issuer`() throws {
        #expect(try actor("a").isSame(as: Actor(subject: "a", issuer: "https://i")))
        #expect(try !actor("a").isSame(as: actor("A")))
        #expect(try !actor("a").isSame(as: actor("a", "https://j")))
        #expect(try !actor("a").isSame(as: actor("a", nil)))
        #expect(throws: ActorChainError.missingSubject) { try Actor(subject: "", issuer: "i") }
        #expect(throws: ActorChainError.missingIssuer) { try Actor(subject: "a", issuer: "") }
    }

    private static let permissions: [(String, Bool)] = [
        (#"{"sub":"a","iss":"https://i"}"#, true), (#"{"sub":"a"}"#, true), (#"{"sub":"b","iss":"https://i"}"#, false),
        (#"{"sub":"a","iss":"https://j"}"#, false), (#"{"sub":"a","sub_profile":"ai_agent"}"#, true),
        (#"{"sub":"a","sub_profile":"service"}"#, false), (#"{"sub":"a","email":"e"}"#, false),
    ]

    @Test(arguments: permissions)
    func `begin with one who may act, and nobody else may`(claim: String, permitted: Bool) throws {
        let mayAct = try MayAct(parsing: json(claim))
        #expect(try mayAct.permits(actor("a"), tokenIssuer: "https://i") == permitted)
        #expect(mayAct.json.serializedBytes == bytes(claim))
    }

    @Test func `a name without issuer is one of the token's issuer`() throws {
        let mayAct = try MayAct(parsing: json(#"{"sub":"a"}"#))
        #expect(try !mayAct.permits(actor("a", "https://other"), tokenIssuer: "https://i"))
        #expect(try mayAct.permits(actor("a", nil), tokenIssuer: "https://i"))
        #expect(throws: ActorChainError.nestedMayAct) {
            try MayAct(parsing: json(#"{"sub":"a","act":{"sub":"b"}}"#))
        }
    }
}
