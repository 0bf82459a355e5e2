import AuditTrail
package import OAuth
import SPIFFE

/// What a new resource is to be.
package struct ResourceDraft: Sendable {
    package var id: String
    package var description: String
    package var scopes: Scope
    package var profile: ProtectedResource.Profile
    package var tokenLifetime: Int64
    package var binding: ProtectedResource.Binding
    package var agentID: String?
    package var approval: ApprovalRules?

    package init(
        id: String, description: String = "", scopes: Scope, profile: ProtectedResource.Profile = .standard,
        tokenLifetime: Int64 = ProtectedResource.defaultTokenLifetime,
        binding: ProtectedResource.Binding = .preferred, agentID: String? = nil, approval: ApprovalRules? = nil
    ) {
        self.id = id
        self.description = description
        self.scopes = scopes
        self.profile = profile
        self.tokenLifetime = tokenLifetime
        self.binding = binding
        self.agentID = agentID
        self.approval = approval
    }
}

/// What changes in a resource; nil keeps what is there.
package struct ResourceChanges: Sendable {
    package var description: String?
    package var scopes: Scope?
    package var profile: ProtectedResource.Profile?
    package var tokenLifetime: Int64?
    package var binding: ProtectedResource.Binding?
    package var agent: Agent?
    package var approval: Approval?

    /// Who is behind the resource.
    package enum Agent: Sendable, Hashable {
        case nobody
        case agent(id: String)
    }

    /// What has to be approved.
    package enum Approval: Sendable, Hashable {
        case nothing
        case rules(ApprovalRules)
    }

    package init() {}
}

extension AgentDirectory {
    package func createResource(
        _ draft: ResourceDraft, by caller: DirectoryCaller
    ) async throws(DirectoryError) -> ProtectedResource {
        let resource = ProtectedResource(
            id: draft.id, description: draft.description, scopes: draft.scopes, profile: draft.profile,
            tokenLifetime: draft.tokenLifetime, binding: draft.binding, agentID: draft.agentID,
            approval: draft.approval, createdAt: now())
        return try await write(DirectoryAct(.resourceCreate, "create", "resource", draft.id, caller)) {
            snapshot throws(DirectoryError) in
            try rules.check(resource, in: snapshot)
            guard snapshot.resource(resource.id) == nil else { throw .resourceExists }
            guard snapshot.resourceCount < rules.bounds.resources else { throw .full(.resources) }
            return Plan(changes: [.put(.resource(resource))], value: resource)
        }
    }

    /// Scopes that go are no longer granted to anybody: a token is asked for against the resource as it is.
    package func updateResource(
        _ id: String, _ changes: ResourceChanges, by caller: DirectoryCaller
    ) async throws(DirectoryError) -> ProtectedResource {
        try await write(DirectoryAct(.resourceUpdate, "update", "resource", id, caller)) {
            snapshot throws(DirectoryError) in
            guard var resource = snapshot.resource(id) else { throw .resourceNotFound }
            let before = resource
            if let description = changes.description { resource.description = description }
            if let scopes = changes.scopes { resource.scopes = scopes }
            if let profile = changes.profile { resource.profile = profile }
            if let lifetime = changes.tokenLifetime { resource.tokenLifetime = lifetime }
            if let binding = changes.binding { resource.binding = binding }
            // The agent behind it may have been retired since; only a new one has to be there.
            switch changes.agent {
            case nil: break
            case .nobody: resource.agentID = nil
            case .agent(let id):
                _ = try rules.live(id, in: snapshot)
                resource.agentID = id
            }
            switch changes.approval {
            case nil: break
            case .nothing:
                let count = snapshot.allGrants.count { $0.resourceID == id && $0.activation != nil }
                guard count == 0 else { throw .approvalInUse(count) }
                resource.approval = nil
            case .rules(let rules): resource.approval = rules
            }
            var checked = resource
            checked.agentID = nil
            try rules.check(checked, in: snapshot)
            return Plan(changes: resource == before ? [] : [.put(.resource(resource))], value: resource)
        }
    }

    /// Refused while grants name it.
    package func deleteResource(_ id: String, by caller: DirectoryCaller) async throws(DirectoryError) {
        try await write(DirectoryAct(.resourceDelete, "delete", "resource", id, caller)) {
            snapshot throws(DirectoryError) in
            guard snapshot.resource(id) != nil else { throw .resourceNotFound }
            let count = snapshot.allGrants.count { $0.resourceID == id }
            guard count == 0 else { throw .resourceInUse(count) }
            return Plan(changes: [.delete(.resource, id: id)], value: ())
        }
    }
}
