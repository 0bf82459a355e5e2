import AgentShield
import AgentShieldTesting
import AsyncHTTPClient
import Hummingbird
import NIOCore
import NIOPosix
import NIOSSL
import SPIFFE
import Testing

@Suite(.serialized) struct AgentHTTPTests {
    let clock = presentClock()
    let own: TestTrustDomain
    let other: TestTrustDomain
    let callerAPI = FakeWorkloadAPI()
    let serverAPI = FakeWorkloadAPI()
    let caller: AgentIdentity
    let server: AgentIdentity

    init() throws {
        own = try TestTrustDomain("own.example", clock: clock)
        other = try TestTrustDomain("other.example", clock: clock)
        caller = try callerAPI.identity(clock: clock)
        server = try serverAPI.identity(clock: clock)
        callerAPI.push([try own.svid("/planner")], bundle: own.bundle)
        serverAPI.push([try own.svid("/weather")], bundle: own.bundle)
    }

    private func running(_ body: @escaping @Sendable () async throws -> Void) async throws {
        try await callerAPI.serving([caller]) {
            try await serverAPI.serving([server]) {
                try await caller.waitUntilReady()
                try await server.waitUntilReady()
                try await body()
            }
        }
    }

    @Sendable private func router() -> Router<BasicRequestContext> {
        let router = Router()
        router.get("whoami") { _, context in
            "\(context.agentCaller?.id.string ?? "nobody") \(context.agentCaller?.serialNumber ?? "-")"
        }
        router.group("reports").add(middleware: AllowAgents(.ids([try! SPIFFEID("spiffe://own.example/auditor")])))
            .get { _, _ in "secret" }
        return router
    }

    @Test func `an agent calls another, and each knows the other`() async throws {
        try await running {
            try await withHummingbird(server, allow: .trustDomain(own.trustDomain), router) { url in
                let client = AgentHTTPClient(identity: caller, allow: .ids([try own.id("/weather")]))
                let response = try await client.get(url + "/whoami")
                #expect(response.status == .ok)
                #expect(response.server == (try own.id("/weather")))
                #expect(response.isNewConnection)
                #expect(try await response.text == "spiffe://own.example/planner \(caller.current?.serialNumber ?? "")")
                let second = try await client.get(url + "/whoami")
                _ = try await second.text
                #expect(!second.isNewConnection)
                #expect(try await client.get(url + "/reports").status == .forbidden)
            }
        }
    }

    @Test func `a caller whom the server does not allow gets no answer`() async throws {
        try await running {
            try await withHummingbird(server, allow: .ids([try own.id("/auditor")]), router) { url in
                let client = AgentHTTPClient(identity: caller, allow: .anyVerified)
                await #expect(throws: (any Error).self) { try await client.get(url + "/whoami") }
            }
        }
    }

    enum Impostor: CaseIterable {
        case otherID, otherAuthorityClaimingOurs, bothTrusted, expired, nestedOfOtherID, otherTrustDomain
    }

    @Test(arguments: Impostor.allCases) func `no byte of a request reaches an impostor`(_ impostor: Impostor)
        async throws
    {
        var rule = PeerRule.ids([try own.id("/weather")])
        let weather = own.trustDomain
        switch impostor {
        case .otherID: serverAPI.push([try own.svid("/mallory")], bundle: own.bundle)
        case .otherAuthorityClaimingOurs:
            serverAPI.push([try other.svid("/weather", claiming: weather)], bundle: own.bundle)
        case .bothTrusted:
            // The TLS library knows both trust domains' authorities here and accepts the chain.
            rule = .anyVerified
            callerAPI.push([try own.svid("/planner")], bundle: own.bundle, federated: [other.bundle])
            serverAPI.push([try other.svid("/weather", claiming: weather)], bundle: own.bundle)
        case .expired: serverAPI.push([try own.svid("/weather", lifetime: -1)], bundle: own.bundle)
        case .nestedOfOtherID: serverAPI.push([try own.nestedSVID("/mallory")], bundle: own.bundle)
        case .otherTrustDomain:
            callerAPI.push([try own.svid("/planner")], bundle: own.bundle, federated: [other.bundle])
            serverAPI.push([try other.svid("/weather")], bundle: own.bundle)
        }
        let allowed = rule
        try await running {
            let counting = CountingServer()
            try await counting.start(server)
            let url = counting.url
            let client = AgentHTTPClient(identity: caller, allow: allowed)
            for _ in 0..<2 {
                let error = await #expect(throws: AgentShieldError.self) {
                    try await client.post(url, json: #"{"secret":1}"#)
                }
                switch (impostor, error) {
                case (.otherID, .serverNotAllowed(let id)), (.nestedOfOtherID, .serverNotAllowed(let id)):
                    #expect(id == (try own.id("/mallory")))
                case (.otherAuthorityClaimingOurs, .unverifiedServer), (.bothTrusted, .unverifiedServer),
                    (.expired, .unverifiedServer), (.otherTrustDomain, .unverifiedServer):
                    break
                default: Issue.record("\(String(describing: error))")
                }
            }
            // The same connection helper does let a good request through, so the count means something.
            #expect(counting.receivedBytes.withLock { $0 } == 0)
            await counting.stop()
        }
    }

