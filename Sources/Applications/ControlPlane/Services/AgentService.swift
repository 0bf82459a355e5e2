import Attestation
import AuditTrail
import ControlPlaneAPI
import FoundationEssentials
import GRPCCore
import Issuance
import Registry
import SPIFFE

/// `spire.api.server.agent.v1.Agent`: node attestation and renewal, and the administration of node agents.
struct AgentService: Spire_Api_Server_Agent_V1_Agent.SimpleServiceProtocol {
    let registry: Registry
    let issuer: Issuer
    let trustDomain: TrustDomain
    let refusals: RefusalRecorder
    /// Attestation by certificate; `nil` when the operator did not set it up.
    let x509pop: X509PoPVerifier?
    let randomBytes: @Sendable (Int) -> [UInt8]

    static let maximumPage = 1000

    // MARK: what a node agent calls

    /// Node attestation: proof → certificate → record.
    func attestAgent(
        request: RPCAsyncSequence<Spire_Api_Server_Agent_V1_AttestAgentRequest, any Error>,
        response: RPCWriter<Spire_Api_Server_Agent_V1_AttestAgentResponse>, context: ServerContext
    ) async throws {
        let caller = try context.caller
        var iterator = request.makeAsyncIterator()
        guard let first = try await iterator.next(), case .params(let params)? = first.step else {
            throw RPCError(code: .invalidArgument, message: "missing params")
        }
        guard params.hasData, !params.data.type.isEmpty else {
            throw RPCError(code: .invalidArgument, message: "malformed param: missing attestation data")
        }
        guard params.hasParams, !params.params.csr.isEmpty else {
            throw RPCError(code: .invalidArgument, message: "malformed param: missing X509-SVID parameters")
        }
        let csr = try Self.parse(params.params.csr)
        try await context.spend()
        let node: ProvenNode
        switch (params.data.type, x509pop) {
        case (JoinTokenAttestation.type, _):
            node = try await prove(joinToken: params.data.payload, caller)
        case (X509PoPAttestation.type, let verifier?):
            node = try await prove(x509pop: params.data.payload, verifier, caller) { challenge in
                try await response.write(.with { $0.challenge = Data(challenge) })
                guard let next = try await iterator.next(), case .challengeResponse(let answer)? = next.step else {
                    throw RPCError(code: .invalidArgument, message: "missing challenge response")
                }
                return Array(answer)
            }
        default:
            throw RPCError(
                code: .failedPrecondition, message: "error getting node attestor: could not find node attestor type")
        }
        let issued = try await issue(node.id, csr, node.audit, caller)
        do throws(RegistryError) {
            _ = try await registry.registerNode(
                NodeRegistration(
                    id: node.id, attestationType: node.attestationType, serial: issued.serialNumber,
                    expiresAt: issued.expiresAt, canReattest: node.canReattest, selectors: node.selectors),
                by: node.audit, requestID: caller.requestID)
        } catch {
            recordRefusal(caller, node.attestationType, error.code)
            if error == .nodeBanned { throw PermissionDeniedReason.error(for: .banned) }
            throw RPCError(error)
        }
        try await response.write(
            .with {
                $0.result.svid = Spire_Api_Types_X509SVID(issued)
                $0.result.reattestable = node.canReattest
            })
    }

