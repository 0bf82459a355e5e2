import AgentShieldTesting
import AsyncHTTPClient
import Crypto
import Hummingbird
import JOSE
import NIOCore
import Revocation
import SPIFFE
import Testing
import WorkloadAPI

@testable import AgentShield

/// A planner that calls a ledger through a gateway, where TLS ends.
private struct ProofWorld: Sendable {
    let clock = presentClock()
    let own: TestTrustDomain
    let authority = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "wit-1")
    let plannerAPI = FakeWorkloadAPI()
    let ledgerAPI = FakeWorkloadAPI()
    private let gatewayAPI = FakeWorkloadAPI()
    let planner: AgentIdentity
    let ledger: AgentIdentity
    private let gateway: AgentIdentity

    init() throws {
        own = try TestTrustDomain("own.example", clock: clock)
        planner = try plannerAPI.identity(clock: clock)
        ledger = try ledgerAPI.identity(clock: clock)
        gateway = try gatewayAPI.identity(clock: clock)
        for (api, path) in [(plannerAPI, "/planner"), (ledgerAPI, "/ledger"), (gatewayAPI, "/gateway")] {
            api.push([try own.svid(path)], bundle: own.bundle)
            api.push(.success(try wit(path)))
            api.push(try bundles())
        }
    }

    func wit(_ path: String, key: P256.Signing.PrivateKey = P256.Signing.PrivateKey()) throws -> WorkloadWITSVIDs {
        let token = try WITSVID.sign(
            id: own.id(path), confirmationKey: JWSVerificationKey(p256: key.publicKey, keyID: nil),
            issuedAt: clock.time, expiresAt: clock.time + 3600, key: authority)
        return WorkloadWITSVIDs(svids: [
            WorkloadWITSVID(id: try own.id(path), token: token, privateKey: WITSVID.privateJWK(key))
        ])
    }

    func bundles() throws -> WorkloadWITBundles {
        let bundle = TrustBundle(
            trustDomain: own.trustDomain,
            witAuthorities: [try WITAuthority(keyID: "wit-1", derSPKI: authority.verificationKey.derSPKI)])
        return WorkloadWITBundles(bundles: [own.trustDomain: bundle.witJWKS()])
    }

    /// What the node agent of the ledger says is revoked.
    func revocations(_ sequence: Int64, _ subjects: Set<RevokedSubject>) throws -> WorkloadRevocations {
        let svid = try own.svid(SignedRevocations.signerPath)
        let key = try P256.Signing.PrivateKey(derRepresentation: svid.pkcs8)
        let snapshot = try RevocationSnapshot(
            trustDomain: own.trustDomain, sequence: sequence, issuedAt: clock.time, expiresAt: clock.time + 7200,
            subjects: subjects)
        return WorkloadRevocations(
            snapshot: try SignedRevocations.sign(
                snapshot, key: JWSSigningKey(p256: key, keyID: "k"), chain: svid.chain), age: 0, isOffered: true)
    }

    /// Runs everybody around `body`, which gets the URL of the gateway: it shows its own certificate, and what is behind it judges
    /// proofs as the ledger.
    func serving(
        _ change: (inout AgentProofVerifier.Settings) -> Void = { _ in },
        _ body: @escaping @Sendable (String) async throws -> Void
    ) async throws {
        var settings = AgentProofVerifier.Settings(audiences: ["ledger"])
        change(&settings)
        let verifier = try AgentProofVerifier(identity: ledger, settings)
        try await plannerAPI.serving([planner]) {
            try await ledgerAPI.serving([ledger]) {
                try await gatewayAPI.serving([gateway]) {
                    for identity in [planner, ledger, gateway] { try await identity.waitUntilReady() }
                    try await withHummingbird(gateway, allow: .anyVerified, { Self.router(verifier) }, body)
                }
            }
        }
    }

    @Sendable private static func router(_ verifier: AgentProofVerifier) -> Router<BasicRequestContext> {
        let router = Router()
        let group = router.group().add(middleware: RequestProofMiddleware(verifier))
        group.get("missing") { _, _ -> String in throw HTTPError(.notFound, message: "no such account") }
        group.get("long") { _, _ in String(repeating: "x", count: 5000) }
        group.delete("account") { _, _ in Response(status: .noContent) }
        group.group("inner").add(middleware: RequestProofMiddleware(verifier)).get { _, _ in "inner" }
        for (method, path) in [(HTTPRequest.Method.get, "**"), (.post, "**"), (.put, "**"), (.post, "/")] {
            group.on(RouterPath(path), method: method) { request, context in
                let body = String(buffer: try await request.body.collect(upTo: 65_536))
                return "\(context.proofCaller?.id.string ?? "nobody") \(context.proofCaller?.isSigned == true) \(body)"
            }
        }
        return router
    }

    var client: AgentHTTPClient {
        get throws { AgentHTTPClient(identity: planner, allow: .ids([try own.id("/gateway")])) }
    }

    func proofs(_ change: (inout AgentProofSource.Settings) -> Void = { _ in }) -> AgentProofSource {
        var settings = AgentProofSource.Settings()
        settings.audience = "ledger"
        change(&settings)
        return AgentProofSource(identity: planner, settings: settings)
    }
}

