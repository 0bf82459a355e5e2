import AgentShieldTesting
import Foundation
import PeerTLS
import SPIFFE
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
        func write(_ name: String, _ text: String) throws -> String {
            try text.write(toFile: "\(directory)/\(name)", atomically: true, encoding: .utf8)
            return "\(directory)/\(name)"
        }
        let certificates = svid.chain.map { PEM.encode(label: PEM.certificateLabel, der: $0) }
        let leaf = try write("leaf.pem", certificates[0] + svid.privateKeyPEM)
        var words =
            [
                "openssl", "s_client", "-tls1_3", "-connect", "127.0.0.1:\(server.port)", "-cert", leaf, "-key", leaf,
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
}
