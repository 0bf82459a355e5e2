import AuditTrail
import ControlPlaneAPI
import FoundationEssentials
import GRPCCore
import Issuance
import Registry
import SPIFFE

/// `spire.api.server.svid.v1.SVID`: identities for the workloads of node agents, and minted ones for administrators.
struct SVIDService: Spire_Api_Server_Svid_V1_SVID.SimpleServiceProtocol {
    let registry: Registry
    let issuer: Issuer

    /// CSRs that one BatchNewX509SVID may carry, as SPIRE's agents send them.
    static let maximumBatch = 500

    func batchNewX509SVID(
        request: Spire_Api_Server_Svid_V1_BatchNewX509SVIDRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Svid_V1_BatchNewX509SVIDResponse {
        let agent = try context.liveAgent
        let refusals = try context.refusals
        guard !request.params.isEmpty else { throw RPCError(code: .invalidArgument, message: "missing parameters") }
        guard request.params.count <= Self.maximumBatch else {
            throw RPCError(code: .invalidArgument, message: "a batch carries at most \(Self.maximumBatch) requests")
        }
        try await context.spend(request.params.count)
        let results = await Self.inParallel(request.params) { params in
            await newX509SVID(params, agent.id, agent.caller, refusals)
        }
        return .with { $0.results = results }
    }

    /// Answers all items of a batch at once, so that the audit log commits them in few transactions; away from the
    /// connection's event loop, which hundreds of signatures would hold up.
    private static func inParallel<Item: Sendable, Answer: Sendable>(
        _ items: [Item], _ answer: @escaping @Sendable (Item) async -> Answer
    ) async -> [Answer] {
        await withTaskExecutorPreference(globalConcurrentExecutor) {
            await withTaskGroup(of: (Int, Answer).self) { group in
                for (position, item) in items.enumerated() {
                    group.addTask { (position, await answer(item)) }
                }
                var answers = [Answer?](repeating: nil, count: items.count)
                for await (position, answer) in group { answers[position] = answer }
                return answers.compactMap { $0 }
            }
        }
    }

    private func newX509SVID(
        _ params: Spire_Api_Server_Svid_V1_NewX509SVIDParams, _ node: SPIFFEID, _ caller: AuthorizedCaller,
        _ refusals: RequestRefusals
    ) async -> Spire_Api_Server_Svid_V1_BatchNewX509SVIDResponse.Result {
        var result = Spire_Api_Server_Svid_V1_BatchNewX509SVIDResponse.Result()
        do throws(RPCError) {
            let entry = try entry(params.entryID, for: node)
            guard !params.csr.isEmpty else { throw RPCError(code: .invalidArgument, message: "missing CSR") }
            let csr = try AgentService.parse(params.csr)
            do throws(IssuanceError) {
                let issued = try await issuer.issueX509SVID(for: caller.issuance, entry: entry, csr: csr)
                result.svid = Spire_Api_Types_X509SVID(issued)
                result.svid.hint = entry.hint
                result.status = .ok
            } catch {
                throw RPCError(error)
            }
        } catch {
            result.status = refusals.status(error)
        }
        return result
    }

    func newJWTSVID(
        request: Spire_Api_Server_Svid_V1_NewJWTSVIDRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Svid_V1_NewJWTSVIDResponse {
        let agent = try context.liveAgent
        let entry = try entry(request.entryID, for: agent.id)
        try await context.spend()
        do throws(IssuanceError) {
            let issued = try await issuer.issueJWTSVID(
                for: agent.caller.issuance, entry: entry, audience: request.audience)
            return .with {
                $0.svid = Spire_Api_Types_JWTSVID(issued)
                $0.svid.hint = entry.hint
            }
        } catch {
            throw RPCError(error)
        }
    }

    private func entry(_ id: String, for node: SPIFFEID) throws(RPCError) -> RegistrationEntry {
        guard !id.isEmpty else { throw RPCError(code: .invalidArgument, message: "missing entry ID") }
        // An entry of another node and one that does not exist look alike: nothing to learn from the answer.
        guard let entry = registry.authorizedEntry(id, for: node) else {
            throw RPCError(code: .notFound, message: "entry not found or not authorized")
        }
        return entry
    }

    func mintX509SVID(
        request: Spire_Api_Server_Svid_V1_MintX509SVIDRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Svid_V1_MintX509SVIDResponse {
        let caller = try context.caller
        guard !request.csr.isEmpty else { throw RPCError(code: .invalidArgument, message: "missing CSR") }
        let csr = try AgentService.parse(request.csr)
        do throws(IssuanceError) {
            let issued = try await issuer.mintX509SVID(for: caller.issuance, csr: csr, ttl: Int64(request.ttl))
            return .with { $0.svid = Spire_Api_Types_X509SVID(issued) }
        } catch {
            throw RPCError(error)
        }
    }

    func mintJWTSVID(
        request: Spire_Api_Server_Svid_V1_MintJWTSVIDRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Svid_V1_MintJWTSVIDResponse {
        let caller = try context.caller
        guard request.hasID else { throw RPCError(code: .invalidArgument, message: "missing ID") }
        let id = try request.id.parsed("id")
        do throws(IssuanceError) {
            let issued = try await issuer.mintJWTSVID(
                for: caller.issuance, id: id, audience: request.audience, ttl: Int64(request.ttl))
            return .with { $0.svid = Spire_Api_Types_JWTSVID(issued) }
        } catch {
            throw RPCError(error)
        }
    }

    func newDownstreamX509CA(
        request: Spire_Api_Server_Svid_V1_NewDownstreamX509CARequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Svid_V1_NewDownstreamX509CAResponse {
        let caller = try context.caller
        guard case .downstream(let id) = caller.identity, let entry = registry.downstreamEntry(of: id) else {
            throw RPCError(code: .permissionDenied, message: "caller is not a downstream workload")
        }
        guard !request.csr.isEmpty else { throw RPCError(code: .invalidArgument, message: "missing CSR") }
        let csr = try AgentService.parse(request.csr)
        try await context.spend()
        do throws(IssuanceError) {
            let issued = try await issuer.issueDownstreamCA(
                for: caller.issuance, entry: entry, csr: csr)
            return .with {
                $0.caCertChain = issued.chain.map { Data($0) }
                $0.x509Authorities = issued.roots.map { Data($0) }
            }
        } catch {
            throw RPCError(error)
        }
    }

    func mintWITSVID(
        request: Spire_Api_Server_Svid_V1_MintWITSVIDRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Svid_V1_MintWITSVIDResponse {
        let caller = try context.caller
        guard request.hasID else { throw RPCError(code: .invalidArgument, message: "missing ID") }
        guard !request.publicKey.isEmpty else { throw RPCError(code: .invalidArgument, message: "missing public key") }
        let id = try request.id.parsed("id")
        do throws(IssuanceError) {
            let issued = try await issuer.mintWITSVID(
                for: caller.issuance, id: id, publicKey: Array(request.publicKey), ttl: Int64(request.ttl))
            return .with { $0.svid = Spire_Api_Types_WITSVID(issued) }
        } catch {
            throw RPCError(error)
        }
    }

    func batchNewWITSVID(
        request: Spire_Api_Server_Svid_V1_BatchNewWITSVIDRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Svid_V1_BatchNewWITSVIDResponse {
        let agent = try context.liveAgent
        guard !request.params.isEmpty else { throw RPCError(code: .invalidArgument, message: "missing parameters") }
        guard request.params.count <= Self.maximumBatch else {
            throw RPCError(code: .invalidArgument, message: "a batch carries at most \(Self.maximumBatch) requests")
        }
        try await context.spend(request.params.count)
        let refusals = try context.refusals
        let results = await Self.inParallel(request.params) { params in
            await newWITSVID(params, agent.id, agent.caller, refusals)
        }
        return .with { $0.results = results }
    }

    private func newWITSVID(
        _ params: Spire_Api_Server_Svid_V1_NewWITSVIDParams, _ node: SPIFFEID, _ caller: AuthorizedCaller,
        _ refusals: RequestRefusals
    ) async -> Spire_Api_Server_Svid_V1_BatchNewWITSVIDResponse.Result {
        var result = Spire_Api_Server_Svid_V1_BatchNewWITSVIDResponse.Result()
        do throws(RPCError) {
            let entry = try entry(params.entryID, for: node)
            guard !params.publicKey.isEmpty else {
                throw RPCError(code: .invalidArgument, message: "missing public key")
            }
            do throws(IssuanceError) {
                let issued = try await issuer.issueWITSVID(
                    for: caller.issuance, entry: entry, publicKey: Array(params.publicKey))
                result.svid = Spire_Api_Types_WITSVID(issued)
                result.svid.hint = entry.hint
                result.status = .ok
            } catch {
                throw RPCError(error)
            }
        } catch {
            result.status = refusals.status(error)
        }
        return result
    }
}

extension Spire_Api_Types_WITSVID {
    init(_ issued: IssuedWITSVID) {
        self.init()
        token = issued.token
        id = issued.id.message
        expiresAt = issued.expiresAt.seconds
        issuedAt = issued.issuedAt.seconds
    }
}

extension Spire_Api_Types_JWTSVID {
    init(_ issued: IssuedJWTSVID) {
        self.init()
        token = issued.token
        id = issued.id.message
        expiresAt = issued.expiresAt.seconds
        issuedAt = issued.issuedAt.seconds
    }
}
