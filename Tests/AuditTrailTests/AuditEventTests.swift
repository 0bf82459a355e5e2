import AuditTrail
import JOSE
import SPIFFE
import Testing

struct AuditEventTests {
    private var full: AuditEvent {
        var full = event(7, phase: .outcome)
        full.id = String(repeating: "0f", count: 16)
        full.time = testNow()
        full.agent.transportID = "spiffe://example.org/transport"
        full.delegation = AuditEvent.DelegationField(subject: "alice", subjectKind: "user")
        full.resource.argsHash = "aa"
        full.decision.reason = "entry matched"
        full.decision.policyID = "default"
        full.correlation.intentID = String(repeating: "1e", count: 16)
        full.correlation.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        full.posture = AuditEvent.PostureField(
            level: "attested", evidenceHash: "bb", assessedAt: testNow(), selectorCount: 3)
        full.remediation = AuditEvent.RemediationField(cause: "banned", action: "cut")
        full.effect = AuditEvent.EffectField(observed: .occurred, result: ["serial": "01", "expires": "5", "kid": "k"])
        full.counted = 12
        full.source = AuditEvent.SourceField(id: "spiffe://example.org/n", spool: "s", sequence: 9)
        return full
    }

    @Test func `a leaf is its own canonical JSON`() throws {
        for leaf in [full.leafBytes(), event().stampedForTest.leafBytes()] {
            #expect(try JSONValue(parsing: leaf).canonicalBytes == leaf)
        }
    }

    @Test func `a leaf reads back as the same event`() throws {
        #expect(try AuditEvent(leaf: full.leafBytes()) == full)
        let plain = event().stampedForTest
        #expect(try AuditEvent(leaf: plain.leafBytes()) == plain)
    }

    @Test func `the seven AIMS fields are there even where they do not apply`() throws {
        let object = try #require(try JSONValue(parsing: event().stampedForTest.leafBytes()).objectValue)
        for name in ["agent", "delegation", "resource", "decision", "correlation", "time", "posture", "remediation"] {
            #expect(object[name] != nil, "\(name)")
        }
        #expect(object["delegation"]?.isNull == true)
    }

    @Test func `the time is RFC 3339 with milliseconds`() throws {
        let object = try #require(try JSONValue(parsing: full.leafBytes()).objectValue)
        #expect(object["time"]?.stringValue == testNow().rfc3339)
    }

    @Test(arguments: ["a", "\u{0}", "\"", "é", "\u{1F600}", "\\"])
    func `the largest event fits in an entry, whatever it is made of`(unit: String) throws {
        let long = String(repeating: unit, count: 70_000)
        var huge = full
        huge.agent = AuditEvent.AgentField(
            id: long, authMethod: .none, transportID: long, credentialHash: long,
            peer: AuditEvent.PeerField(uid: .max, pid: .max, address: long))
        huge.delegation = AuditEvent.DelegationField(subject: long, subjectKind: long)
        huge.resource = AuditEvent.ResourceField(kind: long, id: long, argsHash: long)
        huge.decision = AuditEvent.DecisionField(action: long, result: .deny, reason: long, policyID: long)
        huge.correlation = AuditEvent.CorrelationField(requestID: long, intentID: long, traceparent: long)
        huge.posture = AuditEvent.PostureField(level: long, evidenceHash: long)
        huge.remediation = AuditEvent.RemediationField(cause: long, action: long)
        huge.effect = AuditEvent.EffectField(
            observed: .unknown,
            result: Dictionary(uniqueKeysWithValues: (0..<40).map { ("\($0)" + long, long) }))
        huge.source = AuditEvent.SourceField(id: long, spool: long, sequence: .max)
        let leaf = huge.leafBytes()
        #expect(leaf.count <= AuditLimits.leafBytes)
        let read = try AuditEvent(leaf: leaf)
        #expect(read.effect?.result.count == AuditLimits.resultItems)
        #expect(read.decision.reason?.hasSuffix("bytes cut]") == true)
    }

    @Test func `a string at its limit stays whole and one byte more is cut`() throws {
        var exact = event().stampedForTest
        exact.decision.reason = String(repeating: "r", count: AuditLimits.reasonBytes)
        #expect(try AuditEvent(leaf: exact.leafBytes()) == exact)
        var longer = exact
        longer.decision.reason?.append("r")
        let read = try #require(try AuditEvent(leaf: longer.leafBytes()).decision.reason)
        #expect(read.utf8.count <= AuditLimits.reasonBytes)
        #expect(read != longer.decision.reason)
    }

    @Test(arguments: [
        ("", AuditEvent.ParseError.notJSON), ("[]", .notJSON), ("{}", .unknownVersion),
        (#"{"v":2}"#, .unknownVersion), (#"{"v":1}"#, .badMember("id")),
        (#"{"id":"0123456789ABCDEF0123456789ABCDEF","v":1}"#, .badMember("id")),
        (#"{"id":"0123456789abcdef0123456789abcdef","v":1}"#, .badMember("time")),
        (#"{"id":"0123456789abcdef0123456789abcdef","time":"yesterday","v":1}"#, .badMember("time")),
        (#"{"id":"0123456789abcdef0123456789abcdef","time":5,"v":1}"#, .badMember("time")),
        (#"{"v":1,"v":1}"#, .notJSON),
    ])
    func `a text that is no event is refused`(text: String, error: AuditEvent.ParseError) {
        #expect(throws: error) { try AuditEvent(leaf: Array(text.utf8)) }
    }

    @Test func `a leaf that is too large is refused`() {
        #expect(throws: AuditEvent.ParseError.tooLarge) {
            try AuditEvent(leaf: [UInt8](repeating: 0x20, count: AuditLimits.leafBytes + 1))
        }
    }
}

extension AuditEvent {
    fileprivate var stampedForTest: AuditEvent {
        var event = self
        _ = event.stamp(now: testNow, randomBytes: testRandomBytes)
        return event
    }
}
