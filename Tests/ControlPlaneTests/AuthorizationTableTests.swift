import ControlPlane
import ControlPlaneAPI
import Foundation
import GRPCCore
import PeerRPC
import Testing

/// Every RPC over the wire, by a caller of every class, against a table written here and not taken from the code.
@Suite("Who may call what")
struct AuthorizationTableTests {
    enum Caller: String, CaseIterable, Sendable {
        case anonymous, workload, bannedAgent, liveAgent, admin, downstream, localSocket
    }

    static let administration: Set<Caller> = [.admin, .localSocket]
    static let everyone = Set(Caller.allCases)

    static let table: [String: Set<Caller>] = [
        "spire.api.server.agent.v1.Agent/CountAgents": administration,
        "spire.api.server.agent.v1.Agent/ListAgents": administration,
        "spire.api.server.agent.v1.Agent/GetAgent": administration,
        "spire.api.server.agent.v1.Agent/DeleteAgent": administration,
        "spire.api.server.agent.v1.Agent/BanAgent": administration,
        "spire.api.server.agent.v1.Agent/CreateJoinToken": administration,
        "spire.api.server.agent.v1.Agent/AttestAgent": everyone,
        "spire.api.server.agent.v1.Agent/RenewAgent": [.liveAgent],
        "spire.api.server.agent.v1.Agent/PostStatus": [.liveAgent],
        "spire.api.server.entry.v1.Entry/CountEntries": administration,
        "spire.api.server.entry.v1.Entry/ListEntries": administration,
        "spire.api.server.entry.v1.Entry/GetEntry": administration,
        "spire.api.server.entry.v1.Entry/BatchCreateEntry": administration,
        "spire.api.server.entry.v1.Entry/BatchUpdateEntry": administration,
        "spire.api.server.entry.v1.Entry/BatchDeleteEntry": administration,
        "spire.api.server.entry.v1.Entry/GetAuthorizedEntries": [.liveAgent],
        "spire.api.server.entry.v1.Entry/SyncAuthorizedEntries": [.liveAgent],
        "spire.api.server.svid.v1.SVID/MintX509SVID": administration,
        "spire.api.server.svid.v1.SVID/MintJWTSVID": administration,
        "spire.api.server.svid.v1.SVID/MintWITSVID": administration,
        "spire.api.server.svid.v1.SVID/BatchNewX509SVID": [.liveAgent],
        "spire.api.server.svid.v1.SVID/NewJWTSVID": [.liveAgent],
        "spire.api.server.svid.v1.SVID/BatchNewWITSVID": [.liveAgent],
        "spire.api.server.svid.v1.SVID/NewDownstreamX509CA": [.downstream],
        "spire.api.server.bundle.v1.Bundle/GetBundle": everyone,
        "spire.api.server.bundle.v1.Bundle/CountBundles": administration,
        "spire.api.server.bundle.v1.Bundle/AppendBundle": administration,
        "spire.api.server.bundle.v1.Bundle/PublishJWTAuthority": [.downstream],
        "spire.api.server.bundle.v1.Bundle/PublishWITAuthority": [.downstream],
        "spire.api.server.bundle.v1.Bundle/ListFederatedBundles": administration,
        "spire.api.server.bundle.v1.Bundle/GetFederatedBundle": [.admin, .localSocket, .liveAgent],
        "spire.api.server.bundle.v1.Bundle/BatchCreateFederatedBundle": administration,
        "spire.api.server.bundle.v1.Bundle/BatchUpdateFederatedBundle": administration,
        "spire.api.server.bundle.v1.Bundle/BatchSetFederatedBundle": administration,
        "spire.api.server.bundle.v1.Bundle/BatchDeleteFederatedBundle": administration,
        "agentshield.admin.v1.AgentCards/SignCard": administration,
        "agentshield.admin.v1.AgentCards/GetCardKeys": administration,
        "agentshield.admin.v1.AgentDirectory/CreateBlueprint": administration,
        "agentshield.admin.v1.AgentDirectory/GetBlueprint": administration,
        "agentshield.admin.v1.AgentDirectory/ListBlueprints": administration,
        "agentshield.admin.v1.AgentDirectory/UpdateBlueprint": administration,
        "agentshield.admin.v1.AgentDirectory/DeleteBlueprint": administration,
        "agentshield.admin.v1.AgentDirectory/CreateIdentity": administration,
        "agentshield.admin.v1.AgentDirectory/GetIdentity": administration,
        "agentshield.admin.v1.AgentDirectory/ListIdentities": administration,
        "agentshield.admin.v1.AgentDirectory/UpdateIdentity": administration,
        "agentshield.admin.v1.AgentDirectory/DisableIdentity": administration,
        "agentshield.admin.v1.AgentDirectory/EnableIdentity": administration,
        "agentshield.admin.v1.AgentDirectory/RetireIdentity": administration,
        "agentshield.admin.v1.AgentDirectory/CreateFederatedCredential": administration,
        "agentshield.admin.v1.AgentDirectory/DeleteFederatedCredential": administration,
        "agentshield.admin.v1.AgentDirectory/CreateClientCredential": administration,
        "agentshield.admin.v1.AgentDirectory/DeleteClientCredential": administration,
        "agentshield.admin.v1.AgentDirectory/CreateResource": administration,
        "agentshield.admin.v1.AgentDirectory/GetResource": administration,
        "agentshield.admin.v1.AgentDirectory/ListResources": administration,
        "agentshield.admin.v1.AgentDirectory/UpdateResource": administration,
        "agentshield.admin.v1.AgentDirectory/DeleteResource": administration,
        "agentshield.admin.v1.AgentDirectory/CreateGrant": administration,
        "agentshield.admin.v1.AgentDirectory/ListGrants": administration,
        "agentshield.admin.v1.AgentDirectory/DeleteGrant": administration,
        "agentshield.admin.v1.AgentRegistry/ListAgents": administration,
        "agentshield.admin.v1.AgentRegistry/SearchAgents": administration,
        "agentshield.admin.v1.AgentRegistry/GetAgent": administration,
        "agentshield.admin.v1.AgentRegistry/GetCard": administration,
        "agentshield.admin.v1.AgentRegistry/Register": administration,
        "agentshield.admin.v1.AgentRegistry/Approve": administration,
        "agentshield.admin.v1.AgentRegistry/Reject": administration,
        "agentshield.admin.v1.AgentRegistry/Deprecate": administration,
        "agentshield.admin.v1.AgentRegistry/Revoke": administration,
        "agentshield.admin.v1.AgentRegistry/SetVisibility": administration,
        "agentshield.admin.v1.AgentRegistry/Check": administration,
        "agentshield.admin.v1.AgentRegistry/Export": administration,
        "agentshield.admin.v1.AgentRegistry/Watch": administration,
        "agentshield.admin.v1.Approvals/ListApprovals": administration,
        "agentshield.admin.v1.Approvals/GetApproval": administration,
        "agentshield.admin.v1.Approvals/Approve": administration,
        "agentshield.admin.v1.Approvals/Deny": administration,
        "spire.api.server.trustdomain.v1.TrustDomain/ListFederationRelationships": administration,
        "spire.api.server.trustdomain.v1.TrustDomain/GetFederationRelationship": administration,
        "spire.api.server.trustdomain.v1.TrustDomain/BatchCreateFederationRelationship": administration,
        "spire.api.server.trustdomain.v1.TrustDomain/BatchUpdateFederationRelationship": administration,
        "spire.api.server.trustdomain.v1.TrustDomain/BatchDeleteFederationRelationship": administration,
        "spire.api.server.trustdomain.v1.TrustDomain/RefreshBundle": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/GetJWTAuthorityState": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/PrepareJWTAuthority": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/ActivateJWTAuthority": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/TaintJWTAuthority": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/RevokeJWTAuthority": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/GetX509AuthorityState": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/PrepareX509Authority": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/ActivateX509Authority": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/TaintX509Authority": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/RevokeX509Authority": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/GetWITAuthorityState": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/PrepareWITAuthority": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/ActivateWITAuthority": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/TaintWITAuthority": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/RevokeWITAuthority": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/TaintX509UpstreamAuthority": administration,
        "spire.api.server.localauthority.v1.LocalAuthority/RevokeX509UpstreamAuthority": administration,
        "agentshield.node.v1.Push/Watch": [.liveAgent],
        "agentshield.node.v1.AuditSpool/Ship": [.liveAgent],
        "agentshield.node.v1.Revocations/GetSnapshot": [.liveAgent],
        "agentshield.admin.v1.TokenAuthority/GetState": administration,
        "agentshield.admin.v1.TokenAuthority/Prepare": administration,
        "agentshield.admin.v1.TokenAuthority/Activate": administration,
        "agentshield.admin.v1.TokenAuthority/Taint": administration,
        "agentshield.admin.v1.TokenAuthority/Revoke": administration,
        "agentshield.admin.v1.Revocation/Revoke": administration,
        "agentshield.admin.v1.Revocation/Unrevoke": administration,
        "agentshield.admin.v1.Revocation/List": administration,
        "agentshield.admin.v1.Log/GetInfo": administration,
        "agentshield.admin.v1.Log/GetCheckpoint": administration,
        "agentshield.admin.v1.Log/ListEntries": administration,
        "agentshield.admin.v1.Log/GetTile": administration,
        "agentshield.admin.v1.Log/Prove": administration,
        "agentshield.admin.v1.Server/GetInfo": administration,
        "spire.api.server.logger.v1.Logger/GetLogger": [.localSocket],
        "spire.api.server.logger.v1.Logger/SetLogLevel": [.localSocket],
        "spire.api.server.logger.v1.Logger/ResetLogLevel": [.localSocket],
        "spire.api.server.debug.v1.Debug/GetInfo": [.localSocket],
        "grpc.health.v1.Health/Check": [.localSocket],
        "grpc.health.v1.Health/List": [.localSocket],
        "grpc.health.v1.Health/Watch": [.localSocket],
    ]

