import AgentDirectory
import AuditTrail
import Issuance
import JOSE
import OAuth
import Revocation
import SPIFFE

/// What a blueprint's operator asks for: an assertion for one of the blueprint's agents.
struct WantedAssertion: Sendable {
    let blueprint: AgentBlueprint
    let runner: AgentIdentity
    /// As the request names it; nothing is known of it yet.
    let agentID: String
    /// The directory in which the operator goes by the client ID that the request names, the blueprint's: client IDs in
    /// assertions, secrets and SVIDs are then judged by the one rule that there is.
    let directory: DirectorySnapshot

    fileprivate init(_ blueprint: AgentBlueprint, _ runner: AgentIdentity, _ agentID: String, _ now: DirectorySnapshot)
    {
        self.blueprint = blueprint
        self.runner = runner
        self.agentID = agentID
        var directory = now
        directory.put(
            AgentIdentity(
                id: blueprint.id, name: runner.name, spiffeID: runner.spiffeID, blueprintID: runner.blueprintID,
                owner: runner.owner, sponsor: runner.sponsor, state: runner.state, expiresAt: runner.expiresAt,
                createdAt: runner.createdAt, federatedCredentials: runner.federatedCredentials,
                clientCredentials: runner.clientCredentials))
        self.directory = directory
    }
}

/// An assertion that its agent has shown and that the directory bears out now. Only ``TokenService`` makes values of this type,
/// in this file.
struct VerifiedBlueprintAssertion: Sendable {
    let agent: AgentIdentity
    let tokenID: String
    let evidence: [UInt8]

    fileprivate init(_ agent: AgentIdentity, _ tokenID: String, _ evidence: [UInt8]) {
        self.agent = agent
        self.tokenID = tokenID
        self.evidence = evidence
    }
}

extension TokenRequest {
    /// The parameter by which clients of Entra ask for the agent's assertion.
    private static let path = "fmi_path"
    /// The parameter by which they ask in somebody else's name.
    private static let use = "requested_token_use"
    private static let onBehalfOf = "on_behalf_of"
    private static let longestPath = 256

    /// Whether the grant is an access token in whose subject's name the client wants to act.
    var isOnBehalfOf: Bool { form[Self.use] != nil }

    /// The path of the agent that an assertion is wanted for. Where the parameters of this flow stand without meaning, they are
    /// refused: what they ask for is not what would happen.
    fileprivate func agentPath(_ profile: TokenProfile) throws(TokenRefusal) -> String? {
        if let use = form[Self.use] {
            guard profile == .entra, case .jwtBearer = grant, use.hasSameBytes(as: Self.onBehalfOf) else {
                throw TokenRefusal(.invalidRequest, "`\(Self.use)` is `\(Self.onBehalfOf)` of a `jwt-bearer` grant")
            }
        }
        guard let path = form[Self.path] else { return nil }
        guard profile == .entra, case .clientCredentials = grant, (1...Self.longestPath).contains(path.utf8.count)
        else { throw TokenRefusal(.invalidRequest, "`\(Self.path)` has no meaning in this request") }
        guard scope?.tokens == [BlueprintAssertion.scope], resources.isEmpty else {
            throw TokenRefusal(.invalidScope, "`\(Self.path)` goes with `\(BlueprintAssertion.scope)` alone")
        }
        return path
    }

    /// The client as the request names it: in the body, or in `Basic`.
    fileprivate var namedClients: [String] {
        if case .basic(let credentials) = client.credential { return credentials.candidates.map(\.clientID) }
        return client.clientID.map { [$0] } ?? []
    }
}

extension TokenService {
    /// The request of a blueprint's operator; nil for every other request.
    func wantedAssertion(_ request: TokenRequest, _ call: TokenCall) throws(TokenRefusal) -> WantedAssertion? {
        guard let path = try request.agentPath(call.profile) else { return nil }
        let directory = directory()
        guard let blueprint = request.namedClients.lazy.compactMap({ directory.blueprint($0) }).first,
            let runner = blueprint.operatorID.flatMap({ directory.agent($0) })
        else { throw .client("`client_id` is no blueprint that has an operator") }
        return WantedAssertion(blueprint, runner, path, directory)
    }

