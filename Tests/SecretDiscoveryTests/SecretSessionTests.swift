import SwiftProtobuf
import Testing

@testable import SecretDiscovery

@Suite struct SecretSessionTests {
    private func request(
        _ names: [String], nonce: String = "", error: String? = nil, minor: UInt32? = nil
    ) -> DiscoveryRequest {
        .with {
            $0.resourceNames = names
            $0.responseNonce = nonce
            if let error { $0.errorDetail.message = error }
            if let minor { $0.node.userAgentBuildVersion.version.minorNumber = minor }
        }
    }

    private func resource(_ name: String) throws -> SecretResource {
        try SecretResource(Secret.with { $0.name = name })
    }

    @Test func `versions count responses, and the same is not sent twice`() throws {
        var session = SecretSession()
        #expect(!session.needsResponse)
        #expect(try session.receive(request(["a"])) == .subscription)
        #expect(session.needsResponse)
        #expect(session.respond([try resource("a")], nonce: "n1")?.versionInfo == "1")
        #expect(try session.receive(request(["a"], nonce: "n1")) == .acknowledgement)
        #expect(!session.needsResponse)
        #expect(session.respond([try resource("a")], nonce: "n2") == nil)
        #expect(session.respond([try resource("b")], nonce: "n3")?.versionInfo == "2")
    }

    @Test func `a stale nonce changes nothing`() throws {
        var session = SecretSession()
        _ = try session.receive(request(["a"]))
        _ = session.respond([try resource("a")], nonce: "n1")
        _ = session.respond([try resource("b")], nonce: "n2")
        for nonce in ["n1", "", "other"] {
            #expect(try session.receive(request(["c"], nonce: nonce, minor: 1)) == .stale)
        }
        #expect(session.names == ["a"])
        #expect(!session.node.hasUserAgentBuildVersionMinor)
        #expect(try session.receive(request(["c"], nonce: "n2")) == .subscription)
    }

    @Test func `a rejection keeps the stream, and may ask for other names`() throws {
        var session = SecretSession()
        _ = try session.receive(request(["a"]))
        _ = session.respond([try resource("a")], nonce: "n1")
        #expect(try session.receive(request(["a"], nonce: "n1", error: "bad")) == .rejection("bad"))
        #expect(!session.needsResponse)
        #expect(try session.receive(request(["b"], nonce: "n1", error: "bad")) == .rejection("bad"))
        #expect(session.needsResponse)
    }

    @Test func `the node of the first request is remembered`() throws {
        var session = SecretSession()
        _ = try session.receive(request(["a"], minor: 40))
        _ = session.respond([try resource("a")], nonce: "n1")
        _ = try session.receive(request(["b"], nonce: "n1"))
        #expect(session.node.userAgentBuildVersion.version.minorNumber == 40)
    }

    @Test func `order and repetition of names mean nothing`() throws {
        var session = SecretSession()
        _ = try session.receive(request(["a", "b"]))
        _ = session.respond([try resource("a")], nonce: "n1")
        #expect(try session.receive(request(["b", "a", "b", ""], nonce: "n1")) == .acknowledgement)
    }

    @Test func `limits and type`() throws {
        var session = SecretSession()
        #expect(throws: SecretSession.Refusal.tooManyNames) {
            try session.receive(request((0...SecretSession.maximumNames).map { "\($0)" }))
        }
        #expect(throws: SecretSession.Refusal.nameTooLong) {
            try session.receive(request([String(repeating: "x", count: SecretSession.maximumNameLength + 1)]))
        }
        #expect(throws: SecretSession.Refusal.typeURL) {
            try session.receive(.with { $0.typeURL = "type.googleapis.com/envoy.config.cluster.v3.Cluster" })
        }
        #expect(try session.receive(.with { $0.typeURL = SecretResource.typeURL }) == .subscription)
    }
}

extension Envoy_Config_Core_V3_Node {
    fileprivate var hasUserAgentBuildVersionMinor: Bool { userAgentBuildVersion.version.minorNumber != 0 }
}