    func renewAgent(
        request: Spire_Api_Server_Agent_V1_RenewAgentRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Agent_V1_RenewAgentResponse {
        let agent = try context.liveAgent
        guard request.hasParams, !request.params.csr.isEmpty else {
            throw RPCError(code: .invalidArgument, message: "missing CSR")
        }
        // SPIRE's rule: who can prove itself again has to, so that its selectors stay true.
        if let known = registry.node(agent.id), known.canReattest {
            throw PermissionDeniedReason.error(for: .mustReattest)
        }
        let csr = try Self.parse(request.params.csr)
        try await context.spend()
        let issued = try await issue(agent.id, csr, agent.caller.audit, agent.caller)
        do throws(RegistryError) {
            _ = try await registry.renewNode(
                agent.id, serial: issued.serialNumber, expiresAt: issued.expiresAt, by: agent.caller.audit,
                requestID: agent.caller.requestID)
        } catch {
            throw RPCError(error)
        }
        return .with { $0.svid = Spire_Api_Types_X509SVID(issued) }
    }

    func postStatus(
        request: Spire_Api_Server_Agent_V1_PostStatusRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Agent_V1_PostStatusResponse {
        let agent = try context.liveAgent
        try await context.spend()
        do throws(RegistryError) {
            try await registry.postStatus(
                agent.id, agentVersion: request.agentVersion, by: agent.caller.audit, requestID: agent.caller.requestID)
        } catch {
            throw RPCError(error)
        }
        return Spire_Api_Server_Agent_V1_PostStatusResponse()
    }

    private func issue(
        _ id: SPIFFEID, _ csr: CertificateSigningRequest, _ agent: AuditEvent.AgentField, _ caller: AuthorizedCaller
    ) async throws(RPCError) -> IssuedX509SVID {
        do throws(IssuanceError) {
            return try await issuer.issueNodeSVID(
                for: IssuanceCaller(agent: agent, requestID: caller.requestID), id: id, csr: csr)
        } catch {
            throw RPCError(error)
        }
    }

    static func parse(_ csr: Data) throws(RPCError) -> CertificateSigningRequest {
        do throws(CSRError) {
            return try CertificateSigningRequest(parsing: Array(csr))
        } catch {
            throw RPCError(code: .invalidArgument, message: "failed to parse CSR: \(error)")
        }
    }

    // MARK: what an administrator calls

    func countAgents(
        request: Spire_Api_Server_Agent_V1_CountAgentsRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Agent_V1_CountAgentsResponse {
        var listing = Spire_Api_Server_Agent_V1_ListAgentsRequest.Filter()
        listing.byAttestationType = request.filter.byAttestationType
        if request.filter.hasBySelectorMatch { listing.bySelectorMatch = request.filter.bySelectorMatch }
        if request.filter.hasByBanned { listing.byBanned = request.filter.byBanned }
        if request.filter.hasByCanReattest { listing.byCanReattest = request.filter.byCanReattest }
        listing.byExpiresBefore = request.filter.byExpiresBefore
        let count = registry.countNodes(try listing.parsed())
        return .with { $0.count = Int32(clamping: count) }
    }

    func listAgents(
        request: Spire_Api_Server_Agent_V1_ListAgentsRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Agent_V1_ListAgentsResponse {
        let page = try PageRequest(wireSize: request.pageSize, token: request.pageToken, maximum: Self.maximumPage)
        let filter = try request.filter.parsed()
        do throws(RegistryError) {
            let result = try registry.nodes(filter, page: page)
            let mask = request.hasOutputMask ? request.outputMask : nil
            return .with {
                $0.agents = result.items.map { Spire_Api_Types_Agent($0, mask: mask) }
                $0.nextPageToken = result.nextToken
            }
        } catch {
            throw RPCError(error)
        }
    }

    func getAgent(
        request: Spire_Api_Server_Agent_V1_GetAgentRequest, context: ServerContext
    ) async throws -> Spire_Api_Types_Agent {
        let id = try nodeID(request.id)
        guard let node = registry.node(id) else { throw RPCError(code: .notFound, message: "agent not found") }
        return Spire_Api_Types_Agent(node, mask: request.hasOutputMask ? request.outputMask : nil)
    }

    func deleteAgent(
        request: Spire_Api_Server_Agent_V1_DeleteAgentRequest, context: ServerContext
    ) async throws -> SwiftProtobufEmpty {
        let caller = try context.caller
        let id = try nodeID(request.id)
        do throws(RegistryError) {
            try await registry.evictNode(id, by: caller.audit, requestID: caller.requestID)
        } catch {
            throw RPCError(error)
        }
        return SwiftProtobufEmpty()
    }

    func banAgent(
        request: Spire_Api_Server_Agent_V1_BanAgentRequest, context: ServerContext
    ) async throws -> SwiftProtobufEmpty {
        let caller = try context.caller
        let id = try nodeID(request.id)
        do throws(RegistryError) {
            try await registry.banNode(id, by: caller.audit, requestID: caller.requestID)
        } catch {
            throw RPCError(error)
        }
        return SwiftProtobufEmpty()
    }

    func createJoinToken(
        request: Spire_Api_Server_Agent_V1_CreateJoinTokenRequest, context: ServerContext
    ) async throws -> Spire_Api_Types_JoinToken {
        let caller = try context.caller
        let alias = request.hasAgentID ? try request.agentID.parsed("agent_id") : nil
        do throws(RegistryError) {
            let token = try await registry.createJoinToken(
                ttl: request.ttl, value: request.token.isEmpty ? nil : request.token, nodeAlias: alias,
                by: caller.audit,
                requestID: caller.requestID)
            return .with {
                $0.value = token.value
                $0.expiresAt = token.expiresAt.seconds
            }
        } catch {
            throw RPCError(error)
        }
    }

    private func nodeID(_ message: Spire_Api_Types_SPIFFEID) throws(RPCError) -> SPIFFEID {
        let id = try message.parsed("id")
        guard id.trustDomain == trustDomain else {
            throw RPCError(
                code: .invalidArgument, message: "`\(id)` is not a member of trust domain `\(trustDomain.name)`")
        }
        guard id.path.hasPrefix("/spire/agent/") else {
            throw RPCError(
                code: .invalidArgument, message: "`\(id)` is not an agent in trust domain `\(trustDomain.name)`")
        }
        return id
    }
}