    /// Who asks. An assertion of a blueprint's operator is judged here and by nobody else.
    func authenticate(
        _ authentication: ClientAuthentication, _ call: TokenCall, _ wanted: WantedAssertion?
    ) async throws(TokenRefusal) -> AuthenticatedClient {
        if case .assertion(let type, let assertion) = authentication.credential, BlueprintAssertion.isOne(assertion) {
            guard wanted == nil, type == .jwtBearer, call.profile == .entra else {
                throw .client("the assertion is for tokens of its agent alone")
            }
            return AuthenticatedClient(try borneOut(assertion, authentication.clientID))
        }
        return try await authenticator.authenticate(authentication, call, wanted?.directory ?? directory())
    }

    /// Whether an assertion is good for the agent that shows it: of its own blueprint, whose operator is still the one that got
    /// it, with nobody barred since.
    private func borneOut(
        _ text: SecretText, _ clientID: String?
    ) throws(TokenRefusal) -> VerifiedBlueprintAssertion {
        guard let names = names() else { throw .unavailable("the service has no name yet") }
        let keys = authorities.tokenKeys
        let assertion: BlueprintAssertion
        do {
            assertion = try BlueprintAssertion.verify(
                text, issuer: names.issuer(.entra), tenant: names.tenant, key: { keys.verifier(.entra, keyID: $0) },
                now: now().seconds)
        } catch {
            throw .client(error.description)
        }
        let directory = directory()
        guard let clientID, clientID.hasSameBytes(as: assertion.agentID) else {
            throw .client("the assertion is for another agent than `client_id`")
        }
        guard let agent = directory.agent(assertion.agentID),
            let blueprint = directory.blueprint(assertion.blueprintID),
            agent.blueprintID == blueprint.id
        else { throw .client("the assertion's agent is not one of its blueprint") }
        guard blueprint.operatorID == assertion.operatorID, let runner = directory.agent(assertion.operatorID) else {
            throw .client("the blueprint has another operator by now")
        }
        guard !revocations.revoked.all.contains(.jwtID(assertion.tokenID)) else {
            throw .client("the assertion is revoked")
        }
        try check(runner, assertion.credentialKind, of: blueprint, directory)
        return VerifiedBlueprintAssertion(agent, assertion.tokenID, Array(text.text.utf8))
    }

    /// What the operator has to be, when it gets an assertion and when the assertion is shown.
    private func check(
        _ runner: AgentIdentity, _ kind: CredentialKind, of blueprint: AgentBlueprint, _ directory: DirectorySnapshot
    ) throws(TokenRefusal) {
        guard blueprint.isEnabled else { throw .client("the blueprint is disabled") }
        guard !revocations.revoked.revokes(runner.spiffeID) else { throw .client("the operator is revoked") }
        if let reason = Self.endedReason(runner, directory, now()) { throw .client(reason) }
        let ceilings = [blueprint] + (runner.blueprintID.flatMap { directory.blueprint($0) }.map { [$0] } ?? [])
        guard ceilings.allSatisfy({ $0.credentialKinds.contains(kind) }) else {
            throw TokenRefusal(.unauthorizedClient, "the blueprint does not allow `\(kind.rawValue)`")
        }
    }

