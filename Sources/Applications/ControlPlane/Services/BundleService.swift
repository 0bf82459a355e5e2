import ControlPlaneAPI
import FoundationEssentials
import GRPCCore
import Issuance
import Registry
import SPIFFE

/// `spire.api.server.bundle.v1.Bundle`: our own trust bundle, and those of federated trust domains.
struct BundleService: Spire_Api_Server_Bundle_V1_Bundle.SimpleServiceProtocol {
    let registry: Registry
    let authorities: Authorities
    let trustDomain: TrustDomain

    static let maximumPage = 500
    /// Bundles that one batch call may carry.
    static let maximumBatch = 100

    func getBundle(
        request: Spire_Api_Server_Bundle_V1_GetBundleRequest, context: ServerContext
    ) async throws -> Spire_Api_Types_Bundle {
        Spire_Api_Types_Bundle(authorities.bundle).masked(request.hasOutputMask ? request.outputMask : nil)
    }

    func countBundles(
        request: Spire_Api_Server_Bundle_V1_CountBundlesRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Bundle_V1_CountBundlesResponse {
        let federated = registry.countFederatedBundles()
        // Our own bundle counts too, as in SPIRE.
        return .with { $0.count = Int32(clamping: federated + 1) }
    }

    func getFederatedBundle(
        request: Spire_Api_Server_Bundle_V1_GetFederatedBundleRequest, context: ServerContext
    ) async throws -> Spire_Api_Types_Bundle {
        let domain = try parse(request.trustDomain)
        guard domain != trustDomain else {
            throw RPCError(
                code: .invalidArgument,
                message: "getting a federated bundle for the server's own trust domain is not allowed")
        }
        guard let stored = registry.federatedBundle(domain) else {
            throw RPCError(code: .notFound, message: "bundle not found")
        }
        return try message(stored).masked(request.hasOutputMask ? request.outputMask : nil)
    }

    func listFederatedBundles(
        request: Spire_Api_Server_Bundle_V1_ListFederatedBundlesRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Bundle_V1_ListFederatedBundlesResponse {
        let page = try PageRequest(wireSize: request.pageSize, token: request.pageToken, maximum: Self.maximumPage)
        let mask = request.hasOutputMask ? request.outputMask : nil
        let result: Page<FederatedBundle>
        do throws(RegistryError) {
            result = try registry.federatedBundles(page: page)
        } catch {
            throw RPCError(error)
        }
        return try .with {
            $0.bundles = try result.items.map { try message($0).masked(mask) }
            $0.nextPageToken = result.nextToken
        }
    }

    func batchCreateFederatedBundle(
        request: Spire_Api_Server_Bundle_V1_BatchCreateFederatedBundleRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Bundle_V1_BatchCreateFederatedBundleResponse {
        let caller = try context.caller
        let refusals = try context.refusals
        try Self.checkBatch(request.bundle.count)
        let mask = request.hasOutputMask ? request.outputMask : nil
        var response = Spire_Api_Server_Bundle_V1_BatchCreateFederatedBundleResponse()
        for wanted in request.bundle {
            var result = Spire_Api_Server_Bundle_V1_BatchCreateFederatedBundleResponse.Result()
            do throws(RPCError) {
                result.bundle = try await write(wanted, .create, caller).masked(mask)
                result.status = .ok
            } catch {
                result.status = refusals.status(error)
            }
            response.results.append(result)
        }
        return response
    }

    func batchUpdateFederatedBundle(
        request: Spire_Api_Server_Bundle_V1_BatchUpdateFederatedBundleRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Bundle_V1_BatchUpdateFederatedBundleResponse {
        let caller = try context.caller
        let refusals = try context.refusals
        try Self.checkBatch(request.bundle.count)
        let mask = request.hasOutputMask ? request.outputMask : nil
        var response = Spire_Api_Server_Bundle_V1_BatchUpdateFederatedBundleResponse()
        for wanted in request.bundle {
            var result = Spire_Api_Server_Bundle_V1_BatchUpdateFederatedBundleResponse.Result()
            do throws(RPCError) {
                let merged = try merge(wanted, request.hasInputMask ? request.inputMask : nil)
                result.bundle = try await write(merged, .update, caller).masked(mask)
                result.status = .ok
            } catch {
                result.status = refusals.status(error)
            }
            response.results.append(result)
        }
        return response
    }

    func batchSetFederatedBundle(
        request: Spire_Api_Server_Bundle_V1_BatchSetFederatedBundleRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Bundle_V1_BatchSetFederatedBundleResponse {
        let caller = try context.caller
        let refusals = try context.refusals
        try Self.checkBatch(request.bundle.count)
        let mask = request.hasOutputMask ? request.outputMask : nil
        var response = Spire_Api_Server_Bundle_V1_BatchSetFederatedBundleResponse()
        for wanted in request.bundle {
            var result = Spire_Api_Server_Bundle_V1_BatchSetFederatedBundleResponse.Result()
            do throws(RPCError) {
                result.bundle = try await write(wanted, .set, caller).masked(mask)
                result.status = .ok
            } catch {
                result.status = refusals.status(error)
            }
            response.results.append(result)
        }
        return response
    }

    func batchDeleteFederatedBundle(
        request: Spire_Api_Server_Bundle_V1_BatchDeleteFederatedBundleRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Bundle_V1_BatchDeleteFederatedBundleResponse {
        let caller = try context.caller
        let refusals = try context.refusals
        try Self.checkBatch(request.trustDomains.count)
        let mode: BundleDeleteMode =
            switch request.mode {
            case .restrict: .restrict
            case .delete: .delete
            case .dissociate: .dissociate
            case .UNRECOGNIZED: throw RPCError(code: .invalidArgument, message: "unknown deletion mode")
            }
        var response = Spire_Api_Server_Bundle_V1_BatchDeleteFederatedBundleResponse()
        for name in request.trustDomains {
            var result = Spire_Api_Server_Bundle_V1_BatchDeleteFederatedBundleResponse.Result()
            result.trustDomain = name
            do throws(RPCError) {
                let domain = try parse(name)
                do throws(RegistryError) {
                    try await registry.deleteFederatedBundle(
                        domain, mode, by: caller.audit, requestID: caller.requestID)
                } catch {
                    throw RPCError(error)
                }
                result.status = .ok
            } catch {
                result.status = refusals.status(error)
            }
            response.results.append(result)
        }
        return response
    }

    /// Takes authorities that others sign with into our own bundle, such as those of another server of this trust domain.
    func appendBundle(
        request: Spire_Api_Server_Bundle_V1_AppendBundleRequest, context: ServerContext
    ) async throws -> Spire_Api_Types_Bundle {
        let caller = try context.caller
        guard
            !request.x509Authorities.isEmpty || !request.jwtAuthorities.isEmpty || !request.witAuthorities.isEmpty
        else {
            throw RPCError(code: .invalidArgument, message: "no authorities to append")
        }
        // The wire form of a bundle, so that the same limits and checks count.
        let wanted = try Self.bundle(
            .with {
                $0.trustDomain = trustDomain.name
                $0.x509Authorities = request.x509Authorities
                $0.jwtAuthorities = request.jwtAuthorities
                $0.witAuthorities = request.witAuthorities
            }, "failed to convert an authority")
        try await append(wanted, caller)
        return Spire_Api_Types_Bundle(authorities.bundle).masked(request.hasOutputMask ? request.outputMask : nil)
    }

    /// Takes the key that a downstream server signs JWT-SVIDs with into our bundle; answers with all such keys.
    func publishJWTAuthority(
        request: Spire_Api_Server_Bundle_V1_PublishJWTAuthorityRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Bundle_V1_PublishJWTAuthorityResponse {
        let caller = try context.caller
        guard request.hasJwtAuthority else { throw RPCError(code: .invalidArgument, message: "missing JWT authority") }
        let wanted = try Self.bundle(
            .with {
                $0.trustDomain = trustDomain.name
                $0.jwtAuthorities = [request.jwtAuthority]
            }, "invalid JWT authority")
        try await context.spend()
        try await append(wanted, caller)
        return .with { $0.jwtAuthorities = Spire_Api_Types_Bundle(authorities.bundle).jwtAuthorities }
    }

    /// Takes the key that a downstream server signs WIT-SVIDs with into our bundle, never into the set of JWT keys; answers
    /// with all such keys.
    func publishWITAuthority(
        request: Spire_Api_Server_Bundle_V1_PublishWITAuthorityRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Bundle_V1_PublishWITAuthorityResponse {
        let caller = try context.caller
        guard request.hasWitAuthority else { throw RPCError(code: .invalidArgument, message: "missing WIT authority") }
        let wanted = try Self.bundle(
            .with {
                $0.trustDomain = trustDomain.name
                $0.witAuthorities = [request.witAuthority]
            }, "invalid WIT authority")
        try await context.spend()
        try await append(wanted, caller)
        return .with { $0.witAuthorities = Spire_Api_Types_Bundle(authorities.bundle).witAuthorities }
    }

    // MARK: steps

    private func append(_ wanted: TrustBundle, _ caller: AuthorizedCaller) async throws(RPCError) {
        // A taint comes from the server whose authority it is, not from a word of others.
        guard wanted.x509Authorities.allSatisfy({ !$0.isTainted }),
            wanted.jwtAuthorities.allSatisfy({ !$0.isTainted }), wanted.witAuthorities.allSatisfy({ !$0.isTainted })
        else {
            throw RPCError(code: .invalidArgument, message: "a tainted authority cannot be appended")
        }
        do throws(AuthoritiesError) {
            try await authorities.append(
                x509: wanted.x509Authorities, jwt: wanted.jwtAuthorities, wit: wanted.witAuthorities, by: caller.audit,
                requestID: caller.requestID)
        } catch {
            throw RPCError(error)
        }
    }

    private static func bundle(
        _ message: Spire_Api_Types_Bundle, _ complaint: String
    ) throws(RPCError) -> TrustBundle {
        do {
            return try TrustBundle(message)
        } catch {
            throw RPCError(code: .invalidArgument, message: "\(complaint): \(error)")
        }
    }

    private func write(
        _ wanted: Spire_Api_Types_Bundle, _ kind: BundleWrite, _ caller: AuthorizedCaller
    ) async throws(RPCError) -> Spire_Api_Types_Bundle {
        let bundle = try Self.bundle(wanted, "malformed bundle")
        do throws(RegistryError) {
            _ = try await registry.writeFederatedBundle(
                bundle.trustDomain, document: bundle.spiffeJSON(), kind, by: caller.audit, requestID: caller.requestID)
        } catch {
            throw RPCError(error)
        }
        return Spire_Api_Types_Bundle(bundle)
    }

    /// The stored bundle with the masked fields replaced.
    private func merge(
        _ wanted: Spire_Api_Types_Bundle, _ mask: Spire_Api_Types_BundleMask?
    ) throws(RPCError) -> Spire_Api_Types_Bundle {
        guard let mask, let stored = registry.federatedBundle(try parse(wanted.trustDomain)) else { return wanted }
        var merged = try message(stored)
        if mask.x509Authorities { merged.x509Authorities = wanted.x509Authorities }
        if mask.jwtAuthorities { merged.jwtAuthorities = wanted.jwtAuthorities }
        if mask.witAuthorities { merged.witAuthorities = wanted.witAuthorities }
        if mask.refreshHint { merged.refreshHint = wanted.refreshHint }
        if mask.sequenceNumber { merged.sequenceNumber = wanted.sequenceNumber }
        return merged
    }

    private func message(_ stored: FederatedBundle) throws(RPCError) -> Spire_Api_Types_Bundle {
        do {
            return Spire_Api_Types_Bundle(
                try TrustBundle(parsingSPIFFEJSON: stored.document, trustDomain: stored.trustDomain))
        } catch {
            throw RPCError(code: .dataLoss, message: "the stored bundle of `\(stored.trustDomain.name)` is damaged")
        }
    }

    private func parse(_ name: String) throws(RPCError) -> TrustDomain {
        do throws(SPIFFEIDError) {
            return try TrustDomain(name)
        } catch {
            throw RPCError(code: .invalidArgument, message: "trust domain argument is not valid: \(error)")
        }
    }

    private static func checkBatch(_ count: Int) throws(RPCError) {
        guard count <= maximumBatch else {
            throw RPCError(code: .invalidArgument, message: "a batch carries at most \(maximumBatch) bundles")
        }
    }
}

extension Spire_Api_Types_Bundle {
    /// The fields that a mask asks for; the trust domain always.
    func masked(_ mask: Spire_Api_Types_BundleMask?) -> Spire_Api_Types_Bundle {
        guard let mask else { return self }
        var bundle = Spire_Api_Types_Bundle()
        bundle.trustDomain = trustDomain
        if mask.x509Authorities { bundle.x509Authorities = x509Authorities }
        if mask.jwtAuthorities { bundle.jwtAuthorities = jwtAuthorities }
        if mask.witAuthorities { bundle.witAuthorities = witAuthorities }
        if mask.refreshHint { bundle.refreshHint = refreshHint }
        if mask.sequenceNumber { bundle.sequenceNumber = sequenceNumber }
        return bundle
    }
}
