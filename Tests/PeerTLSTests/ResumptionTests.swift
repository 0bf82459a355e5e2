import AgentShieldTesting
import Foundation
import PeerTLS
import SPIFFE
import TestPKI
import TestPrograms
import Testing

/// A resumed session skips the verification callback, so its peer has to be judged again. `openssl s_client` resumes.
@Suite(.serialized) struct ResumptionTests {
    let clock = ManualClock(start)
    let own: TestTrustDomain
    let server = EchoServer()
    let identity: LiveIdentity
    let directory = "/tmp/peertls-\(UInt32.random(in: .min ... .max))"

    init() async throws {
        own = try TestTrustDomain("own.example", clock: clock)
        identity = try LiveIdentity(TLSIdentity(svid: own.svid("/server"), bundles: own.bundles))
        try await server.start(
            identity, verifier: PeerVerifier(identity: identity, authorizer: .anyVerified, now: clock.now))
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    }

    /// Says hello, waits for the echo or the end, and leaves.
    private func run(_ svid: X509SVID, _ arguments: [String]) async throws -> String {
        try await run(
            svid.chain.map { PEM.encode(label: PEM.certificateLabel, der: $0) }, key: svid.privateKeyPEM,
            port: server.port, arguments)
    }

    private func run(
        _ certificates: [String], key: String, port: Int, _ arguments: [String]
    ) async throws -> String {
        func write(_ name: String, _ text: String) throws -> String {
            try text.write(toFile: "\(directory)/\(name)", atomically: true, encoding: .utf8)
            return "\(directory)/\(name)"
        }
        let leaf = try write("leaf.pem", certificates[0] + key)
        var words =
            [
                "openssl", "s_client", "-tls1_3", "-connect", "127.0.0.1:\(port)", "-cert", leaf, "-key", leaf,
            ] + arguments
        if certificates.count > 1 {
            words += ["-cert_chain", try write("chain.pem", certificates.dropFirst().joined())]
        }
        let program = try TestProgram(words, hasInput: true)
        program.send("hello-echo\n")
        // The session ticket comes before the first answer.
        for _ in 0..<2000 where program.isRunning && !program.output.contains("hello-echo") {
            try await Task.sleep(for: .milliseconds(10))
        }
        program.send("Q\n")
        program.closeInput()
        _ = try await program.ended()
        return program.output
    }

    enum Change: CaseIterable {
        case none, authorityGone, certificateExpired
    }

    @Test(arguments: [true, false], Change.allCases) func `a resumed session is judged anew`(
        isNested: Bool, change: Change
    ) async throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let svid = isNested ? try own.nestedSVID("/client") : try own.svid("/client")
        let session = directory + "/session"
        let first = try await run(svid, ["-sess_out", session])
        #expect(first.contains("hello-echo"))
        switch change {
        case .none: break
        case .authorityGone:
            let fresh = try TestTrustDomain("own.example", clock: clock)
            identity.replaceBundles(fresh.bundles)
        case .certificateExpired: clock.advance(seconds: 3601)
        }
        let second = try await run(svid, ["-sess_in", session])
        #expect(second.contains("Reused, TLSv1.3"))
        #expect(second.contains("hello-echo") == (change == .none))
        let refusal = server.errors.withLock { $0.lazy.compactMap { $0 as? PeerVerifier.Refusal }.first }
        switch (change, refusal) {
        case (.none, nil), (.authorityGone, .unverified(.noAuthority)), (.certificateExpired, .unverified(.expired)):
            break
        default: Issue.record("\(String(describing: refusal))")
        }
        #expect(server.peers.withLock { $0.count } == (change == .none ? 2 : 1))
        await server.stop()
    }

    @Test func `a resumed session shows the certificate of the first one, and makes nobody of it`() async throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let open = EchoServer()
        try await open.start(
            identity, clientCertificate: .requested,
            verifier: PeerVerifier(identity: identity, authorizer: .anyVerified, now: clock.now),
            admitsUnverified: true)
        let pki = TestPKI(now: UnixTime(seconds: Int64(Date().timeIntervalSince1970)))
        let root = try pki.make(.authority("root"))
        let holder = try pki.make(.client(), by: root)
        let other = try pki.make(.client(), by: root)
        func run(_ holder: TestPKI.Holder, _ arguments: [String]) async throws -> String {
            try await self.run(
                [holder, root].map { try PEM.encode(label: PEM.certificateLabel, der: $0.der) },
                key: holder.key.pemRepresentation, port: open.port, arguments)
        }
        let session = directory + "/session"
        #expect(try await run(holder, ["-sess_out", session]).contains("hello-echo"))
        // The certificate that counts is the one whose key was proved, whatever the client has at hand now.
        let second = try await run(other, ["-sess_in", session])
        #expect(second.contains("Reused, TLSv1.3") && second.contains("hello-echo"))
        #expect(open.peers.withLock { $0 } == [nil, nil])
        let shown = open.presented.withLock { $0 }
        #expect(try shown.map(\.leaf.der) == [holder.der, holder.der])
        #expect(shown.map(\.chain.count) == [2, 1])
        await open.stop()
        await server.stop()
    }

    @Test func `an SVID that verifies no more is no other certificate in a resumed session`() async throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let open = EchoServer()
        try await open.start(
            identity, clientCertificate: .requested,
            verifier: PeerVerifier(identity: identity, authorizer: .anyVerified, now: clock.now),
            admitsUnverified: true)
        let svid = try own.svid("/client", dnsNames: ["a.example.org"])
        let session = directory + "/session"
        func run(_ arguments: [String]) async throws -> String {
            try await self.run(
                svid.chain.map { PEM.encode(label: PEM.certificateLabel, der: $0) }, key: svid.privateKeyPEM,
                port: open.port, arguments)
        }
        #expect(try await run(["-sess_out", session]).contains("hello-echo"))
        identity.replaceBundles(try TestTrustDomain("own.example", clock: clock).bundles)
        #expect(!(try await run(["-sess_in", session]).contains("hello-echo")))
        #expect(open.presented.withLock { $0.isEmpty })
        await open.stop()
        await server.stop()
    }
}