@Suite(.serialized) struct RequestProofTests {
    private let world: ProofWorld

    init() throws { world = try ProofWorld() }

    private func error(_ body: () async throws -> AgentHTTPResponse) async -> AgentProofError? {
        do {
            _ = try await body()
            return nil
        } catch {
            return error as? AgentProofError
        }
    }

    @Test func `a signed request says who has sent it, through whomever it came`() async throws {
        try await world.serving { url in
            let client = try world.client
            let proofs = world.proofs()
            for target in ["/transfer", "/transfer?a=b&c=%20d", "/a%2Fb/%C3%BC", "/x?", "/", "", "//double/./x?y=/?"] {
                let response = try await client.execute(
                    .post(url + target, json: #"{"amount":100}"#), proving: proofs)
                #expect(response.status == .ok, "\(target)")
                #expect(try await response.text == #"spiffe://own.example/planner true {"amount":100}"#, "\(target)")
                #expect(response.signer == nil)
                #expect(response.server == (try world.own.id("/gateway")))
            }
            let inner = try await client.execute(AgentHTTPRequest(url: url + "/inner"), proving: proofs)
            #expect(try await inner.text == "inner")
        }
    }

    @Test func `whatever is changed on the way is refused, and whatever is sent again`() async throws {
        try await world.serving { url in
            let client = try world.client
            let proofs = world.proofs()
            var request = AgentHTTPRequest.post(url + "/transfer?to=1", json: #"{"amount":100}"#)
            request.headers.add(name: "Authorization", value: "Bearer token")
            func answer(_ change: (inout AgentHTTPRequest) throws -> Void) async throws -> Int {
                var proven = try await proofs.prove(request).request
                try change(&proven)
                let response = try await client.execute(proven)
                _ = try await response.text
                return Int(response.status.code)
            }
            #expect(try await answer { _ in } == 200)
            #expect(try await answer { $0.method = .PUT } == 400)
            #expect(try await answer { $0.url = url + "/transfers?to=1" } == 400)
            #expect(try await answer { $0.url = url + "/transfer?to=2" } == 400)
            #expect(try await answer { $0.body = .bytes(.init(string: #"{"amount":900}"#)) } == 400)
            #expect(try await answer { $0.headers.replaceOrAdd(name: "Content-Type", value: "text/plain") } == 400)
            #expect(try await answer { $0.headers.replaceOrAdd(name: "Authorization", value: "Bearer other") } == 400)
            #expect(try await answer { $0.headers.remove(name: "Authorization") } == 400)
            #expect(try await answer { $0.headers.add(name: "Txn-Token", value: "added") } == 400)
            #expect(try await answer { $0.headers.remove(name: "Signature") } == 400)
            #expect(
                try await answer {
                    $0.headers.replaceOrAdd(
                        name: "Workload-Identity-Token", value: try world.wit("/planner").svids[0].token)
                } == 400)
            let once = try await proofs.prove(request)
            #expect(try await client.execute(once.request).status == .ok)
            #expect(try await client.execute(once.request).status == .badRequest)
            let bare = try await client.execute(AgentHTTPRequest(url: url + "/transfer"))
            #expect(bare.status == .badRequest)
            #expect(bare.headers["WWW-Authenticate"] == [])
        }
    }

    @Test func `proof tokens are taken where the agent says so`() async throws {
        try await self.world.serving { url in
            let request = AgentHTTPRequest(url: url + "/balance")
            let response = try await self.world.client.execute(
                request, proving: self.world.proofs { $0.kind = .token })
            #expect(response.status == .badRequest)
        }
        let world = try ProofWorld()
        try await world.serving({ $0.takesTokens = true }) { url in
            let client = try world.client
            let request = AgentHTTPRequest(url: url + "/balance")
            let good = try await client.execute(request, proving: world.proofs { $0.kind = .token })
            #expect(try await good.text == "spiffe://own.example/planner false ")
            let other = try await client.execute(
                request,
                proving: world.proofs {
                    $0.kind = .token
                    $0.audience = "somebody else"
                })
            #expect(other.status == .unauthorized)
            #expect(other.headers["WWW-Authenticate"] == ["WPT"])
            #expect(try await client.execute(request).status == .unauthorized)
            let proven = try await world.proofs { $0.kind = .token }.prove(request)
            #expect(try await client.execute(proven.request).status == .ok)
            #expect(try await client.execute(proven.request).status == .unauthorized)
        }
    }

    @Test func `a signed answer says who has signed it, also one that is an error or has no body`() async throws {
        try await world.serving { url in
            let client = try world.client
            let ledger = try world.own.id("/ledger")
            let proofs = world.proofs { $0.signedResponseFrom = .ids([ledger]) }
            let good = try await client.execute(.post(url + "/transfer", json: "{}"), proving: proofs)
            #expect(good.signer == ledger)
            #expect(good.server == (try world.own.id("/gateway")))
            #expect(try await good.text == "spiffe://own.example/planner true {}")
            let missing = try await client.execute(AgentHTTPRequest(url: url + "/missing"), proving: proofs)
            #expect(missing.status == .notFound)
            #expect(missing.signer == ledger)
            #expect(try await missing.text.contains("no such account"))
            var removal = AgentHTTPRequest(url: url + "/account")
            removal.method = .DELETE
            let gone = try await client.execute(removal, proving: proofs)
            #expect(gone.status == .noContent)
            #expect(gone.signer == ledger)
        }
    }

    @Test func `an answer that is not signed, or by another, is none`() async throws {
        try await world.serving { url in
            let client = try world.client
            let request = AgentHTTPRequest(url: url + "/balance")
            let (ledger, planner) = (try world.own.id("/ledger"), try world.own.id("/planner"))
            #expect(
                await error {
                    try await client.execute(
                        request, proving: world.proofs { $0.signedResponseFrom = .ids([planner]) })
                } == .signerNotAllowed(ledger))
            let proofs = world.proofs { $0.signedResponseFrom = .anyVerified }
            func answer(
                _ change: (inout HTTPClientResponse) -> Void
            ) async throws -> (signer: SPIFFEID?, AgentProofError?) {
                let proven = try await proofs.prove(request)
                let sent = try await client.execute(proven.request)
                var received = HTTPClientResponse(
                    status: sent.status, headers: sent.headers,
                    body: .bytes(try await sent.body.collect(upTo: 65_536)))
                change(&received)
                do {
                    return (try await proven.check(received).signer, nil)
                } catch {
                    return (nil, error as? AgentProofError)
                }
            }
            #expect(try await answer { _ in }.signer == ledger)
            let broken = AgentProofError.badResponse("the signature does not verify")
            #expect(try await answer { $0.status = .created }.1 == broken)
            #expect(try await answer { $0.headers.replaceOrAdd(name: "Content-Type", value: "a/b") }.1 == broken)
            #expect(
                try await answer { $0.body = .bytes(.init(string: "other")) }.1
                    == .badResponse("the body is not the one of `Content-Digest`"))
            #expect(
                try await answer {
                    for name in ["Signature", "Signature-Input"] { $0.headers.remove(name: name) }
                }.1 == .unsignedResponse(status: 200))
            // One that answers another request.
            let (first, second) = (try await proofs.prove(request), try await proofs.prove(request))
            let lifted = try await client.execute(first.request)
            #expect(
                await error { try await second.check(lifted) }
                    == .badResponse("the response answers another request"))
            #expect(
                await error { try await world.proofs { $0.kind = .token }.prove(request).check(lifted) }
                    == .badResponse("it answers a request that was not signed"))
        }
    }

    @Test func `who asks for a signed answer where none is to be had gets nothing done`() async throws {
        try await world.serving({ $0.signsResponses = false }) { url in
            let proofs = world.proofs { $0.signedResponseFrom = .anyVerified }
            let request = AgentHTTPRequest(url: url + "/balance")
            #expect(
                await error { try await world.client.execute(request, proving: proofs) }
                    == .unsignedResponse(status: 501))
        }
    }

    @Test func `bodies have a limit at both ends`() async throws {
        try await world.serving({ ($0.bodyLimit, $0.responseLimit) = (1000, 4000) }) { url in
            let client = try world.client
            func post(_ count: Int) -> AgentHTTPRequest {
                .post(url + "/transfer", json: String(repeating: "x", count: count))
            }
            #expect(try await client.execute(post(1000), proving: world.proofs()).status == .ok)
            #expect(try await client.execute(post(1001), proving: world.proofs()).status == .payloadTooLarge)
            #expect(
                await error {
                    try await client.execute(post(1001), proving: world.proofs { $0.bodyLimit = 1000 })
                } == .bodyTooLarge(limit: 1000))
            let long = AgentHTTPRequest(url: url + "/long")
            #expect(try await client.execute(long, proving: world.proofs()).status == .ok)
            #expect(
                await error {
                    try await client.execute(
                        long, proving: world.proofs { $0.signedResponseFrom = .anyVerified })
                } == .unsignedResponse(status: 501))
            #expect(
                await error {
                    try await client.execute(
                        post(100),
                        proving: world.proofs {
                            $0.signedResponseFrom = .anyVerified
                            $0.bodyLimit = 120
                        })
                } == .responseTooLarge(limit: 120))
        }
    }

    @Test func `who is not allowed gets nothing`() async throws {
        let auditor = try world.own.id("/auditor")
        try await world.serving({ $0.allow = .ids([auditor]) }) { url in
            let response = try await world.client.execute(
                AgentHTTPRequest(url: url + "/balance"), proving: world.proofs())
            #expect(response.status == .forbidden)
        }
    }

    @Test func `who is revoked gets nothing, and nobody does without news`() async throws {
        world.ledgerAPI.push(try world.revocations(1, []))
        try await world.serving { url in
            let client = try world.client
            func status() async throws -> UInt {
                try await client.execute(AgentHTTPRequest(url: url + "/balance"), proving: world.proofs()).status.code
            }
            let planner = try verified()
            #expect(await eventually { world.ledger.revocations.refusal(of: planner) == nil })
            #expect(try await status() == 200)
            world.ledgerAPI.push(try world.revocations(2, [.agent(try world.own.id("/planner"))]))
            #expect(await eventually { world.ledger.revocations.refusal(of: planner) != nil })
            #expect(try await status() == 400)
            world.ledgerAPI.push(try world.revocations(3, []))
            #expect(await eventually { world.ledger.revocations.refusal(of: planner) == nil })
            world.clock.advance(seconds: 31)
            #expect(try await status() == 503)
        }
    }

    /// The planner's token, as the ledger sees it.
    private func verified() throws -> VerifiedWITSVID {
        let token = try world.wit("/planner").svids[0].token
        let key = try WITAuthority(keyID: "wit-1", derSPKI: world.authority.verificationKey.derSPKI)
        return try WITSVID.verify(token: token, bundles: { _ in [key] }, now: world.clock.time)
    }

    @Test func `no token is asked for before somebody proves something, and each request has the newest one`()
        async throws
    {
        let world = world
        try await world.plannerAPI.serving([world.planner]) {
            try await world.planner.waitUntilReady()
            #expect(world.plannerAPI.witStreams == 0)
            let proofs = world.proofs()
            let request = AgentHTTPRequest(url: "https://ledger.example/balance")
            func token() async throws -> [String] {
                try await proofs.prove(request).request.headers["Workload-Identity-Token"]
            }
            let first = try await token()
            #expect(first.count == 1)
            #expect(world.plannerAPI.witStreams == 1)
            let fresh = try world.wit("/planner")
            world.plannerAPI.push(.success(fresh))
            #expect(await eventually { world.planner.proofs.identity?.token == fresh.svids[0].token })
            #expect(try await token() == [fresh.svids[0].token])
            // One whose key is another's is not taken, and the last one stays.
            var wrong = try world.wit("/planner")
            wrong.svids[0].privateKey = WITSVID.privateJWK(P256.Signing.PrivateKey())
            world.plannerAPI.push(.success(wrong))
            #expect(await eventually { world.plannerAPI.witStreams == 2 })
            #expect(try await token() == [fresh.svids[0].token])
            world.plannerAPI.push(.failure(.permissionDenied("no identity")))
            #expect(await eventually { world.planner.proofs.identity == nil })
        }
    }

    @Test func `without a token nothing is proved, and before the keys have come nothing is believed`() async throws {
        world.plannerAPI.push(.failure(.permissionDenied("no identity issued")))
        let request = AgentHTTPRequest(url: "https://ledger.example/balance")
        let planner = world.planner
        // Nobody runs the identity.
        await #expect(throws: AgentProofError.self) { try await world.proofs().prove(request) }
        await #expect(throws: AgentProofError.badRequest("the request's URL does not begin with `https://`")) {
            try await AgentProofSource(identity: planner).prove(AgentHTTPRequest(url: "http://ledger.example/"))
        }
        await #expect(throws: AgentProofError.badRequest("only answers to signed requests can be signed")) {
            try await world.proofs {
                $0.kind = .token
                $0.signedResponseFrom = .anyVerified
            }.prove(request)
        }
        #expect(throws: AgentProofError.self) {
            try AgentProofVerifier(identity: planner, .init(audiences: []))
        }
    }
}
