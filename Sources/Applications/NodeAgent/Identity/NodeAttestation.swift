import Attestation
import ControlPlaneAPI
import Crypto
import GRPCCore
import Logging
import SPIFFE

/// The way to an identity: the stored one, or the join token.
struct NodeAttestation: Sendable {
    let configuration: NodeAgentConfiguration
    let store: IdentityStore
    let logger: Logger
    let now: @Sendable () -> UnixTime
    let randomBytes: @Sendable (Int) -> [UInt8]
    let sleep: @Sendable (Duration) async throws -> Void

    private var endpoint: NodeAPIClient.Endpoint {
        NodeAPIClient.Endpoint(host: configuration.serverHost, port: configuration.serverPort)
    }

    private var serverID: SPIFFEID {
        get throws { try SPIFFEID(trustDomain: configuration.trustDomain, path: "/spire/server") }
    }

    /// What the node starts with.
    struct Standing: Sendable {
        let identity: NodeIdentity
        let trust: ServerTrust
        let bundle: TrustBundle
    }

    /// The stored identity if it can still be used, else a new one by the join token.
    func stand() async throws -> Standing {
        if let identity = try store.loadIdentity() {
            if identity.svid.expiresAt > now() {
                let bundle = try await startBundle(preferStored: true)
                return Standing(
                    identity: identity, trust: ServerTrust(serverID: try serverID, bundle: bundle, now: now),
                    bundle: bundle)
            }
            guard let token = unusedToken(besides: identity) else {
                throw NodeAgentError.identityRefused(identity.id, .expired)
            }
            return try await attest(token)
        }
        guard let token = configuration.joinToken else { throw NodeAgentError.notAttested }
        return try await attest(token)
    }

    /// A token that can replace an identity which the server refuses.
    func unusedToken(besides identity: NodeIdentity) -> String? {
        guard let token = configuration.joinToken, !identity.isOf(token: token) else { return nil }
        return token
    }

    /// Attests by the token; tries again for as long as the server is away.
    func attest(_ token: String) async throws -> Standing {
        do {
            try JoinTokenAttestation.check(token: token)
        } catch {
            throw NodeAgentError.tokenRefused(error.description)
        }
        var backOff = BackOff(initial: .milliseconds(200), cap: .seconds(10))
        while true {
            do {
                return try await attestOnce(token)
            } catch let error as RPCError where error.isWorthRetrying {
                logger.warning("cannot attest yet", metadata: ["reason": "\(error.message)"])
            } catch let error as RPCError {
                if error.permissionDeniedReason == .agentBanned {
                    let id = try JoinTokenAttestation.nodeID(token: token, trustDomain: configuration.trustDomain)
                    throw NodeAgentError.banned(id)
                }
                throw NodeAgentError.attestation(error)
            }
            try await sleep(backOff.failed(random: RandomFraction.draw(randomBytes)))
        }
    }

    private func attestOnce(_ token: String) async throws -> Standing {
        let trust = ServerTrust(serverID: try serverID, bundle: try await startBundle(preferStored: false), now: now)
        let key = P256.Signing.PrivateKey()
        let csr = try CSRBuilder.make(privateKey: key)
        let result: (chain: [[UInt8]], bundle: TrustBundle)
        do {
            result = try await NodeAPIClient.with(endpoint: endpoint, verifyServer: { trust.verify($0) }) { client in
                let calls = ServerCalls(client: client)
                let chain = try await calls.attest(
                    type: JoinTokenAttestation.type, payload: Array(token.utf8), csr: csr)
                return (chain, try await calls.bundle(of: configuration.trustDomain))
            }
        } catch {
            if let refusal = trust.refusal {
                logger.warning("the server does not verify by the trust bundle", metadata: ["reason": "\(refusal)"])
            }
            throw error
        }
        let svid = try X509SVID(chain: result.chain, privateKey: key)
        guard svid.id.trustDomain == configuration.trustDomain, svid.id.path.hasPrefix("/spire/agent/") else {
            throw NodeAgentError.attestationRefused("it was given the ID `\(svid.id)`")
        }
        let identity = NodeIdentity(svid: svid, obtainedAt: now())
        try store.save(result.bundle)
        try store.save(identity)
        trust.replace(result.bundle)
        logger.info("node attested", metadata: ["id": "\(svid.id)"])
        return Standing(identity: identity, trust: trust, bundle: result.bundle)
    }

    /// The bundle that the server is judged by at first. A node with an identity follows the stored bundle, which has
    /// seen rotations; without one, what the operator says counts.
    private func startBundle(preferStored: Bool) async throws -> TrustBundle {
        if preferStored, let stored = try store.loadBundle(),
            stored.x509Authorities.contains(where: { $0.certificate.notAfter > now() })
        {
            return stored
        }
        switch configuration.bootstrap {
        case .bundle(let bundle): return bundle
        case .insecure: return try await firstContact()
        case .stored:
            guard let stored = try store.loadBundle() else { throw NodeAgentError.noTrustBundle }
            return stored
        }
    }

    /// Believes the server that answers, provided that its certificate and its bundle fit together.
    private func firstContact() async throws -> TrustBundle {
        logger.warning(
            "INSECURE BOOTSTRAP: the server is believed without proof; give the agent the server's trust bundle",
            metadata: ["server": "\(endpoint)"])
        let contact = FirstContact()
        let bundle = try await NodeAPIClient.with(endpoint: endpoint, verifyServer: { contact.accept($0) }) { client in
            try await ServerCalls(client: client).bundle(of: configuration.trustDomain)
        }
        let refusal = ServerTrust.refusal(
            of: contact.chain, serverID: try serverID, bundle: bundle.x509Bundle, at: now())
        if let refusal { throw NodeAgentError.attestationRefused("the server's certificate is not good: \(refusal)") }
        return bundle
    }
}

extension NodeAgentError {
    /// The server's final answer to an attestation.
    fileprivate static func attestation(_ error: RPCError) -> NodeAgentError {
        switch error.code {
        case .invalidArgument, .notFound, .permissionDenied, .unauthenticated: .tokenRefused(error.message)
        default: .attestationRefused(error.message)
        }
    }
}
