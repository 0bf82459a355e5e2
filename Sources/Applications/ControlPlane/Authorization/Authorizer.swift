import AuditTrail
import Crypto
import GRPCCore
import Issuance
import PeerRPC
import Registry
import SPIFFE

/// Decides whether the peer of a connection may call an RPC: authenticate, classify, look the method up in the table.
struct Authorizer: Sendable {
    let trustDomain: TrustDomain
    let registry: Registry
    let now: @Sendable () -> UnixTime
    let randomBytes: @Sendable (Int) -> [UInt8]
    /// Verifies a client's chain against our own bundle at a time; the handshake did so before, and authorities may have
    /// gone since.
    let verify: @Sendable (_ chain: [[UInt8]], _ time: UnixTime) -> VerifiedX509SVID?
    let revocations: RevocationRegister

    /// - Throws: `NodeRefused` for a node agent that may not go on, `RPCError` for everybody else.
    func authorize(_ peer: ConnectionPeer, method: String) async throws -> AuthorizedCaller {
        let allowed = AuthorizationTable.callers(of: method)
        let presented = try present(peer)
        if allowed.contains(.localSocket), case .process = peer.identity {
            return caller(.localSocket, presented, peer)
        }
        if let svid = presented.svid {
            if allowed.contains(.liveAgent), Self.isNodeID(svid.id) {
                return try await liveAgent(svid, presented, peer)
            }
            if allowed.contains(.admin), registry.isAdmin(svid.id) {
                return caller(.admin(svid.id), presented, peer)
            }
            if allowed.contains(.downstream), registry.isDownstream(svid.id) {
                return caller(.downstream(svid.id), presented, peer)
            }
        }
        guard allowed.contains(.anyone) else {
            throw RPCError(code: .permissionDenied, message: "authorization denied for method /\(method)")
        }
        return caller(.anyone, presented, peer)
    }

    /// The audit field of a peer that is about to be refused.
    func auditField(of peer: ConnectionPeer) -> AuditEvent.AgentField {
        (try? present(peer))?.audit ?? AuditEvent.AgentField(authMethod: .none)
    }

    private func liveAgent(
        _ svid: VerifiedX509SVID, _ presented: Presented, _ peer: ConnectionPeer
    ) async throws -> AuthorizedCaller {
        do throws(NodeCheckError) {
            _ = try await registry.checkNode(svid.id, serial: svid.leaf.serialNumber, expiresAt: svid.expiresAt)
        } catch {
            switch error {
            case .refused(let refusal): throw NodeRefused(refusal: refusal)
            case .failed: throw RPCError(code: .unavailable, message: "the node's record cannot be read or written now")
            }
        }
        return caller(.liveAgent(svid.id, serial: svid.leaf.serialNumber), presented, peer)
    }

    private static func isNodeID(_ id: SPIFFEID) -> Bool {
        id.path.hasPrefix("/spire/agent/")
    }

    /// What a peer has shown, verified.
    private struct Presented {
        let svid: VerifiedX509SVID?
        let audit: AuditEvent.AgentField
    }

    private func present(_ peer: ConnectionPeer) throws -> Presented {
        switch peer.identity {
        case .process(let process):
            return Presented(
                svid: nil,
                audit: AuditEvent.AgentField(
                    authMethod: .unixSocket, peer: AuditEvent.PeerField(uid: process.uid, pid: process.pid)))
        case .anonymous:
            return Presented(
                svid: nil,
                audit: AuditEvent.AgentField(
                    authMethod: .none, peer: AuditEvent.PeerField(address: peer.remoteAddress)))
        case .certificate(let chain):
            guard let leaf = chain.first, let svid = verify(chain, now()) else { throw refusal(of: chain) }
            switch revocations.revoked.revocation(of: svid) {
            // A node agent with a revoked certificate has to come back with another one, as after a renewal elsewhere.
            case .serial? where Self.isNodeID(svid.id), .key? where Self.isNodeID(svid.id):
                throw NodeRefused(refusal: .notActive)
            case .some: throw RPCError(code: .permissionDenied, message: "the caller's identity is revoked")
            case nil: break
            }
            return Presented(
                svid: svid,
                audit: AuditEvent.AgentField(
                    id: svid.id.string, authMethod: .mtls, credentialHash: Hex.encode(SHA256.hash(data: leaf)),
                    peer: AuditEvent.PeerField(address: peer.remoteAddress)))
        }
    }

    /// A connection may outlive its certificate. A node agent learns that it has expired, which makes it attest again.
    private func refusal(of chain: [[UInt8]]) -> any Error {
        let ended = chain.first.flatMap { try? ParsedCertificate(der: $0) }.map(\.notAfter)
        if let ended, ended < now(), let svid = verify(chain, ended), Self.isNodeID(svid.id) {
            return NodeRefused(refusal: .expired)
        }
        return RPCError(code: .unauthenticated, message: "the client certificate does not verify")
    }

    private func caller(
        _ identity: AuthorizedCaller.Identity, _ presented: Presented, _ peer: ConnectionPeer
    ) -> AuthorizedCaller {
        AuthorizedCaller(
            identity: identity, audit: presented.audit, requestID: Hex.encode(randomBytes(16)), source: peer.sourceHost)
    }
}

extension ConnectionPeer {
    /// The peer's host without the port: what refusals are counted by.
    var sourceHost: String {
        guard let colon = remoteAddress.utf8.lastIndex(of: UInt8(ascii: ":")) else { return remoteAddress }
        return String(remoteAddress[..<colon])
    }
}

/// A node agent that is known and may not go on.
struct NodeRefused: Error {
    let refusal: NodeRefusal
}

/// Lower-case hexadecimal.
enum Hex {
    static func encode(_ bytes: some Sequence<UInt8>) -> String {
        HexText.encode(bytes)
    }
}
