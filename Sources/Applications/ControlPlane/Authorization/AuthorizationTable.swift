/// Who may call which RPC: the one place that says so. What is not listed is refused.
package enum AuthorizationTable {
    /// Full method name, as on the wire without the leading slash, to the classes of caller that may call it.
    package static let rows: [String: CallerClasses] = {
        var rows: [String: CallerClasses] = [:]
        for (service, methods) in table {
            for (method, callers) in methods { rows["\(service)/\(method)"] = callers }
        }
        return rows
    }()

    /// The classes that may call `method`; empty for an unknown one.
    package static func callers(of method: String) -> CallerClasses {
        rows[method] ?? []
    }

    private static let administrators: CallerClasses = [.localSocket, .admin]

    private static let table: [String: [String: CallerClasses]] = [
        "spire.api.server.agent.v1.Agent": [
            "CountAgents": administrators,
            "ListAgents": administrators,
            "GetAgent": administrators,
            "DeleteAgent": administrators,
            "BanAgent": administrators,
            "CreateJoinToken": administrators,
            "AttestAgent": .anyone,
            "RenewAgent": .liveAgent,
            "PostStatus": .liveAgent,
        ],
        "spire.api.server.entry.v1.Entry": [
            "CountEntries": administrators,
            "ListEntries": administrators,
            "GetEntry": administrators,
            "BatchCreateEntry": administrators,
            "BatchUpdateEntry": administrators,
            "BatchDeleteEntry": administrators,
            "GetAuthorizedEntries": .liveAgent,
            "SyncAuthorizedEntries": .liveAgent,
        ],
        "spire.api.server.svid.v1.SVID": [
            "MintX509SVID": administrators,
            "MintJWTSVID": administrators,
            "MintWITSVID": administrators,
            "BatchNewX509SVID": .liveAgent,
            "NewJWTSVID": .liveAgent,
            "BatchNewWITSVID": .liveAgent,
            "NewDownstreamX509CA": .downstream,
        ],
        "spire.api.server.bundle.v1.Bundle": [
            "GetBundle": .anyone,
            "CountBundles": administrators,
            "AppendBundle": administrators,
            "PublishJWTAuthority": .downstream,
            "PublishWITAuthority": .downstream,
            "ListFederatedBundles": administrators,
            "GetFederatedBundle": [.localSocket, .admin, .liveAgent],
            "BatchCreateFederatedBundle": administrators,
            "BatchUpdateFederatedBundle": administrators,
            "BatchSetFederatedBundle": administrators,
            "BatchDeleteFederatedBundle": administrators,
        ],
        "spire.api.server.trustdomain.v1.TrustDomain": [
            "ListFederationRelationships": administrators,
            "GetFederationRelationship": administrators,
            "BatchCreateFederationRelationship": administrators,
            "BatchUpdateFederationRelationship": administrators,
            "BatchDeleteFederationRelationship": administrators,
            "RefreshBundle": administrators,
        ],
        "spire.api.server.localauthority.v1.LocalAuthority": [
            "GetJWTAuthorityState": administrators,
            "PrepareJWTAuthority": administrators,
            "ActivateJWTAuthority": administrators,
            "TaintJWTAuthority": administrators,
            "RevokeJWTAuthority": administrators,
            "GetX509AuthorityState": administrators,
            "PrepareX509Authority": administrators,
            "ActivateX509Authority": administrators,
            "TaintX509Authority": administrators,
            "RevokeX509Authority": administrators,
            "GetWITAuthorityState": administrators,
            "PrepareWITAuthority": administrators,
            "ActivateWITAuthority": administrators,
            "TaintWITAuthority": administrators,
            "RevokeWITAuthority": administrators,
            "TaintX509UpstreamAuthority": administrators,
            "RevokeX509UpstreamAuthority": administrators,
        ],
        "spire.api.server.logger.v1.Logger": [
            "GetLogger": .localSocket,
            "SetLogLevel": .localSocket,
            "ResetLogLevel": .localSocket,
        ],
        "spire.api.server.debug.v1.Debug": ["GetInfo": .localSocket],
        "grpc.health.v1.Health": [
            "Check": .localSocket,
            "List": .localSocket,
            "Watch": .localSocket,
        ],
        "agentshield.node.v1.Push": ["Watch": .liveAgent],
        "agentshield.node.v1.Revocations": ["GetSnapshot": .liveAgent],
        "agentshield.admin.v1.TokenAuthority": [
            "GetState": administrators,
            "Prepare": administrators,
            "Activate": administrators,
            "Taint": administrators,
            "Revoke": administrators,
        ],
        "agentshield.admin.v1.AgentCards": [
            "SignCard": administrators,
            "GetCardKeys": administrators,
        ],
        "agentshield.admin.v1.Revocation": [
            "Revoke": administrators,
            "Unrevoke": administrators,
            "List": administrators,
        ],
        "agentshield.admin.v1.AgentDirectory": [
            "CreateBlueprint": administrators,
            "GetBlueprint": administrators,
            "ListBlueprints": administrators,
            "UpdateBlueprint": administrators,
            "DeleteBlueprint": administrators,
            "CreateIdentity": administrators,
            "GetIdentity": administrators,
            "ListIdentities": administrators,
            "UpdateIdentity": administrators,
            "DisableIdentity": administrators,
            "EnableIdentity": administrators,
            "RetireIdentity": administrators,
            "CreateFederatedCredential": administrators,
            "DeleteFederatedCredential": administrators,
            "CreateClientCredential": administrators,
            "DeleteClientCredential": administrators,
            "CreateResource": administrators,
            "GetResource": administrators,
            "ListResources": administrators,
            "UpdateResource": administrators,
            "DeleteResource": administrators,
            "CreateGrant": administrators,
            "ListGrants": administrators,
            "DeleteGrant": administrators,
        ],
        "agentshield.admin.v1.AgentRegistry": [
            "ListAgents": administrators,
            "SearchAgents": administrators,
            "GetAgent": administrators,
            "GetCard": administrators,
            "Register": administrators,
            "Approve": administrators,
            "Reject": administrators,
            "Deprecate": administrators,
            "Revoke": administrators,
            "SetVisibility": administrators,
            "Check": administrators,
            "Export": administrators,
            "Watch": administrators,
        ],
        "agentshield.admin.v1.Approvals": [
            "ListApprovals": administrators,
            "GetApproval": administrators,
            "Approve": administrators,
            "Deny": administrators,
        ],
        "agentshield.node.v1.AuditSpool": ["Ship": .liveAgent],
        "agentshield.admin.v1.Log": [
            "GetInfo": administrators,
            "GetCheckpoint": administrators,
            "ListEntries": administrators,
            "GetTile": administrators,
            "Prove": administrators,
        ],
        "agentshield.admin.v1.Server": ["GetInfo": administrators],
    ]
}
