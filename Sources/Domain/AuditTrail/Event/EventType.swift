/// What happened, as two or three words with dots: open, since readers must accept words of newer versions.
package struct EventType: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    package let rawValue: String

    package init(rawValue: String) { self.rawValue = rawValue }
    private init(_ rawValue: String) { self.rawValue = rawValue }

    package var description: String { rawValue }

    // Nodes.
    package static let nodeAttest = EventType("node.attest")
    package static let nodeRenew = EventType("node.renew")
    package static let nodeBan = EventType("node.ban")
    package static let nodeEvict = EventType("node.evict")
    package static let nodePurge = EventType("node.purge")

    // Issuance.
    package static let x509SVIDIssue = EventType("svid.x509.issue")
    package static let x509SVIDMint = EventType("svid.x509.mint")
    package static let jwtSVIDIssue = EventType("svid.jwt.issue")
    package static let jwtSVIDMint = EventType("svid.jwt.mint")
    package static let witSVIDIssue = EventType("svid.wit.issue")
    package static let witSVIDMint = EventType("svid.wit.mint")
    package static let downstreamCAIssue = EventType("ca.downstream.issue")
    package static let agentCardSign = EventType("agent_card.sign")
    package static let authorityPrepare = EventType("authority.prepare")
    package static let authorityActivate = EventType("authority.activate")
    package static let authorityTaint = EventType("authority.taint")
    package static let authorityRevoke = EventType("authority.revoke")
    package static let authorityPrune = EventType("authority.prune")

    // Access tokens.
    package static let accessTokenIssue = EventType("access_token.issue")
    package static let accessTokenRefuse = EventType("access_token.refuse")
    package static let blueprintAssertionIssue = EventType("blueprint_assertion.issue")
    package static let transactionTokenIssue = EventType("transaction_token.issue")
    package static let authorizationGrantIssue = EventType("authorization_grant.issue")

    // Revocation.
    package static let revocationAdd = EventType("revocation.add")
    package static let revocationRemove = EventType("revocation.remove")
    package static let revocationPrune = EventType("revocation.prune")
    package static let revocationSign = EventType("revocation.sign")
    package static let revocationRefuse = EventType("revocation.refuse")
    package static let signalReceive = EventType("signal.receive")
    package static let signalRefuse = EventType("signal.refuse")

    // Registry.
    package static let entryCreate = EventType("entry.create")
    package static let entryUpdate = EventType("entry.update")
    package static let entryDelete = EventType("entry.delete")
    package static let entryPrune = EventType("entry.prune")
    package static let tokenCreate = EventType("token.create")
    package static let tokenPrune = EventType("token.prune")
    package static let bundleAppend = EventType("bundle.append")
    package static let bundleSet = EventType("bundle.set")
    package static let bundleDelete = EventType("bundle.delete")
    package static let bundleRefuse = EventType("bundle.refuse")
    package static let federationCreate = EventType("federation.create")
    package static let federationUpdate = EventType("federation.update")
    package static let federationDelete = EventType("federation.delete")

    // The agent directory.
    package static let blueprintCreate = EventType("blueprint.create")
    package static let blueprintUpdate = EventType("blueprint.update")
    package static let blueprintDelete = EventType("blueprint.delete")
    package static let identityCreate = EventType("identity.create")
    package static let identityUpdate = EventType("identity.update")
    package static let identityDisable = EventType("identity.disable")
    package static let identityEnable = EventType("identity.enable")
    package static let identityRetire = EventType("identity.retire")
    package static let federatedCredentialCreate = EventType("federated_credential.create")
    package static let federatedCredentialDelete = EventType("federated_credential.delete")
    package static let clientCredentialCreate = EventType("client_credential.create")
    package static let clientCredentialDelete = EventType("client_credential.delete")
    package static let resourceCreate = EventType("resource.create")
    package static let resourceUpdate = EventType("resource.update")
    package static let resourceDelete = EventType("resource.delete")
    package static let grantCreate = EventType("grant.create")
    package static let grantDelete = EventType("grant.delete")
    package static let grantPrune = EventType("grant.prune")

    // Approvals by people.
    package static let approvalRequest = EventType("approval.request")
    package static let approvalApprove = EventType("approval.approve")
    package static let approvalDeny = EventType("approval.deny")
    package static let approvalRedeem = EventType("approval.redeem")
    package static let approvalSpend = EventType("approval.spend")
    package static let approvalExpire = EventType("approval.expire")
    package static let approvalPrune = EventType("approval.prune")

    // The agent registry.
    package static let registryRegister = EventType("registry.register")
    package static let registryApprove = EventType("registry.approve")
    package static let registryReject = EventType("registry.reject")
    package static let registryDeprecate = EventType("registry.deprecate")
    package static let registryRevoke = EventType("registry.revoke")
    package static let registryVisibility = EventType("registry.visibility")
    package static let registryDrift = EventType("registry.drift")
    package static let registryRefuse = EventType("registry.refuse")

    // Workloads and refusals.
    package static let workloadAttest = EventType("workload.attest")
    package static let workloadRefuse = EventType("workload.refuse")
    package static let launchBegin = EventType("launch.begin")
    package static let launchEnd = EventType("launch.end")
    package static let launchRefuse = EventType("launch.refuse")
    package static let requestRefuse = EventType("request.refuse")

    // The log and the processes.
    package static let logOpen = EventType("log.open")
    package static let logRead = EventType("log.read")
    package static let serverStart = EventType("server.start")
    package static let serverStop = EventType("server.stop")
    package static let serverLogLevel = EventType("server.log_level")
    package static let agentStart = EventType("agent.start")
    package static let agentStop = EventType("agent.stop")
    package static let agentLogLevel = EventType("agent.log_level")
    package static let spoolGap = EventType("spool.gap")
    package static let spoolDuplicate = EventType("spool.duplicate")
    package static let spoolReset = EventType("spool.reset")
}

/// How the caller was authenticated.
package enum AuthMethod: String, Sendable, Hashable {
    /// Not at all.
    case none
    /// By a one-time join token.
    case joinToken = "join_token"
    /// By a certificate from elsewhere and the proof of its key.
    case x509pop
    /// By an X.509-SVID in mutual TLS.
    case mtls
    /// By a JWT-SVID at the token endpoint.
    case jwtSVID = "jwt_svid"
    /// By a certificate that is no SVID (RFC 8705).
    case certificate
    /// By an assertion of its own key (RFC 7523).
    case privateKeyJWT = "private_key_jwt"
    /// By a token of another issuer.
    case federatedAssertion = "federated_assertion"
    /// By an assertion that the operator of its blueprint got for it.
    case blueprintAssertion = "blueprint_assertion"
    /// By a security event token that it has signed.
    case securityEvent = "security_event"
    /// By a shared secret.
    case clientSecret = "client_secret"
    /// An ID token that a person's identity provider signed.
    case idToken = "id_token"
    /// By the administration socket's file permissions.
    case unixSocket = "unix_socket"
    /// By the kernel's word about the calling process.
    case kernel
    /// This process itself.
    case `internal`
}
