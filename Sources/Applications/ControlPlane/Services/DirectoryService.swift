import AgentDirectory
import ControlPlaneAPI
import GRPCCore
import OAuth
import Registry
import SPIFFE

/// `agentshield.admin.v1.AgentDirectory`: blueprints, agents, their credentials, resources, grants.
struct DirectoryService: Agentshield_Admin_V1_AgentDirectory.SimpleServiceProtocol {
    let directory: AgentDirectory

    // MARK: blueprints

    func createBlueprint(
        request: Agentshield_Admin_V1_CreateBlueprintRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Blueprint {
        try await answer(context) { caller in
            var draft = try BlueprintDraft(request)
            if !request.operator.isEmpty { draft.operatorID = agentID(request.operator) }
            return .init(try await directory.createBlueprint(draft, by: caller))
        }
    }

    func getBlueprint(
        request: Agentshield_Admin_V1_BlueprintReference, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Blueprint {
        try await answer(context) { _ in .init(try blueprint(request.blueprint)) }
    }

    func listBlueprints(
        request: Agentshield_Admin_V1_ListBlueprintsRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_BlueprintList {
        try await answer(context) { _ in
            let page = try directory.snapshot.blueprints(page: PageRequest(request.pageSize, request.pageToken))
            return .with {
                $0.items = page.items.map(Agentshield_Admin_V1_Blueprint.init)
                $0.nextPageToken = page.nextToken
            }
        }
    }

    func updateBlueprint(
        request: Agentshield_Admin_V1_UpdateBlueprintRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Blueprint {
        try await answer(context) { caller in
            let id = blueprintID(request.blueprint)
            var changes = try BlueprintChanges(request)
            if case .by(let name) = changes.operation { changes.operation = .by(agentID: agentID(name)) }
            return .init(try await directory.updateBlueprint(id, changes, by: caller))
        }
    }

    func deleteBlueprint(
        request: Agentshield_Admin_V1_BlueprintReference, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_DirectoryDeletion {
        try await answer(context) { caller in
            try await directory.deleteBlueprint(blueprintID(request.blueprint), by: caller)
            return Agentshield_Admin_V1_DirectoryDeletion()
        }
    }

    // MARK: agents

    func createIdentity(
        request: Agentshield_Admin_V1_CreateIdentityRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Identity {
        try await answer(context) { caller in
            var draft = try AgentDraft(request)
            if !request.blueprint.isEmpty { draft.blueprintID = blueprintID(request.blueprint) }
            return .init(try await directory.createAgent(draft, by: caller))
        }
    }

    func getIdentity(
        request: Agentshield_Admin_V1_IdentityReference, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Identity {
        try await answer(context) { _ in .init(try agent(request.identity)) }
    }

    func listIdentities(
        request: Agentshield_Admin_V1_ListIdentitiesRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_IdentityList {
        try await answer(context) { _ in
            let state: AgentIdentity.State? = try request.state.isEmpty ? nil : word(request.state, of: "state")
            let blueprintID = try request.blueprint.isEmpty ? nil : blueprint(request.blueprint).id
            let page = try directory.snapshot.agents(page: PageRequest(request.pageSize, request.pageToken)) { agent in
                (state == nil || agent.state == state) && (blueprintID == nil || agent.blueprintID == blueprintID)
            }
            return .with {
                $0.items = page.items.map(Agentshield_Admin_V1_Identity.init)
                $0.nextPageToken = page.nextToken
            }
        }
    }

    func updateIdentity(
        request: Agentshield_Admin_V1_UpdateIdentityRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Identity {
        try await answer(context) { caller in
            let id = agentID(request.identity)
            return .init(try await directory.updateAgent(id, AgentChanges(request), by: caller))
        }
    }

    func disableIdentity(
        request: Agentshield_Admin_V1_IdentityStateRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Identity {
        try await answer(context) { caller in
            let id = agentID(request.identity)
            return .init(try await directory.disableAgent(id, reason: request.reason, by: caller))
        }
    }

    func enableIdentity(
        request: Agentshield_Admin_V1_IdentityStateRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Identity {
        try await answer(context) { caller in
            let id = agentID(request.identity)
            return .init(try await directory.enableAgent(id, reason: request.reason, by: caller))
        }
    }

    func retireIdentity(
        request: Agentshield_Admin_V1_IdentityStateRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Identity {
        try await answer(context) { caller in
            let id = agentID(request.identity)
            return .init(try await directory.retireAgent(id, reason: request.reason, by: caller))
        }
    }

    // MARK: credentials

    func createFederatedCredential(
        request: Agentshield_Admin_V1_CreateFederatedCredentialRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Identity {
        try await answer(context) { caller in
            let id = agentID(request.identity)
            try await directory.addFederatedCredential(
                FederatedCredential(request.credential), toAgent: id, by: caller)
            return .init(try agent(id))
        }
    }

    func deleteFederatedCredential(
        request: Agentshield_Admin_V1_DeleteFederatedCredentialRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Identity {
        try await answer(context) { caller in
            let id = agentID(request.identity)
            try await directory.deleteFederatedCredential(named: request.name, ofAgent: id, by: caller)
            return .init(try agent(id))
        }
    }

    func createClientCredential(
        request: Agentshield_Admin_V1_CreateClientCredentialRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_NewClientCredential {
        try await answer(context) { caller in
            let id = agentID(request.identity)
            let end = UnixTime(messageSeconds: request.expiresAt)
            if case .secret(true) = request.proof {
                let made = try await directory.addClientSecret(toAgent: id, expiresAt: end, by: caller)
                return .with {
                    $0.credential = .init(made.credential)
                    $0.secret = made.secret.text
                }
            }
            let credential = try await directory.addClientCredential(
                ClientCredential.Proof(request), toAgent: id, expiresAt: end, by: caller)
            return .with { $0.credential = .init(credential) }
        }
    }

    func deleteClientCredential(
        request: Agentshield_Admin_V1_DeleteClientCredentialRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Identity {
        try await answer(context) { caller in
            let id = agentID(request.identity)
            try await directory.deleteClientCredential(request.id, ofAgent: id, by: caller)
            return .init(try agent(id))
        }
    }

    // MARK: resources

    func createResource(
        request: Agentshield_Admin_V1_CreateResourceRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Resource {
        try await answer(context) { caller in
            var draft = try ResourceDraft(request)
            if !request.agent.isEmpty { draft.agentID = agentID(request.agent) }
            return .init(try await directory.createResource(draft, by: caller))
        }
    }

    func getResource(
        request: Agentshield_Admin_V1_ResourceReference, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Resource {
        try await answer(context) { _ in
            guard let resource = directory.snapshot.resource(request.resource) else {
                throw DirectoryError.resourceNotFound
            }
            return .init(resource)
        }
    }

    func listResources(
        request: Agentshield_Admin_V1_ListResourcesRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_ResourceList {
        try await answer(context) { _ in
            let page = try directory.snapshot.resources(page: PageRequest(request.pageSize, request.pageToken))
            return .with {
                $0.items = page.items.map(Agentshield_Admin_V1_Resource.init)
                $0.nextPageToken = page.nextToken
            }
        }
    }

    func updateResource(
        request: Agentshield_Admin_V1_UpdateResourceRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Resource {
        try await answer(context) { caller in
            var changes = try ResourceChanges(request)
            if request.hasAgent {
                changes.agent = request.agent.isEmpty ? .nobody : .agent(id: agentID(request.agent))
            }
            return .init(try await directory.updateResource(request.resource, changes, by: caller))
        }
    }

    func deleteResource(
        request: Agentshield_Admin_V1_ResourceReference, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_DirectoryDeletion {
        try await answer(context) { caller in
            try await directory.deleteResource(request.resource, by: caller)
            return Agentshield_Admin_V1_DirectoryDeletion()
        }
    }

    // MARK: grants

    func createGrant(
        request: Agentshield_Admin_V1_CreateGrantRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Grant {
        try await answer(context) { caller in
            let draft = GrantDraft(
                agentID: agentID(request.identity), resourceID: request.resource,
                scopes: try Scope(words: request.scopes),
                use: try request.use.isEmpty ? .own : word(request.use, of: "use"),
                expiresAt: UnixTime(messageSeconds: request.expiresAt), allowsImpersonation: request.allowImpersonation,
                details: try request.details.map { try AuthorizationDetailPattern(text: $0) },
                activation: request.activation == 0 ? nil : request.activation)
            return .init(try await directory.createGrant(draft, by: caller))
        }
    }

    func listGrants(
        request: Agentshield_Admin_V1_ListGrantsRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_GrantList {
        try await answer(context) { _ in
            let page = try directory.snapshot.grants(
                page: PageRequest(request.pageSize, request.pageToken),
                ofAgent: request.identity.isEmpty ? nil : agent(request.identity).id,
                onResource: request.resource.isEmpty ? nil : request.resource)
            return .with {
                $0.items = page.items.map(Agentshield_Admin_V1_Grant.init)
                $0.nextPageToken = page.nextToken
            }
        }
    }

    func deleteGrant(
        request: Agentshield_Admin_V1_GrantReference, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_DirectoryDeletion {
        try await answer(context) { caller in
            try await directory.deleteGrant(request.id, by: caller)
            return Agentshield_Admin_V1_DirectoryDeletion()
        }
    }

    // MARK: steps

    private func answer<Answer>(
        _ context: ServerContext, _ body: (DirectoryCaller) async throws -> Answer
    ) async throws -> Answer {
        let caller = try context.caller
        do {
            return try await body(DirectoryCaller(caller.audit, requestID: caller.requestID))
        } catch let error as DirectoryError {
            throw RPCError(error)
        } catch let error as MalformedField {
            throw RPCError(code: .invalidArgument, message: error.description)
        }
    }

    /// The client ID behind a client ID, SPIFFE ID or name. What nobody has stays as it is: the directory refuses it, and
    /// records that.
    private func agentID(_ text: String) -> String { directory.snapshot.agent(calledBy: text)?.id ?? text }

    private func blueprintID(_ text: String) -> String { directory.snapshot.blueprint(calledBy: text)?.id ?? text }

    private func agent(_ text: String) throws(DirectoryError) -> AgentIdentity {
        guard let agent = directory.snapshot.agent(calledBy: text) else { throw .agentNotFound }
        return agent
    }

    private func blueprint(_ text: String) throws(DirectoryError) -> AgentBlueprint {
        guard let blueprint = directory.snapshot.blueprint(calledBy: text) else { throw .blueprintNotFound }
        return blueprint
    }
}

extension PageRequest {
    /// Most items of a list of the directory in one answer.
    private static let longestPage = 500

    fileprivate init(_ size: Int32, _ token: String) {
        self.init(size: size <= 0 ? Self.longestPage : min(Int(size), Self.longestPage), token: token)
    }
}

extension RPCError {
    /// What an administrator is told of an act that the directory did not do.
    init(_ error: DirectoryError) {
        let code: RPCError.Code =
            switch error {
            case .storage(.storageFull), .audit(.storageFull), .full: .resourceExhausted
            case .storage, .audit: .unavailable
            case .blueprintNotFound, .agentNotFound, .federatedCredentialNotFound, .clientCredentialNotFound,
                .resourceNotFound, .grantNotFound:
                .notFound
            case .nameTaken, .spiffeIDTaken, .federatedCredentialExists, .issuerAndSubjectTaken,
                .clientCredentialExists, .resourceExists:
                .alreadyExists
            case .blueprintDisabled, .blueprintInUse, .agentRetired, .resourceInUse, .credentialKindNotAllowed,
                .scopesAboveBlueprint, .audienceAboveBlueprint, .tooManyFederatedCredentials,
                .tooManyClientCredentials, .noApprovers, .approvalInUse:
                .failedPrecondition
            case .badName, .badPerson, .badFederatedCredential, .badClaimsExpression, .descriptionTooLong,
                .reasonTooLong, .badEnd, .badTokenLifetime, .badActorDepth, .badPageToken, .tooManyAudiences,
                .noCredentialKinds, .otherTrustDomain, .reservedSPIFFEID, .ownerMissing, .sponsorMissing, .badIssuer,
                .expressionNotForIssuer, .expressionNotPinned, .badClientKey, .badCertificate, .badResourceID,
                .noScopes, .scopesNotOfResource, .impersonationNotConfirmed, .badApprovalRules, .badActivation,
                .tooManyDetails:
                .invalidArgument
            }
        self.init(
            code: code, message: code == .unavailable ? "the record cannot be read or written now" : error.description,
            cause: error)
    }
}
