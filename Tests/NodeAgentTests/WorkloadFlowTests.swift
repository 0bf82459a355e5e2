import ControlPlane
import ControlPlaneAPI
import SPIFFE
import Testing
import WorkloadAPI

@testable import NodeAgent

/// Control plane, node agent and workload in one process, over real sockets.
@Suite(.serialized) struct WorkloadFlowTests {
    @Test func `an entry reaches the workload by push, with key, chain and bundle that fit`() async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth()
        _ = try await plane.value.createEntry("/one")
        let context = try await within {
            try await lab.withWorkload { client in try await client.firstContext() }
        }
        let svid = try #require(context.svids.first)
        #expect(context.svids.count == 1)
        #expect(svid.id.string == "spiffe://lab.example/one")
        let parsed = try X509SVID(chainConcatenated: svid.chain, pkcs8: svid.privateKey)
        let bundle = try X509Bundle(trustDomain: Lab.trustDomain, derConcatenated: svid.bundle)
        let verified = try X509SVIDVerifier.verify(chain: parsed.chain, bundle: { _ in bundle }, at: Lab.now())
        #expect(verified.id == svid.id)
        try await agent.stop()
        try await plane.stop()
    }

    @Test func `a held stream sees new, changed and deleted entries, and ends without any`() async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth()
        let first = try await plane.value.createEntry("/one")
        let serving = plane.value
        try await within {
            try await lab.withWorkload { client in
                var contexts = try await client.heldContexts()
                #expect(try await contexts.next()?.svids.map(\.id.path) == ["/one"])
                let second = try await serving.createEntry("/two")
                #expect(
                    try await contexts.until { $0.svids.count == 2 }.svids.map(\.id.path).sorted() == ["/one", "/two"])
                try await serving.deleteEntry(second)
                #expect(try await contexts.until { $0.svids.count == 1 }.svids.map(\.id.path) == ["/one"])
                try await serving.deleteEntry(first)
                let error = await #expect(throws: WorkloadAPIError.self) {
                    while try await contexts.next() != nil {}
                }
                guard case .permissionDenied? = error else {
                    Issue.record("ended with \(String(describing: error))")
                    return
                }
            }
        }
        try await agent.stop()
        try await plane.stop()
    }

    @Test func `without an entry there is PermissionDenied on every call but validation`() async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth()
        _ = try await plane.value.createEntry(
            "/other",
            selector: .with {
                $0.type = "unix"; $0.value = "uid:4242"
            })
        try await within {
            try await lab.withWorkload { client in
                for call in WorkloadCall.allCases where call != .validate {
                    #expect(await call.code(client) == "permissionDenied", "\(call)")
                }
                #expect(await WorkloadCall.validate.code(client) == "invalidArgument")
            }
        }
        try await agent.stop()
        try await plane.stop()
    }

    @Test func `a JWT-SVID is fetched, cached, validated, and refused for other audiences`() async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth()
        _ = try await plane.value.createEntry("/one")
        let unique = try await plane.value.createEntry("/unique") { $0.additionalAttributes.jwtSvidIncludeJti = true }
        #expect(!unique.isEmpty)
        try await within {
            try await lab.withWorkload { client in
                _ = try await client.untilContext { $0.svids.count == 2 }
                let id = try SPIFFEID("spiffe://lab.example/one")
                let token = try await client.fetchJWTSVID(audience: ["b", "a"], id: id)
                #expect(token.id == id)
                #expect(try await client.fetchJWTSVID(audience: ["a", "b"], id: id).token == token.token)
                #expect(try await client.fetchJWTSVID(audience: ["a"], id: id).token != token.token)
                let uniqueID = try SPIFFEID("spiffe://lab.example/unique")
                let once = try await client.fetchJWTSVID(audience: ["a"], id: uniqueID)
                #expect(try await client.fetchJWTSVID(audience: ["a"], id: uniqueID).token != once.token)
                let valid = try await client.validateJWTSVID(token.token, audience: "a")
                #expect(valid.id == id)
                #expect(valid.claims["aud"]?.stringArrayValue == ["b", "a"])
                await #expect(throws: WorkloadAPIError.self) {
                    try await client.validateJWTSVID(token.token, audience: "c")
                }
                // Entries of one second have no order that a caller could know.
                #expect(try await Set(client.fetchJWTSVIDs(audience: ["a"]).map(\.id.path)) == ["/one", "/unique"])
                await #expect(throws: WorkloadAPIError.permissionDenied("no identity issued")) {
                    try await client.fetchJWTSVID(audience: ["a"], id: SPIFFEID("spiffe://lab.example/three"))
                }
            }
        }
        try await agent.stop()
        try await plane.stop()
    }

    @Test func `bundles come as streams with the own trust domain`() async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth()
        _ = try await plane.value.createEntry("/one")
        let serving = plane.value
        try await within {
            try await lab.withWorkload { client in
                _ = try await client.firstContext()
                var x509 = client.streamX509Bundles().makeAsyncIterator()
                #expect(
                    try await x509.next()?.bundles == [Lab.trustDomain: serving.bundle.x509Bundle.derConcatenated])
                var jwt = client.streamJWTBundles().makeAsyncIterator()
                #expect(try await jwt.next()?.bundles == [Lab.trustDomain: serving.bundle.jwtJWKS()])
            }
        }
        try await agent.stop()
        try await plane.stop()
    }

    @Test func `a JWT bundle is sent again when tokens may have ended, for those who keep tokens`() async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth()
        _ = try await plane.value.createEntry("/one")
        let serving = plane.value
        try await within {
            try await lab.withWorkload { client in
                _ = try await client.firstContext()
                var bundles = client.streamJWTBundles().makeAsyncIterator()
                let first = try await bundles.next()
                try await serving.withAdmin { admin in
                    _ = try await admin.revocations.revoke(
                        .with {
                            $0.subject.kind = "jti"
                            $0.subject.value = "nobody-has-it"
                        })
                }
                #expect(try await bundles.next() == first)
            }
        }
        try await agent.stop()
        try await plane.stop()
    }

    @Test func `of two entries with one hint the older one is served`() async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth()
        let ids = [
            try await plane.value.createEntry("/one") {
                $0.hint = "db"; $0.id = "a-entry"
            },
            try await plane.value.createEntry("/two") {
                $0.hint = "db"; $0.id = "b-entry"
            },
            try await plane.value.createEntry("/three") {
                $0.hint = "web"; $0.id = "c-entry"
            },
        ]
        #expect(ids == ["a-entry", "b-entry", "c-entry"])
        try await within {
            try await lab.withWorkload { client in
                let context = try await client.untilContext { $0.svids.count == 2 }
                #expect(context.svids.map(\.id.path) == ["/one", "/three"])
                #expect(context.svids.map(\.hint) == ["db", "web"])
            }
        }
        try await agent.stop()
        try await plane.stop()
    }

    @Test func `short-lived SVIDs rotate under a held stream and an entry without prefetch is signed on demand`()
        async throws
    {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth()
        _ = try await plane.value.createEntry("/one") {
            $0.x509SvidTtl = 4
            $0.additionalAttributes.disableX509SvidPrefetch = true
        }
        try await within {
            try await lab.withWorkload { client in
                var contexts = try await client.heldContexts()
                var chains: Set<[UInt8]> = []
                var previousEnd: UnixTime?
                while chains.count < 3, let svid = try await contexts.next()?.svids.first {
                    chains.insert(svid.chain)
                    let parsed = try X509SVID(chainConcatenated: svid.chain, pkcs8: svid.privateKey)
                    // The new one comes before the old one has ended.
                    if let previousEnd { #expect(previousEnd > Lab.now()) }
                    previousEnd = parsed.expiresAt
                }
                #expect(chains.count == 3)
            }
        }
        try await agent.stop()
        try await plane.stop()
    }
}

/// Every call of the Workload API, by the code that it ends with.
enum WorkloadCall: CaseIterable {
    case x509, x509Bundles, jwt, jwtForAnother, jwtBundles, validate

    func code(_ client: WorkloadAPIClient) async -> String {
        do {
            switch self {
            case .x509: for try await _ in client.streamX509Contexts() { return "ok" }
            case .x509Bundles: for try await _ in client.streamX509Bundles() { return "ok" }
            case .jwt: _ = try await client.fetchJWTSVID(audience: ["a"])
            case .jwtForAnother: _ = try await client.fetchJWTSVID(audience: ["another"])
            case .jwtBundles: for try await _ in client.streamJWTBundles() { return "ok" }
            case .validate: _ = try await client.validateJWTSVID("no.token.atall", audience: "a")
            }
            return "ok"
        } catch let error as WorkloadAPIError {
            switch error {
            case .invalidArgument: return "invalidArgument"
            case .permissionDenied: return "permissionDenied"
            case .unavailable: return "unavailable"
            case .unimplemented: return "unimplemented"
            case .malformedResponse: return "malformedResponse"
            case .failed(let code, _): return code
            }
        } catch {
            return "\(error)"
        }
    }
}
