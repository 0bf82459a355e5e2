import AuditTrail
import ControlPlane
import ControlPlaneAPI
import Foundation
import SPIFFE
import Testing
import WorkloadAPI

@testable import NodeAgent

/// What becomes of a node agent: restarts, outages, refusals.
@Suite(.serialized) struct NodeLifeTests {
    @Test func `a stored identity survives a restart and needs no token`() async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth()
        _ = try await plane.value.createEntry("/one")
        let id = try await plane.value.onlyAgent()
        try await agent.stop()
        let again = try await lab.startAgent(lab.agentConfiguration(plane.value, token: nil))
        // Ready means that the first SVIDs are there: no waiting here.
        let context = try await within {
            try await lab.withWorkload { client in
                for try await context in client.streamX509Contexts() { return context }
                throw CancellationError()
            }
        }
        #expect(context.svids.map(\.id.path) == ["/one"])
        #expect(try await plane.value.onlyAgent() == id)
        try await again.stop()
        try await plane.stop()
    }

    @Test func `the identity file is one, private, and whole`() async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth()
        try await agent.stop()
        try await plane.stop()
        let path = "\(lab.agentDirectory)/svid.pem"
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        let directory = try FileManager.default.attributesOfItem(atPath: lab.agentDirectory)
        #expect(directory[.posixPermissions] as? Int == 0o700)
        let store = IdentityStore(
            directory: try AgentDirectory(path: lab.agentDirectory), trustDomain: Lab.trustDomain)
        #expect(try store.loadIdentity() != nil)
        #expect(try store.loadBundle()?.x509Authorities.isEmpty == false)
    }

    @Test func `while the server is away the cache serves, and the agent finds back by itself`() async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth { $0.syncInterval = .milliseconds(200) }
        _ = try await plane.value.createEntry("/one")
        let port = plane.value.nodePort
        let token = try await within {
            try await lab.withWorkload { client in
                _ = try await client.firstContext()
                return try await client.fetchJWTSVID(audience: ["a"]).token
            }
        }
        try await plane.stop()
        try await within {
            try await lab.withWorkload { client in
                #expect(await WorkloadCall.x509.code(client) == "ok")
                #expect(await WorkloadCall.x509Bundles.code(client) == "ok")
                let cached = try await client.fetchJWTSVID(audience: ["a"])
                #expect(cached.token == token)
                let validated = try await client.validateJWTSVID(token, audience: "a")
                #expect(validated.id.path == "/one")
                // Another audience would need a signature.
                #expect(await WorkloadCall.jwtForAnother.code(client) == "unavailable")
            }
        }
        let back = try await lab.startControlPlane(port: port)
        _ = try await back.value.createEntry("/two")
        try await within {
            try await lab.withWorkload { client in
                _ = try await client.untilContext { $0.svids.count == 2 }
            }
        }
        try await agent.stop()
        try await back.stop()
    }

    @Test func `a ban ends the agent and removes its identity`() async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth()
        let id = try await plane.value.onlyAgent()
        try await plane.value.withAdmin { admin in
            _ = try await admin.agents.banAgent(.with { $0.id = id })
        }
        let error = await #expect(throws: NodeAgentError.self) { try await within { try await agent.outcome() } }
        #expect(error == .banned(try SPIFFEID(id)))
        #expect(!FileManager.default.fileExists(atPath: "\(lab.agentDirectory)/svid.pem"))
        try await plane.stop()
    }

    @Test func `an evicted agent ends without a token and attests again with a new one`() async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth()
        let id = try await plane.value.onlyAgent()
        let serving = plane.value
        let evict = { @Sendable (id: Spire_Api_Types_SPIFFEID) in
            try await serving.withAdmin { admin in _ = try await admin.agents.deleteAgent(.with { $0.id = id }) }
        }
        try await evict(id)
        let error = await #expect(throws: NodeAgentError.self) { try await within { try await agent.outcome() } }
        #expect(error == .identityRefused(try SPIFFEID(id), .notAttested))
        let token = try await plane.value.makeJoinToken(requestID: "test")
        let again = try await lab.startAgent(lab.agentConfiguration(plane.value, token: token))
        #expect(try await plane.value.onlyAgent().path == "/spire/agent/join_token/\(token)")
        try await again.stop()
        try await plane.stop()
    }

    @Test func `a used token, no token and a malformed token each say so`() async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth()
        let token = try #require(try await plane.value.onlyAgent().path.split(separator: "/").last)
        try await agent.stop()
        try FileManager.default.removeItem(atPath: lab.agentDirectory)
        var errors: [NodeAgentError?] = []
        for token in [String(token), nil, "a/b"] {
            errors.append(
                await #expect(throws: NodeAgentError.self) {
                    _ = try await within { try await lab.startAgent(lab.agentConfiguration(plane.value, token: token)) }
                })
        }
        guard case .tokenRefused? = errors[0], errors[1] == .notAttested, case .tokenRefused? = errors[2] else {
            Issue.record("\(errors)")
            return
        }
        try await plane.stop()
    }

    @Test(arguments: ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n", "torn", "wrong key"])
    func `a damaged identity is a clear error`(damage: String) async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth()
        try await agent.stop()
        let path = "\(lab.agentDirectory)/svid.pem"
        let good = try String(contentsOfFile: path, encoding: .utf8)
        let bytes: String =
            switch damage {
            case "torn": String(good.prefix(good.count / 2))
            case "wrong key":
                try X509SVIDFixture.otherKeyPEM() + good[good.firstRange(of: "-----BEGIN CERTIFICATE")!.lowerBound...]
            default: damage
            }
        try bytes.write(toFile: path, atomically: false, encoding: .utf8)
        await #expect(throws: NodeAgentError.damagedIdentity(path: path)) {
            _ = try await within { try await lab.startAgent(lab.agentConfiguration(plane.value, token: nil)) }
        }
        try await plane.stop()
    }

    @Test func `a server that the bundle does not vouch for gets no token`() async throws {
        let lab = try Lab()
        let other = try Lab()
        let plane = try await lab.startControlPlane()
        let stranger = try await other.startControlPlane()
        let token = try await plane.value.makeJoinToken(requestID: "test")
        var configuration = lab.agentConfiguration(plane.value, token: token)
        configuration.bootstrap = .bundle(stranger.value.bundle)
        let wrong = configuration
        await #expect(throws: TimedOut.self) {
            _ = try await within(.seconds(2)) { try await lab.startAgent(wrong) }
        }
        // It was not spent.
        let agent = try await lab.startAgent(lab.agentConfiguration(plane.value, token: token))
        try await agent.stop()
        try await stranger.stop()
        try await plane.stop()
    }

    @Test func `trust on first use ends with the server's own bundle`() async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth { $0.bootstrap = .insecure }
        let store = IdentityStore(
            directory: try AgentDirectory(path: lab.agentDirectory), trustDomain: Lab.trustDomain)
        #expect(try store.loadBundle()?.x509Authorities == plane.value.bundle.x509Authorities)
        try await agent.stop()
        try await plane.stop()
    }

    @Test func `an agent renews its own short-lived identity and goes on`() async throws {
        let lab = try Lab()
        let plane = try await lab.startControlPlane { $0.nodeSVIDTTL = 4 }
        let token = try await plane.value.makeJoinToken(requestID: "test")
        let agent = try await lab.startAgent(lab.agentConfiguration(plane.value, token: token))
        let store = IdentityStore(
            directory: try AgentDirectory(path: lab.agentDirectory), trustDomain: Lab.trustDomain)
        let first = try #require(try store.loadIdentity())
        try await within {
            while Lab.now() < first.svid.expiresAt + 1 { try await Task.sleep(for: .milliseconds(50)) }
        }
        _ = try await plane.value.createEntry("/late")
        try await within {
            try await lab.withWorkload { client in _ = try await client.untilContext { $0.svids.count == 1 } }
        }
        let second = try #require(try store.loadIdentity())
        #expect(second.svid.expiresAt > first.svid.expiresAt)
        #expect(second.svid.pkcs8 != first.svid.pkcs8)
        try await agent.stop()
        try await plane.stop()
    }

    @Test func `what is handed out is in the control plane's log`() async throws {
        let lab = try Lab()
        let (plane, agent) = try await lab.startBoth()
        _ = try await plane.value.createEntry("/one")
        try await within {
            try await lab.withWorkload { client in _ = try await client.firstContext() }
        }
        let serving = plane.value
        try await within {
            while true {
                let leaves = try await serving.withAdmin { admin in
                    try await admin.log.listEntries(.with { $0.count = 1000 }) { response in
                        var leaves: [String] = []
                        for try await message in response.messages {
                            leaves.append(String(decoding: message.data, as: UTF8.self))
                        }
                        return leaves
                    }
                }
                if leaves.contains(where: { $0.contains("\"workload.attest\"") && $0.contains("lab.example/one") }) {
                    return
                }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        try await agent.stop()
        try await plane.stop()
    }

    @Test(arguments: NodeAgentConfiguration.AuditPolicy.allCases)
    func `a full spool denies or passes as policy says`(policy: NodeAgentConfiguration.AuditPolicy) async throws {
        let lab = try Lab()
        // Room for nothing but the spool's own name.
        let (plane, agent) = try await lab.startBoth {
            $0.auditPolicy = policy
            $0.auditSpoolLimit = 1
        }
        _ = try await plane.value.createEntry("/one")
        try await within {
            try await lab.withWorkload { client in
                while true {
                    let code = await WorkloadCall.x509.code(client)
                    if code == "permissionDenied" {
                        try await Task.sleep(for: .milliseconds(20))
                        continue
                    }
                    #expect(code == (policy == .deny ? "unavailable" : "ok"))
                    #expect(await WorkloadCall.jwt.code(client) == (policy == .deny ? "unavailable" : "ok"))
                    return
                }
            }
        }
        try await agent.stop()
        try await plane.stop()
    }

    @Test func `a socket directory that others can write to is refused before the token is spent`() async throws {
        let lab = try Lab()
        let plane = try await lab.startControlPlane()
        let token = try await plane.value.makeJoinToken(requestID: "test")
        try FileManager.default.createDirectory(
            atPath: "\(lab.directory)/agent", withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o755])
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o777], ofItemAtPath: "\(lab.directory)/agent")
        let error = await #expect(throws: NodeAgentError.self) {
            _ = try await lab.startAgent(lab.agentConfiguration(plane.value, token: token))
        }
        guard case .workloadSocket? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o755], ofItemAtPath: "\(lab.directory)/agent")
        let agent = try await lab.startAgent(lab.agentConfiguration(plane.value, token: token))
        // A second one on the same directory is refused, whatever its socket is called.
        var second = lab.agentConfiguration(plane.value, token: nil)
        second.workloadSocketPath = "\(lab.directory)/agent/second.sock"
        let other = second
        await #expect(throws: NodeAgentError.self) { _ = try await lab.startAgent(other) }
        try await agent.stop()
        try await plane.stop()
    }
}
