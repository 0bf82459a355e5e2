import Attestation
import ControlPlaneAPI
import Crypto
import GRPCCore
import Logging
import SPIFFE

/// The way to an identity: the stored one, or a new attestation.
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

    /// The stored identity if it can still be used, else a new one.
    func stand() async throws -> Standing {
        guard let identity = try store.loadIdentity() else {
            guard let proof = proof(besides: nil) else { throw NodeAgentError.notAttested }
            return try await attest(proof, isStart: true)
        }
        guard identity.svid.expiresAt > now() else {
            guard let proof = proof(besides: identity) else {
                throw NodeAgentError.identityRefused(identity.id, .expired)
            }
            return try await attest(proof, isStart: true)
        }
        let bundle = try await startBundle(preferStored: true)
        return Standing(
            identity: identity, trust: ServerTrust(serverID: try serverID, bundle: bundle, now: now), bundle: bundle)
    }

    /// What can replace an identity that has ended or that the server refuses. A token is good once.
    func proof(besides identity: NodeIdentity?) -> NodeProof? {
        if let repeatableProof { return repeatableProof }
        guard let token = configuration.joinToken, identity.map({ !$0.isOf(token: token) }) ?? true else { return nil }
        return .joinToken(token)
    }

    /// A proof that can be given as often as needed.
    var repeatableProof: NodeProof? { configuration.x509pop.map { .x509pop($0) } }

    /// Attests; tries again for as long as the server is away, and builds the trust anew when that is due.
    ///
    /// At the start, what cannot be helped from here ends the agent. Later a proof that can be repeated is tried again
    /// and again: an operator may bring new files or a new authority meanwhile.
    /// - Parameter mistrustedSince: since when the server has not been recognized already.
    func attest(
        _ proof: NodeProof, isStart: Bool, mistrustedSince: UnixTime? = nil
    ) async throws -> Standing {
        var backOff = BackOff(initial: .milliseconds(200), cap: .seconds(10))
        var mistrustedSince = mistrustedSince
        while true {
            var trust: ServerTrust?
            do {
                let made = ServerTrust(
                    serverID: try serverID, bundle: try await bundle(for: proof, mistrustedSince), now: now)
                trust = made
                return try await attestOnce(proof, trust: made)
            } catch let error as RPCError where error.isWorthRetrying {
                logger.warning("cannot attest yet", metadata: ["reason": "\(error.message)"])
            } catch let error as RPCError where error.permissionDeniedReason == .agentBanned {
                throw NodeAgentError.banned(try bannedID(proof))
            } catch let error as RPCError {
                guard proof.canRepeat else { throw NodeAgentError.attestation(error) }
                guard !isStart else { throw NodeAgentError.attestationRefused(error.message) }
                logger.error("the server refuses to attest this node", metadata: ["reason": "\(error.message)"])
            } catch let error as NodeAgentError where !isStart && proof.canRepeat && error.isOfProof {
                logger.error("the node cannot attest", metadata: ["reason": "\(error)"])
            }
            // The first refused handshake counts, until one succeeds.
            if let trust { mistrustedSince = trust.refusal == nil ? nil : mistrustedSince ?? trust.refusedSince }
            try await sleep(backOff.failed(random: RandomFraction.draw(randomBytes)))
        }
    }

    /// Trust built anew: with a repeatable proof also a new identity, else the one at hand.
    func rebootstrap(_ standing: Standing) async throws -> Standing {
        logger.warning("the server is not recognized by the stored trust bundle: building the trust anew")
        if let repeatableProof {
            return try await attest(
                repeatableProof, isStart: false, mistrustedSince: standing.trust.refusedSince ?? now())
        }
        let bundle = try await startBundle(preferStored: false)
        try store.save(bundle)
        return Standing(
            identity: standing.identity, trust: ServerTrust(serverID: try serverID, bundle: bundle, now: now),
            bundle: bundle)
    }

    /// Whether lost trust may be built anew.
    var mayRebootstrap: Bool {
        switch configuration.rebootstrap.mode {
        case .never: false
        case .auto: repeatableProof != nil
        case .always: true
        }
    }

    /// The bundle that the server is judged by when the node attests.
    private func bundle(for proof: NodeProof, _ mistrustedSince: UnixTime?) async throws -> TrustBundle {
        // A token comes from an operator who is here now, and so does the bundle that is given with it.
        guard proof.canRepeat, let stored = try store.loadBundle() else {
            return try await startBundle(preferStored: false)
        }
        let isAlive = stored.x509Authorities.contains { $0.certificate.notAfter > now() }
        guard mayRebootstrap else {
            guard isAlive else {
                throw NodeAgentError.trustLost(path: store.directory.path(of: IdentityStore.bundleFile))
            }
            return stored
        }
        let isLost =
            mistrustedSince.map {
                Duration.milliseconds(now().milliseconds(since: $0)) >= configuration.rebootstrap.delay
            } ?? false
        guard !isAlive || isLost else { return stored }
        logger.warning("the trust in the server is built anew", metadata: ["ended": "\(!isAlive)"])
        return try await startBundle(preferStored: false)
    }

    /// One attestation over a connection of its own, without a certificate; stores what came of it.
    func attestOnce(_ proof: NodeProof, trust: ServerTrust) async throws -> Standing {
        let messages = try proof.messages(randomBytes: randomBytes)
        let key = P256.Signing.PrivateKey()
        let csr = try CSRBuilder.make(privateKey: key)
        let result: (attested: ServerCalls.Attested, bundle: TrustBundle)
        do {
            result = try await NodeAPIClient.with(endpoint: endpoint, verifyServer: { trust.verify($0) }) { client in
                let calls = ServerCalls(client: client)
                let attested = try await calls.attest(messages, csr: csr)
                return (attested, try await calls.bundle(of: configuration.trustDomain))
            }
        } catch {
            if let refusal = trust.refusal {
                logger.warning("the server does not verify by the trust bundle", metadata: ["reason": "\(refusal)"])
            }
            throw error
        }
        let svid: X509SVID
        do {
            svid = try X509SVID(chain: result.attested.chain, privateKey: key)
        } catch {
            throw NodeAgentError.attestationRefused("its certificate cannot be used: \(error)")
        }
        guard svid.id.trustDomain == configuration.trustDomain, svid.id.path.hasPrefix("/spire/agent/") else {
            throw NodeAgentError.attestationRefused("it was given the ID `\(svid.id)`")
        }
        let identity = NodeIdentity(
            svid: svid, obtainedAt: now(), isReattestable: result.attested.isReattestable && proof.canRepeat)
        try store.save(result.bundle)
        try store.save(identity)
        trust.replace(result.bundle)
        logger.info("node attested", metadata: ["id": "\(svid.id)"])
        return Standing(identity: identity, trust: trust, bundle: result.bundle)
    }

    /// The ID that the server has banned, as far as this side can tell.
    private func bannedID(_ proof: NodeProof) throws -> SPIFFEID {
        switch proof {
        case .joinToken(let token):
            return try JoinTokenAttestation.nodeID(token: token, trustDomain: configuration.trustDomain)
        case .x509pop(let files):
            return try files.nodeID(in: configuration.trustDomain)
        }
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
        case .file(let path): return try bootstrapFile(path)
        case .insecure: return try await firstContact()
        case .stored:
            guard let stored = try store.loadBundle() else { throw NodeAgentError.noTrustBundle }
            return stored
        }
    }

    private func bootstrapFile(_ path: String) throws(NodeAgentError) -> TrustBundle {
        do {
            let pem = String(decoding: try OutsideFile.read(path), as: UTF8.self)
            return try TrustBundle(trustDomain: configuration.trustDomain, pem: pem)
        } catch {
            throw .bootstrapBundle(path: path, reason: "\(error)")
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