    /// An assertion for an agent of the operator's blueprint: intent durable, signed, read back, outcome durable, handed out.
    func blueprintAssertion(
        _ wanted: WantedAssertion, to client: AuthenticatedClient, _ call: TokenCall
    ) async throws(TokenRefusal) -> TokenResponse {
        let directory = directory()
        // While the operator was authenticated, keys may have been fetched for seconds.
        guard directory.blueprint(wanted.blueprint.id) == wanted.blueprint,
            directory.agent(wanted.runner.id) == wanted.runner
        else { throw .unavailable("blueprint or operator was changed meanwhile") }
        guard client.agent.id == wanted.blueprint.id else {
            throw .client("the client is not the blueprint's operator")
        }
        try check(wanted.runner, client.kind, of: wanted.blueprint, directory)
        guard let agent = directory.agent(wanted.agentID), agent.blueprintID == wanted.blueprint.id,
            !revocations.revoked.revokes(agent.spiffeID), Self.endedReason(agent, directory, now()) == nil
        else {
            // Which agents there are is not said.
            throw TokenRefusal(silently: .invalidRequest, "`fmi_path` is no agent of the blueprint that may get tokens")
        }
        guard let names = names(), let authority = authority(of: .entra) else {
            throw .unavailable("no key can sign now")
        }
        let time = now()
        let ends = [
            time + min(BlueprintAssertion.longestLifetime, wanted.blueprint.maximumTokenLifetime), authority.notAfter,
            wanted.runner.expiresAt, agent.expiresAt, client.endsAt,
            client.kind == .x509SVID ? call.peer?.expiresAt : nil,
        ].compactMap { $0?.seconds }
        guard let end = ends.min(), end > time.seconds else {
            throw .unavailable("nothing can be signed for so short a time")
        }
        let assertion = BlueprintAssertion(
            issuer: names.issuer(.entra), tenant: names.tenant, blueprintID: wanted.blueprint.id, agentID: agent.id,
            operatorID: wanted.runner.id, credentialKind: client.kind, tokenID: Base64URL.encode(randomBytes(16)),
            issuedAt: time.seconds - Self.backdating, expiresAt: end)
        let text = try await issue(assertion, authority, to: client, call)
        return TokenResponse(token: text, use: .bearer, expiresIn: end - time.seconds)
    }

    private func issue(
        _ assertion: BlueprintAssertion, _ authority: TokenSigningAuthority, to client: AuthenticatedClient,
        _ call: TokenCall
    ) async throws(TokenRefusal) -> SecretText {
        let intent = AuditEvent(
            type: .blueprintAssertionIssue, phase: .intent, agent: client.audit,
            resource: AuditEvent.ResourceField(kind: "identity", id: assertion.agentID),
            decision: AuditEvent.DecisionField(
                action: "issue", result: .permit, reason: "blueprint " + assertion.blueprintID),
            correlation: AuditEvent.CorrelationField(requestID: call.requestID))
        var facts = [
            "jti": assertion.tokenID, "expires": UnixTime(seconds: assertion.expiresAt).description,
            "authority": authority.id, "operator": assertion.operatorID,
        ]
        facts["credential"] = client.credentialName
        return try await issueRecorded(intent, facts: facts) { receipt throws(TokenRefusal) in
            try signed(assertion, authority, consuming: receipt)
        }
    }

    private func signed(
        _ assertion: BlueprintAssertion, _ authority: TokenSigningAuthority, consuming receipt: consuming AuditReceipt
    ) throws(TokenRefusal) -> SecretText {
        do {
            let text = SecretText(
                try authority.sign(type: BlueprintAssertion.type, payload: assertion.payload, consuming: receipt))
            let read = try BlueprintAssertion.verify(
                text, issuer: assertion.issuer, tenant: assertion.tenant,
                key: { $0 == authority.id ? authority.verificationKey : nil }, now: now().seconds)
            guard read == assertion else { throw BlueprintAssertionError.claims }
            return text
        } catch {
            throw .unavailable("the signed assertion does not verify: \(error)")
        }
    }

    /// On behalf of the subject of an access token that the agent received: the rules are those of a token exchange, and the
    /// agent is always named.
    func onBehalf(
        _ token: SecretText, by client: AuthenticatedClient, _ key: PresentedKey?, _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> GrantedSubject {
        do throws(TokenRefusal) {
            return try grants.exchanged(
                verifiedToken(token, directory), by: client, key: key, impersonates: false, directory)
        } catch {
            // RFC 7523 §3.1: the token is the grant.
            throw error.code == .invalidRequest ? TokenRefusal(silently: .invalidGrant, error.reason) : error
        }
    }
}
