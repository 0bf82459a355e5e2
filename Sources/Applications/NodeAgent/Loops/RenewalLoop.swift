import Crypto
import GRPCCore
import SPIFFE

/// The node has attested as another one.
struct NodeReplaced: Error {
    let standing: NodeAttestation.Standing
}

/// Renews the node's own identity with about half of its life left, or at once when its authority is tainted.
struct RenewalLoop: Sendable {
    let parts: AgentParts

    /// The longest wait between looks: clocks are set and machines sleep.
    static let longestWait = Duration.seconds(30)

    /// Renews until the task is cancelled.
    /// - Throws: `NodeRefused` when the server refuses or the identity has ended.
    func run() async throws {
        var backOff = parts.backOff
        var due = rotation(of: parts.connection.identity)
        while true {
            let identity = parts.connection.identity
            let time = parts.now()
            guard identity.svid.expiresAt > time else { throw NodeRefused(reason: .expired) }
            let isTainted = parts.cache.withEntries {
                $0.bundle.demandsRotation(authorityKeyID: identity.authorityKeyID)
            }
            // A clock that was set back to before its beginning: the server refuses it then.
            let isFromTheFuture = RotationSchedule.isFromTheFuture(obtained: identity.obtainedAt, at: time)
            guard due <= time || isTainted || isFromTheFuture else {
                let wait = Duration.milliseconds(max(1, due.milliseconds(since: time)))
                _ = try await parts.renewSignal.wait(upTo: min(wait, Self.longestWait), sleep: parts.sleep)
                continue
            }
            do {
                try await renewOrAttest()
                due = rotation(of: parts.connection.identity)
                backOff.succeeded()
            } catch let error as RPCError {
                try Task.checkCancellation()
                if let reason = error.refusal { throw NodeRefused(reason: reason) }
                parts.logger.warning("the node's identity was not renewed", metadata: ["reason": "\(error.message)"])
                try await parts.sleep(parts.wait(&backOff))
            } catch let error as NodeAgentError where error.isOfProof {
                // Files in somebody else's hands: perhaps they are being replaced. The identity still holds.
                parts.logger.warning("the node cannot attest again", metadata: ["reason": "\(error)"])
                try await parts.sleep(parts.wait(&backOff))
            }
        }
    }

    /// Attests again where the server wants that and this node can, renews otherwise.
    private func renewOrAttest() async throws {
        let identity = parts.connection.identity
        guard let proof = parts.attestation.repeatableProof else { return try await renew() }
        if !identity.isReattestable {
            do {
                return try await renew()
            } catch let error as RPCError where error.refusal == .mustReattest {
                // A stored identity did not know.
            }
        }
        try await attest(proof)
    }

    private func attest(_ proof: NodeProof) async throws {
        let old = parts.connection.identity
        let standing = try await parts.connection.changing {
            let standing = try await parts.attestation.attestOnce(proof, trust: parts.trust)
            if standing.identity.id == old.id { try parts.connection.replace(standing.identity) }
            return standing
        }
        // Another certificate in the files makes another node.
        guard standing.identity.id == old.id else { throw NodeReplaced(standing: standing) }
        parts.logger.info("node attested again", metadata: ["expires": "\(standing.identity.svid.expiresAt)"])
    }

    /// New key, new certificate, stored before it is used: until its first use the server accepts the old one.
    func renew() async throws {
        let key = P256.Signing.PrivateKey()
        let csr = try CSRBuilder.make(privateKey: key)
        let chain = try await parts.connection.call { try await $0.renew(csr: csr) }
        let svid: X509SVID
        do {
            svid = try X509SVID(chain: chain, privateKey: key)
        } catch {
            throw RPCError(code: .internalError, message: "the renewed certificate cannot be used: \(error)")
        }
        guard svid.id == parts.connection.identity.id else {
            throw RPCError(code: .internalError, message: "the renewed certificate has another ID")
        }
        let identity = NodeIdentity(svid: svid, obtainedAt: parts.now())
        try parts.store.save(identity)
        try parts.connection.replace(identity)
        parts.logger.info("node identity renewed", metadata: ["expires": "\(svid.expiresAt)"])
    }

    private func rotation(of identity: NodeIdentity) -> UnixTime {
        RotationSchedule.rotation(
            obtained: identity.obtainedAt, expires: identity.svid.expiresAt, random: parts.random())
    }
}