    /// Served on one listener only; on the other they are unknown, which is a refusal too.
    static let onlyOnTheNodeAPI: Set<String> = [
        "agentshield.node.v1.Push/Watch", "agentshield.node.v1.AuditSpool/Ship",
        "agentshield.node.v1.Revocations/GetSnapshot",
    ]
    static let onlyOnTheSocket: Set<String> = [
        "agentshield.admin.v1.Server/GetInfo", "grpc.health.v1.Health/Check", "grpc.health.v1.Health/List",
        "grpc.health.v1.Health/Watch", "spire.api.server.logger.v1.Logger/GetLogger",
        "spire.api.server.logger.v1.Logger/SetLogLevel", "spire.api.server.logger.v1.Logger/ResetLogLevel",
        "spire.api.server.debug.v1.Debug/GetInfo",
    ]

    @Test("the table in the code has exactly these methods")
    func sameMethods() {
        #expect(Set(AuthorizationTable.rows.keys) == Set(Self.table.keys))
    }

    @Test("every RPC answers every class of caller as the table says", .timeLimit(.minutes(3)))
    func overTheWire() async throws {
        let answers = try await RunningControlPlane.with { plane in
            let live = try await plane.attest()
            let banned = try await plane.attest()
            let workload = try await plane.mint("/workload")
            let admin = try await plane.mint("/admin", admin: true)
            let downstream = try await plane.mint("/downstream", downstream: true)
            try await plane.withAdmin { client in
                _ = try await client.agents.banAgent(.with { $0.id = banned.id.message })
            }
            var answers: [Caller: [String: RPCError.Code?]] = [:]
            let identities: [(Caller, NodeAPIClient.Identity?)] = [
                (.anonymous, nil), (.workload, workload), (.bannedAgent, banned.identity), (.liveAgent, live.identity),
                (.admin, admin), (.downstream, downstream),
            ]
            for (caller, identity) in identities {
                answers[caller] = try await plane.withNodeAPI(identity) { api in try await Self.callAll(api.client) }
            }
            answers[.localSocket] = try await plane.withAdmin { client in try await Self.callAll(client.client) }
            return answers
        }
        for (method, allowed) in Self.table {
            for caller in Caller.allCases {
                let code = try #require(answers[caller]?[method])
                let elsewhere = caller == .localSocket ? Self.onlyOnTheNodeAPI : Self.onlyOnTheSocket
                if elsewhere.contains(method) {
                    #expect(code == .unimplemented, "\(caller) \(method)")
                } else if allowed.contains(caller) {
                    #expect(code != .permissionDenied && code != .unauthenticated, "\(caller) \(method)")
                } else {
                    #expect(code == .permissionDenied, "\(caller) \(method)")
                }
            }
        }
    }

    /// Calls every method with an empty message; nil stands for an answer.
    private static func callAll(
        _ client: GRPCClient<PeerClientTransport>
    ) async throws -> [String: RPCError.Code?] {
        var answers: [String: RPCError.Code?] = [:]
        for method in table.keys {
            let parts = method.split(separator: "/")
            var options = CallOptions.defaults
            options.timeout = .seconds(10)
            let code: RPCError.Code? = try await client.bidirectionalStreaming(
                request: StreamingClientRequest<[UInt8]>(producer: { try await $0.write([]) }),
                descriptor: MethodDescriptor(
                    service: ServiceDescriptor(fullyQualifiedService: String(parts[0])), method: String(parts[1])),
                serializer: Bytes(), deserializer: Bytes(), options: options
            ) { response in
                do {
                    for try await _ in response.messages { break }
                    return nil
                } catch let error as RPCError {
                    return error.code
                }
            }
            answers[method] = .some(code)
        }
        return answers
    }

    private struct Bytes: MessageSerializer, MessageDeserializer {
        func serialize<Output: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Output { Output(message) }
        func deserialize<Input: GRPCContiguousBytes>(_ bytes: Input) throws -> [UInt8] {
            bytes.withUnsafeBytes { Array($0) }
        }
    }
}