    @Test(arguments: [false, true]) func `the counting server does count`(isNested: Bool) async throws {
        serverAPI.push([isNested ? try own.nestedSVID("/weather") : try own.svid("/weather")], bundle: own.bundle)
        try await running {
            let counting = CountingServer()
            try await counting.start(server)
            let client = AgentHTTPClient(identity: caller, allow: .ids([try own.id("/weather")]))
            let response = try await client.post(counting.url, json: "{}")
            #expect(try await response.text == "ok")
            #expect(response.server == (try own.id("/weather")))
            #expect(counting.receivedBytes.withLock { $0 } > 0)
            #expect(counting.callers.withLock { $0.map(\.id) } == [try own.id("/planner")])
            await counting.stop()
        }
    }

    @Test func `without TLS, and with the request's own TLS settings, nothing is weaker`() async throws {
        serverAPI.push([try own.svid("/mallory")], bundle: own.bundle)
        try await running {
            let counting = CountingServer()
            try await counting.start(server)
            let client = AgentHTTPClient(identity: caller, allow: .ids([try own.id("/weather")]))
            for url in ["http://127.0.0.1:1/", "unix:///tmp/x", "https:/x", ""] {
                await #expect(throws: AgentShieldError.notHTTPS) { try await client.get(url) }
            }
            var request = AgentHTTPRequest(url: counting.url)
            var weak = TLSConfiguration.makeClientConfiguration()
            weak.certificateVerification = .none
            request.tlsConfiguration = weak
            let weakRequest = request
            await #expect(throws: AgentShieldError.serverNotAllowed(try own.id("/mallory"))) {
                try await client.execute(weakRequest)
            }
            await counting.stop()
        }
    }

    @Test func `a rotation drops nothing: kept connections stay, new ones use the new certificate`() async throws {
        try await running {
            try await withHummingbird(server, allow: .anyVerified, router) { url in
                let client = AgentHTTPClient(identity: caller, allow: .ids([try own.id("/weather")]))
                let kept = client.keepingConnection()
                let whoami = AgentHTTPRequest(url: url + "/whoami")
                let old = try #require(caller.current?.serialNumber)
                #expect(try await kept.execute(whoami).text.hasSuffix(old))
                let fresh = try own.svid("/planner")
                callerAPI.push([fresh], bundle: own.bundle)
                serverAPI.push([try own.svid("/weather")], bundle: own.bundle)
                #expect(await eventually { caller.current?.serialNumber == fresh.leaf.serialNumber.hex })
                let response = try await kept.execute(whoami)
                #expect(!response.isNewConnection)
                #expect(try await response.text.hasSuffix(old))
                #expect(kept.identityInUse?.serialNumber == old)
                let new = try await client.execute(whoami)
                #expect(new.isNewConnection)
                #expect(try await new.text.hasSuffix(fresh.leaf.serialNumber.hex))
            }
        }
    }

    @Test func `a response that is coming in outlives the rotation of its identity`() async throws {
        let (parts, more) = AsyncStream<String>.makeStream()
        let slow: @Sendable () -> Router<BasicRequestContext> = {
            let router = self.router()
            router.get("slow") { _, _ in
                Response(
                    status: .ok,
                    body: ResponseBody { writer in
                        for await part in parts { try await writer.write(ByteBuffer(string: part)) }
                        try await writer.finish(nil)
                    })
            }
            return router
        }
        try await running {
            try await withHummingbird(server, allow: .anyVerified, slow) { url in
                let client = AgentHTTPClient(identity: caller, allow: .anyVerified)
                more.yield("one")
                let body = try await client.get(url + "/slow").body
                let fresh = try own.svid("/planner")
                callerAPI.push([fresh], bundle: own.bundle)
                #expect(await eventually { caller.current?.serialNumber == fresh.leaf.serialNumber.hex })
                // The client lets go of the old generation here.
                #expect(try await client.get(url + "/whoami").text.hasSuffix(fresh.leaf.serialNumber.hex))
                more.yield("two")
                more.finish()
                #expect(String(buffer: try await body.collect(upTo: 100)) == "onetwo")
            }
        }
    }

    @Test func `after a withdrawal only the kept connection goes on`() async throws {
        try await running {
            try await withHummingbird(server, allow: .anyVerified, router) { url in
                let client = AgentHTTPClient(identity: caller, allow: .anyVerified)
                let kept = client.keepingConnection()
                let whoami = AgentHTTPRequest(url: url + "/whoami")
                _ = try await kept.execute(whoami).text
                callerAPI.fail(.permissionDenied("no identity issued"))
                #expect(await eventually { caller.current == nil })
                await #expect(throws: AgentShieldError.identityWithdrawn) { try await client.execute(whoami) }
                #expect(try await kept.execute(whoami).status == .ok)
                await #expect(throws: AgentShieldError.identityWithdrawn) {
                    try await client.keepingConnection().execute(whoami)
                }
            }
        }
    }

    @Test func `an expired identity begins nothing`() async throws {
        try await running {
            clock.advance(seconds: 3601)
            let client = AgentHTTPClient(identity: caller, allow: .anyVerified)
            await #expect(throws: AgentShieldError.identityExpired) { try await client.get("https://127.0.0.1:1/") }
        }
    }

    @Test func `a trust domain counts from when its bundle comes`() async throws {
        callerAPI.push([try other.svid("/planner")], bundle: other.bundle, federated: [own.bundle])
        try await running {
            let rule = PeerRule.trustDomains([own.trustDomain, other.trustDomain])
            try await withHummingbird(server, allow: rule, router) { url in
                let client = AgentHTTPClient(identity: caller, allow: .ids([try own.id("/weather")]))
                await #expect(throws: (any Error).self) { try await client.get(url + "/whoami") }
                serverAPI.push([try own.svid("/weather")], bundle: own.bundle, federated: [other.bundle])
                var answer = ""
                for _ in 0..<500 where !answer.hasPrefix("spiffe://other.example/planner") {
                    answer = (try? await client.get(url + "/whoami").text) ?? ""
                    if answer.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
                }
                #expect(answer.hasPrefix("spiffe://other.example/planner"))
            }
        }
    }

    @Test func `without a bundle for the servers allowed nothing begins`() async throws {
        try await running {
            let client = AgentHTTPClient(identity: caller, allow: .trustDomain(other.trustDomain))
            await #expect(throws: AgentShieldError.noTrustedAuthority) { try await client.get("https://127.0.0.1:1/") }
        }
    }

    @Test func `SwiftNIO clients and servers get the same`() async throws {
        try await running {
            let counting = CountingServer()
            try await counting.start(server, allow: .ids([try own.id("/planner")]))
            let port = try #require(Int(counting.url.split(separator: ":")[2].dropLast()))
            for (allowed, isWelcome) in [("/weather", true), ("/another", false)] {
                let rule = PeerRule.ids([try own.id(allowed)])
                let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                    .connect(host: "127.0.0.1", port: port) { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try channel.addAgentShieldClient(identity: caller, allow: rule)
                            return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                        }
                    }
                let answer = try? await channel.executeThenClose { inbound, outbound in
                    try await outbound.write(ByteBuffer(string: "hello"))
                    for try await part in inbound { return String(buffer: part) }
                    return ""
                }
                #expect((answer?.hasSuffix("ok") ?? false) == isWelcome)
                #expect(counting.receivedBytes.withLock { $0 } == 5)
            }
            await counting.stop()
        }
    }
}
