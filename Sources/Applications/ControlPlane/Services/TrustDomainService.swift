import ControlPlaneAPI
import GRPCCore
import Registry
import SPIFFE
import SwiftProtobuf

/// `spire.api.server.trustdomain.v1.TrustDomain`: the federation relationships that administrators make. Those of the
/// configuration are not shown and not changed here, as in SPIRE.
struct TrustDomainService: Spire_Api_Server_Trustdomain_V1_TrustDomain.SimpleServiceProtocol {
    let registry: Registry
    let keeper: FederationKeeper

    static let maximumPage = 500
    /// Relationships that one batch call may carry.
    static let maximumBatch = 100

    func listFederationRelationships(
        request: Spire_Api_Server_Trustdomain_V1_ListFederationRelationshipsRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Trustdomain_V1_ListFederationRelationshipsResponse {
        let page = try PageRequest(wireSize: request.pageSize, token: request.pageToken, maximum: Self.maximumPage)
        let mask = request.hasOutputMask ? request.outputMask : nil
        let result: Page<FederationRelationship>
        do throws(RegistryError) {
            result = try registry.federationRelationships(page: page)
        } catch {
            throw RPCError(error)
        }
        return .with {
            $0.federationRelationships = result.items.map { message($0, mask) }
            $0.nextPageToken = result.nextToken
        }
    }

    func getFederationRelationship(
        request: Spire_Api_Server_Trustdomain_V1_GetFederationRelationshipRequest, context: ServerContext
    ) async throws -> Spire_Api_Types_FederationRelationship {
        guard let relationship = registry.federationRelationship(try parse(request.trustDomain)) else {
            throw RPCError(code: .notFound, message: "federation relationship does not exist")
        }
        return message(relationship, request.hasOutputMask ? request.outputMask : nil)
    }

    func batchCreateFederationRelationship(
        request: Spire_Api_Server_Trustdomain_V1_BatchCreateFederationRelationshipRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Trustdomain_V1_BatchCreateFederationRelationshipResponse {
        let caller = try context.caller
        try Self.checkBatch(request.federationRelationships.count)
        let mask = request.hasOutputMask ? request.outputMask : nil
        var response = Spire_Api_Server_Trustdomain_V1_BatchCreateFederationRelationshipResponse()
        for wanted in request.federationRelationships {
            var result = Spire_Api_Server_Trustdomain_V1_BatchCreateFederationRelationshipResponse.Result()
            do throws(RPCError) {
                result.federationRelationship = try await create(wanted, caller, mask)
                result.status = .ok
            } catch {
                result.status = Spire_Api_Types_Status(error)
            }
            response.results.append(result)
        }
        return response
    }

    func batchUpdateFederationRelationship(
        request: Spire_Api_Server_Trustdomain_V1_BatchUpdateFederationRelationshipRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Trustdomain_V1_BatchUpdateFederationRelationshipResponse {
        let caller = try context.caller
        try Self.checkBatch(request.federationRelationships.count)
        let input = request.hasInputMask ? request.inputMask : nil
        let output = request.hasOutputMask ? request.outputMask : nil
        var response = Spire_Api_Server_Trustdomain_V1_BatchUpdateFederationRelationshipResponse()
        for wanted in request.federationRelationships {
            var result = Spire_Api_Server_Trustdomain_V1_BatchUpdateFederationRelationshipResponse.Result()
            do throws(RPCError) {
                result.federationRelationship = try await update(wanted, caller, input: input, output: output)
                result.status = .ok
            } catch {
                result.status = Spire_Api_Types_Status(error)
            }
            response.results.append(result)
        }
        return response
    }

    func batchDeleteFederationRelationship(
        request: Spire_Api_Server_Trustdomain_V1_BatchDeleteFederationRelationshipRequest, context: ServerContext
    ) async throws -> Spire_Api_Server_Trustdomain_V1_BatchDeleteFederationRelationshipResponse {
        let caller = try context.caller
        try Self.checkBatch(request.trustDomains.count)
        var response = Spire_Api_Server_Trustdomain_V1_BatchDeleteFederationRelationshipResponse()
        for name in request.trustDomains {
            var result = Spire_Api_Server_Trustdomain_V1_BatchDeleteFederationRelationshipResponse.Result()
            result.trustDomain = name
            do throws(RPCError) {
                try await delete(try parse(name), caller)
                result.status = .ok
            } catch {
                result.status = Spire_Api_Types_Status(error)
            }
            response.results.append(result)
        }
        return response
    }

    /// Answers when the bundle has been fetched and stored, and tells why it was not; SPIRE answers before.
    func refreshBundle(
        request: Spire_Api_Server_Trustdomain_V1_RefreshBundleRequest, context: ServerContext
    ) async throws -> Google_Protobuf_Empty {
        let domain = try parse(request.trustDomain)
        do throws(FederationError) {
            try await keeper.refresh(domain)
        } catch {
            switch error {
            case .noRelationship:
                throw RPCError(code: .notFound, message: "no relationship with trust domain `\(domain.name)`")
            case .noBundle, .malformed, .refused, .endpoint(.unverified), .endpoint(.tooLarge):
                throw RPCError(code: .failedPrecondition, message: error.description)
            case .endpoint, .storage: throw RPCError(code: .unavailable, message: error.description)
            }
        }
        return Google_Protobuf_Empty()
    }

    // MARK: steps

    private func create(
        _ wanted: Spire_Api_Types_FederationRelationship, _ caller: AuthorizedCaller,
        _ mask: Spire_Api_Types_FederationRelationshipMask?
    ) async throws(RPCError) -> Spire_Api_Types_FederationRelationship {
        let relationship = try parse(wanted)
        let bundle = try startBundle(wanted, of: relationship.trustDomain)
        try await write(relationship, .create, caller)
        if let bundle { try await write(bundle, caller) }
        return message(relationship, mask)
    }

    private func update(
        _ wanted: Spire_Api_Types_FederationRelationship, _ caller: AuthorizedCaller,
        input: Spire_Api_Types_FederationRelationshipMask?, output: Spire_Api_Types_FederationRelationshipMask?
    ) async throws(RPCError) -> Spire_Api_Types_FederationRelationship {
        let domain = try parse(wanted.trustDomain)
        guard let stored = registry.federationRelationship(domain) else {
            throw RPCError(RegistryError.relationshipNotFound)
        }
        var merged = message(stored, nil)
        if input?.bundleEndpointURL ?? true { merged.bundleEndpointURL = wanted.bundleEndpointURL }
        if input?.bundleEndpointProfile ?? true { merged.bundleEndpointProfile = wanted.bundleEndpointProfile }
        let relationship = try parse(merged)
        let bundle = (input?.trustDomainBundle ?? true) ? try startBundle(wanted, of: domain) : nil
        try await write(relationship, .update, caller)
        if let bundle { try await write(bundle, caller) }
        return message(relationship, output)
    }

    private func write(
        _ relationship: FederationRelationship, _ mode: RelationshipWrite, _ caller: AuthorizedCaller
    ) async throws(RPCError) {
        do throws(RegistryError) {
            try await registry.writeFederationRelationship(
                relationship, mode, by: caller.audit, requestID: caller.requestID)
        } catch {
            throw RPCError(error)
        }
    }

    private func write(_ bundle: TrustBundle, _ caller: AuthorizedCaller) async throws(RPCError) {
        do throws(RegistryError) {
            try await registry.writeFederatedBundle(
                bundle.trustDomain, document: bundle.spiffeJSON(), .set, by: caller.audit, requestID: caller.requestID)
        } catch {
            throw RPCError(error)
        }
    }

    private func delete(_ domain: TrustDomain, _ caller: AuthorizedCaller) async throws(RPCError) {
        do throws(RegistryError) {
            try await registry.deleteFederationRelationship(domain, by: caller.audit, requestID: caller.requestID)
        } catch {
            throw RPCError(error)
        }
    }

    private func startBundle(
        _ wanted: Spire_Api_Types_FederationRelationship, of domain: TrustDomain
    ) throws(RPCError) -> TrustBundle? {
        guard wanted.hasTrustDomainBundle else { return nil }
        let bundle: TrustBundle
        do throws(BundleMessageError) {
            bundle = try TrustBundle(wanted.trustDomainBundle)
        } catch {
            throw RPCError(code: .invalidArgument, message: "malformed bundle: \(error)")
        }
        guard bundle.trustDomain == domain else {
            throw RPCError(code: .invalidArgument, message: "the bundle is of another trust domain")
        }
        return bundle
    }

    private func parse(_ wanted: Spire_Api_Types_FederationRelationship) throws(RPCError) -> FederationRelationship {
        let domain = try parse(wanted.trustDomain)
        let url: HTTPSURL
        do throws(HTTPSURL.ParseError) {
            url = try HTTPSURL(wanted.bundleEndpointURL)
        } catch {
            throw RPCError(code: .invalidArgument, message: "bundle endpoint url: \(error)")
        }
        switch wanted.bundleEndpointProfile {
        case .httpsWeb: return FederationRelationship(trustDomain: domain, bundleEndpointURL: url, profile: .web)
        case .httpsSpiffe(let profile):
            let id: SPIFFEID
            do throws(SPIFFEIDError) {
                id = try SPIFFEID(profile.endpointSpiffeID)
            } catch {
                throw RPCError(code: .invalidArgument, message: "endpoint spiffe id: \(error)")
            }
            return FederationRelationship(
                trustDomain: domain, bundleEndpointURL: url, profile: .spiffe(endpointID: id))
        case nil: throw RPCError(code: .invalidArgument, message: "missing bundle endpoint profile")
        }
    }

    private func parse(_ name: String) throws(RPCError) -> TrustDomain {
        do throws(SPIFFEIDError) {
            return try TrustDomain(idOrName: name)
        } catch {
            throw RPCError(code: .invalidArgument, message: "trust domain argument is not valid: \(error)")
        }
    }

    /// The wire form, with the stored bundle where it is asked for.
    private func message(
        _ relationship: FederationRelationship, _ mask: Spire_Api_Types_FederationRelationshipMask?
    ) -> Spire_Api_Types_FederationRelationship {
        var message = Spire_Api_Types_FederationRelationship()
        message.trustDomain = relationship.trustDomain.name
        if mask?.bundleEndpointURL ?? true { message.bundleEndpointURL = relationship.bundleEndpointURL.string }
        if mask?.bundleEndpointProfile ?? true {
            switch relationship.profile {
            case .web: message.httpsWeb = Spire_Api_Types_HTTPSWebProfile()
            case .spiffe(let id): message.httpsSpiffe.endpointSpiffeID = id.string
            }
        }
        if mask?.trustDomainBundle ?? true, let stored = registry.federatedBundle(relationship.trustDomain),
            let bundle = try? TrustBundle(parsingSPIFFEJSON: stored.document, trustDomain: stored.trustDomain)
        {
            message.trustDomainBundle = Spire_Api_Types_Bundle(bundle)
        }
        return message
    }

    private static func checkBatch(_ count: Int) throws(RPCError) {
        guard count <= maximumBatch else {
            throw RPCError(code: .invalidArgument, message: "a batch carries at most \(maximumBatch) relationships")
        }
    }
}
