import AuditTrail
import Crypto
import JOSE
import SPIFFE
import Testing

@testable import Issuance

struct IssuerTests {
    // MARK: X.509

    @Test func `a leaf keeps the one profile that every client accepts, whatever it is for`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let issuer = domain.issuer(authorities)
            let nodeID = try SPIFFEID("spiffe://example.org/spire/agent/join_token/t")
            let serverKey = try P256.Signing.PrivateKey.fresh(randomBytes: domain.random.draw).publicKey
            let dns = ["api.example.org", "api"]
            let workload = try await issuer.issueX509SVID(
                for: domain.caller, entry: try domain.entry(dnsNames: dns),
                csr: try domain.request(uri: "spiffe://example.org/other", dnsNames: ["ignored.example.org"]))
            let node = try await issuer.issueNodeSVID(
                for: domain.caller, id: nodeID, csr: try domain.request(dnsNames: ["ignored"]))
            let server = try await issuer.issueServerSVID(
                publicKey: SubjectPublicKey(serverKey), dnsNames: dns, requestID: "r")
            let minted = try await issuer.mintX509SVID(
                for: domain.caller, csr: try domain.request(uri: "spiffe://example.org/minted", dnsNames: dns))
            let rows: [(IssuedX509SVID, String, [String])] = [
                (workload, "spiffe://example.org/payments/refund-agent", dns), (node, nodeID.string, []),
                (server, "spiffe://example.org/spire/server", dns), (minted, "spiffe://example.org/minted", dns),
            ]
            for (svid, id, names) in rows {
                let leaf = svid.leaf
                #expect(svid.id.string == id)
                #expect(leaf.uriSANs == [id])
                #expect(leaf.dnsSANs == names)
                #expect(leaf.basicConstraints?.isCA == false && leaf.extensions.basicConstraintsAreCritical)
                #expect(leaf.keyUsage == .digitalSignature && leaf.extensions.keyUsageIsCritical)
                #expect(leaf.extendedKeyUsage?.map(\.description) == ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"])
                #expect(leaf.subjectKeyIdentifier == leaf.publicKey.subjectKeyIdentifier)
                let authority = try #require(authorities.x509Active).certificate
                #expect(leaf.authorityKeyIdentifier == authority.subjectKeyIdentifier)
                #expect(leaf.issuer == authority.subject)
                #expect(leaf.notBefore == domain.clock.now - 10)
                #expect(leaf.notAfter == domain.clock.now + 3600)
                #expect(leaf.serialNumber.bytes.count == 16)
                // Without the root, which the verifier has.
                #expect(svid.chain == [leaf.der])
            }
        }
    }

    struct Lifetime: Sendable, CustomTestStringConvertible {
        let asked: Int32
        let age: Int64
        let expected: Int64
        var testDescription: String { "\(asked) s asked when the authority is \(age) s old" }
    }

    @Test(
        "an SVID lives as its entry says, else by default, and never longer than its authority",
        arguments: [
            Lifetime(asked: 0, age: 0, expected: 3600), Lifetime(asked: 1, age: 0, expected: 1),
            Lifetime(asked: 7200, age: 0, expected: 7200), Lifetime(asked: 86_400, age: 0, expected: 86_400),
            Lifetime(asked: 86_401, age: 0, expected: 86_400), Lifetime(asked: .max, age: 0, expected: 86_400),
            Lifetime(asked: 0, age: 84_000, expected: 2400), Lifetime(asked: 3600, age: 86_399, expected: 1),
        ])
    func lifetimes(row: Lifetime) async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            domain.clock.advance(seconds: row.age)
            let issuer = domain.issuer(authorities, IssuanceDefaults(x509TTL: 3600, jwtTTL: 3600))
            let entry = try domain.entry(x509SVIDTTL: row.asked, jwtSVIDTTL: row.asked)
            let svid = try await issuer.issueX509SVID(for: domain.caller, entry: entry, csr: try domain.request())
            let token = try await issuer.issueJWTSVID(for: domain.caller, entry: entry, audience: ["a"])
            #expect(svid.expiresAt == domain.clock.now + row.expected)
            #expect(token.expiresAt == domain.clock.now + row.expected)
            #expect(svid.expiresAt <= (try #require(authorities.x509Active)).notAfter)
        }
    }

    @Test func `each kind has its own default lifetime`() async throws {
        try await TestDomain.run { domain in
            let issuer = domain.issuer(
                try await domain.open(), IssuanceDefaults(x509TTL: 100, jwtTTL: 200, nodeTTL: 300, serverTTL: 400))
            let key = try P256.Signing.PrivateKey.fresh(randomBytes: domain.random.draw).publicKey
            let now = domain.clock.now
            let node = try await issuer.issueNodeSVID(
                for: domain.caller, id: try SPIFFEID("spiffe://example.org/spire/agent/x"), csr: try domain.request())
            let server = try await issuer.issueServerSVID(publicKey: SubjectPublicKey(key), requestID: "r")
            let minted = try await issuer.mintX509SVID(
                for: domain.caller, csr: try domain.request(uri: "spiffe://example.org/a"), ttl: 50)
            let token = try await issuer.mintJWTSVID(
                for: domain.caller, id: try SPIFFEID("spiffe://example.org/a"), audience: ["b"])
            #expect(node.expiresAt == now + 300)
            #expect(server.expiresAt == now + 400)
            #expect(minted.expiresAt == now + 50)
            #expect(token.expiresAt == now + 200)
        }
    }

    // MARK: refusals

    @Test func `what breaks a rule is refused, recorded as one denial, and signs nothing`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let issuer = domain.issuer(authorities)
            let caller = domain.caller
            let plain = try domain.request()
            let ended = try domain.entry(expiresAt: domain.clock.now)
            let other = try TrustDomain("other.test")
            func refused(
                _ expected: IssuanceError, _ type: EventType, _ attempt: () async throws -> Void
            ) async throws {
                let size = domain.log.size
                await #expect(throws: expected) { try await attempt() }
                #expect(expected.isRefusal)
                let new = try await domain.events().dropFirst(Int(size))
                #expect(new.map(\.type) == [type], "\(expected)")
                #expect(new.map(\.phase) == [.single])
                #expect(new.first?.decision.result == .deny)
                #expect(new.first?.decision.reason == expected.description)
                #expect(new.first?.correlation.requestID == caller.requestID)
            }
            func entryRefused(_ expected: IssuanceError, _ path: String, trustDomain: String? = nil) async throws {
                let entry = try domain.entry(path, trustDomain: trustDomain)
                try await refused(expected, .x509SVIDIssue) {
                    _ = try await issuer.issueX509SVID(for: caller, entry: entry, csr: plain)
                }
                try await refused(expected, .jwtSVIDIssue) {
                    _ = try await issuer.issueJWTSVID(for: caller, entry: entry, audience: ["a"])
                }
            }
            try await entryRefused(.otherTrustDomain(other), "/a", trustDomain: "other.test")
            try await entryRefused(.rootPath, "")
            try await entryRefused(.reservedID, "/spire")
            try await entryRefused(.reservedID, "/spire/server")
            try await refused(.entryExpired, .x509SVIDIssue) {
                _ = try await issuer.issueX509SVID(for: caller, entry: ended, csr: plain)
            }
            try await refused(.entryExpired, .jwtSVIDIssue) {
                _ = try await issuer.issueJWTSVID(for: caller, entry: ended, audience: ["a"])
            }
            try await refused(.certificate(.badDNSName("not a name")), .x509SVIDIssue) {
                _ = try await issuer.issueX509SVID(
                    for: caller, entry: try domain.entry(dnsNames: ["not a name"]), csr: plain)
            }
            for (id, expected) in [
                ("spiffe://other.test/spire/agent/x", IssuanceError.otherTrustDomain(other)),
                ("spiffe://example.org/spire/agent", .notANodeID), ("spiffe://example.org/spire/server", .notANodeID),
                ("spiffe://example.org/a", .notANodeID), ("spiffe://example.org/spire/agents/a", .notANodeID),
            ] {
                try await refused(expected, .x509SVIDIssue) {
                    _ = try await issuer.issueNodeSVID(for: caller, id: try SPIFFEID(id), csr: plain)
                }
            }
            for (uri, expected) in [
                (nil, IssuanceError.uriCount(0)), ("https://example.org/a", .badSPIFFEID(.wrongScheme)),
                ("spiffe://other.test/a", .otherTrustDomain(other)), ("spiffe://example.org", .rootPath),
                ("spiffe://example.org/spire/agent/x", .reservedID),
            ] {
                try await refused(expected, .x509SVIDMint) {
                    _ = try await issuer.mintX509SVID(for: caller, csr: try domain.request(uri: uri))
                }
            }
            let id = try SPIFFEID("spiffe://example.org/a")
            try await refused(.negativeLifetime, .x509SVIDMint) {
                _ = try await issuer.mintX509SVID(for: caller, csr: try domain.request(uri: id.string), ttl: -1)
            }
            try await refused(.negativeLifetime, .jwtSVIDMint) {
                _ = try await issuer.mintJWTSVID(for: caller, id: id, audience: ["a"], ttl: -1)
            }
            try await refused(.reservedID, .jwtSVIDMint) {
                _ = try await issuer.mintJWTSVID(for: caller, id: authorities.serverID, audience: ["a"])
            }
            try await refused(.notDownstream, .downstreamCAIssue) {
                _ = try await issuer.issueDownstreamCA(
                    for: caller, entry: try domain.entry(), csr: try domain.request(uri: "spiffe://example.org"))
            }
            for uri in [nil, "spiffe://other.test", "spiffe://example.org/a"] {
                try await refused(.notTheTrustDomainID, .downstreamCAIssue) {
                    _ = try await issuer.issueDownstreamCA(
                        for: caller, entry: try domain.entry(isDownstream: true), csr: try domain.request(uri: uri))
                }
            }
            #expect(authorities.x509Active?.signatureCount == 0)
            #expect(authorities.jwtActive?.signatureCount == 0)
        }
    }

    static let audiences: [([String], AudienceError)] = [
        ([], .empty), ([""], .emptyValue), (["a", ""], .emptyValue),
        (Array(repeating: "a", count: 65), .tooMany), ([String(repeating: "a", count: 2049)], .tooLong),
        (Array(repeating: String(repeating: "a", count: 2048), count: 5), .tooLong),
        (Array(repeating: String(repeating: "\u{1}", count: 700), count: 2), .tooLong),
        (Array(repeating: String(repeating: "\"", count: 2048), count: 3), .tooLong),
    ]

    @Test("an audience outside the bounds is refused", arguments: audiences)
    func audienceRefused(values: [String], error: AudienceError) async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            await #expect(throws: IssuanceError.audience(error)) {
                _ = try await domain.issuer(authorities).issueJWTSVID(
                    for: domain.caller, entry: try domain.entry(), audience: values)
            }
            #expect(authorities.jwtActive?.signatureCount == 0)
        }
    }

    @Test(
        "an audience at the bounds is granted whole",
        arguments: [
            ["a"], ["a", "a"], (0..<64).map { "audience-\($0)" }, [String(repeating: "a", count: 2048)],
            Array(repeating: String(repeating: "a", count: 2048), count: 4), ["\"\\\u{1}/ä😀"],
        ])
    func audienceGranted(values: [String]) async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let svid = try await domain.issuer(authorities).issueJWTSVID(
                for: domain.caller, entry: try domain.entry(), audience: values)
            #expect(try UnverifiedJWTSVID(parsing: svid.token).audience == values)
        }
    }

    // MARK: JWT

    @Test(
        "a token has exactly the header and claims that its entry and the configuration say",
        arguments: [false, true], [nil, "https://example.org"])
    func claims(includesJTI: Bool, issuerName: String?) async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let issuer = domain.issuer(authorities, IssuanceDefaults(jwtIssuer: issuerName))
            let entry = try domain.entry(jwtSVIDTTL: 60, includesJTI: includesJTI)
            let svid = try await issuer.issueJWTSVID(for: domain.caller, entry: entry, audience: ["one"])
            let jws = try CompactJWS(parsing: svid.token)
            #expect(Set(jws.header.json.members.map(\.name)) == ["alg", "kid", "typ"])
            #expect(jws.header.json["alg"] == "ES256")
            #expect(jws.header.json["typ"] == "JWT")
            #expect(jws.header.keyID == authorities.jwtActive?.id)
            let claims = try JWTClaims(parsing: jws.payload).json
            let names: [String?] = [
                "sub", "aud", "exp", "iat", issuerName.map { _ in "iss" }, includesJTI ? "jti" : nil,
            ]
            #expect(Set(claims.members.map(\.name)) == Set(names.compactMap { $0 }))
            #expect(claims["sub"] == .string(entry.spiffeID.string))
            #expect(claims["aud"] == ["one"])
            #expect(claims["iat"]?.int64Value == domain.clock.now.seconds)
            #expect(claims["exp"]?.int64Value == domain.clock.now.seconds + 60)
            #expect(claims["iss"]?.stringValue == issuerName)
            #expect(claims["jti"]?.stringValue == svid.jwtID)
            #expect((svid.jwtID != nil) == includesJTI)
        }
    }

    // MARK: downstream

    @Test func `a downstream authority is one of this trust domain, below the root and within its life`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let request = try domain.request(uri: "spiffe://example.org")
            let issued = try await domain.issuer(authorities).issueDownstreamCA(
                for: domain.caller, entry: try domain.entry(x509SVIDTTL: 600, isDownstream: true), csr: request)
            let certificate = try ParsedCertificate(der: try #require(issued.chain.first))
            let root = try #require(authorities.x509Active).certificate
            #expect(issued.chain.count == 1)
            #expect(issued.roots == [root.der])
            #expect(certificate.isCA && certificate.basicConstraints?.pathLength == nil)
            #expect(certificate.keyUsage == [.keyCertSign, .cRLSign])
            #expect(certificate.uriSANs == ["spiffe://example.org"])
            #expect(certificate.publicKey == request.publicKey)
            #expect(certificate.issuer == root.subject && certificate.subject != root.subject)
            #expect(certificate.isSigned(by: root.publicKey))
            #expect(issued.expiresAt == domain.clock.now + 600)
        }
    }

    // MARK: the log

    @Test func `intent and outcome tell who asked, for what, why, and what came of it`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let issuer = domain.issuer(authorities)
            let entry = try domain.entry(includesJTI: true)
            let request = try domain.request()
            let svid = try await issuer.issueX509SVID(for: domain.caller, entry: entry, csr: request)
            let token = try await issuer.issueJWTSVID(for: domain.caller, entry: entry, audience: ["a"])
            for (type, kind, facts) in [
                (
                    EventType.x509SVIDIssue, "x509-svid",
                    [
                        "serial": svid.serialNumber.hex, "expires": svid.expiresAt.description,
                        "authority": svid.authorityID,
                    ]
                ),
                (
                    .jwtSVIDIssue, "jwt-svid",
                    ["kid": token.authorityID, "expires": token.expiresAt.description, "jti": token.jwtID ?? ""]
                ),
            ] {
                let events = try await domain.events(of: type)
                try #require(events.map(\.phase) == [.intent, .outcome])
                #expect(events[1].correlation.intentID == events[0].id)
                for event in events {
                    #expect(event.agent == domain.caller.agent)
                    #expect(event.resource.kind == kind)
                    #expect(event.resource.id == entry.spiffeID.string)
                    #expect(event.resource.argsHash?.utf8.count == 64)
                    #expect(event.decision.result == .permit)
                    #expect(event.decision.policyID == "entry:entry-1")
                    #expect(event.correlation.requestID == "request-1")
                }
                #expect(events[0].effect == nil)
                #expect(events[1].effect == AuditEvent.EffectField(observed: .occurred, result: facts))
            }
            // No token and no key in the log.
            let log = try await domain.log.entries(from: 0, count: 100).map { String(decoding: $0.leaf, as: UTF8.self) }
            #expect(!log.contains { $0.contains(token.token.split(separator: ".")[2]) })
        }
    }
}
