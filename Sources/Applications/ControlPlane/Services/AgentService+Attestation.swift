import Attestation
import AuditTrail
import ControlPlaneAPI
import FoundationEssentials
import GRPCCore
import Registry
import SPIFFE

/// A node that has proved who it is, by whatever method; made by the proof of a method alone.
struct ProvenNode: Sendable {
    let id: SPIFFEID
    let attestationType: String
    let selectors: [Selector]
    /// Whether the node may attest by this method again, so that it does that instead of renewing.
    let canReattest: Bool
    /// The node as the audit log names it.
    let audit: AuditEvent.AgentField

    fileprivate init(
        id: SPIFFEID, attestationType: String, selectors: [Selector], canReattest: Bool, audit: AuditEvent.AgentField
    ) {
        self.id = id
        self.attestationType = attestationType
        self.selectors = selectors
        self.canReattest = canReattest
        self.audit = audit
    }
}

extension AgentService {
    /// A join token: whoever presents it first is the node.
    func prove(joinToken payload: Data, _ caller: AuthorizedCaller) async throws(RPCError) -> ProvenNode {
        var attesting = caller.audit
        attesting.authMethod = .joinToken
        do throws(RegistryError) {
            let id = try await registry.consumeJoinToken(
                String(decoding: payload, as: UTF8.self), by: attesting, requestID: caller.requestID)
            attesting.id = id.string
            return ProvenNode(
                id: id, attestationType: JoinTokenAttestation.type, selectors: [], canReattest: false, audit: attesting)
        } catch {
            recordRefusal(caller, JoinTokenAttestation.type, error.code)
            throw RPCError(error)
        }
    }

    /// A certificate from elsewhere and the proof of its key. `exchange` sends the challenge and waits for the answer.
    func prove(
        x509pop payload: Data, _ verifier: X509PoPVerifier, _ caller: AuthorizedCaller,
        exchange: (_ challenge: [UInt8]) async throws -> [UInt8]
    ) async throws -> ProvenNode {
        do {
            let candidate = try verifier.admit(Array(payload))
            // A banned node is not even asked for its proof.
            try checkBan(candidate.id, caller)
            let challenge = candidate.challenge(nonce: randomBytes(X509PoPAttestation.nonceLength))
            let response = try X509PoPResponse(parsing: try await exchange(challenge.bytes))
            let node = try candidate.prove(response, to: challenge)
            var attesting = caller.audit
            attesting.authMethod = .x509pop
            attesting.id = node.id.string
            attesting.credentialHash = Hex.encode(candidate.leaf.sha256)
            return ProvenNode(
                id: node.id, attestationType: X509PoPAttestation.type, selectors: node.selectors, canReattest: true,
                audit: attesting)
        } catch let error as X509PoPError {
            recordRefusal(caller, X509PoPAttestation.type, error.code)
            throw RPCError(code: .invalidArgument, message: "x509pop: \(error)")
        }
    }

    private func checkBan(_ id: SPIFFEID, _ caller: AuthorizedCaller) throws {
        guard let known = registry.node(id), known.isBanned else { return }
        recordRefusal(caller, known.attestationType, RegistryError.nodeBanned.code)
        throw PermissionDeniedReason.error(for: .banned)
    }

    /// Notes a refused attestation, within the limits for peers that nobody knows.
    func recordRefusal(_ caller: AuthorizedCaller, _ type: String, _ reason: String) {
        refusals.record(
            AuditEvent(
                type: .nodeAttest, agent: caller.audit,
                resource: AuditEvent.ResourceField(kind: "node", id: type),
                decision: AuditEvent.DecisionField(action: "attest", result: .deny, reason: reason),
                correlation: AuditEvent.CorrelationField(requestID: caller.requestID)),
            source: caller.source, kind: "node.attest")
    }
}
