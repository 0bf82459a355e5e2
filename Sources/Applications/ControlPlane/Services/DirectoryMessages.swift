package import AgentDirectory
package import ControlPlaneAPI
import FoundationEssentials
import JOSE
import OAuth
import SPIFFE

/// A field of a request that is not what it has to be.
struct MalformedField: Error, CustomStringConvertible {
    let field: String
    let reason: String

    var description: String { "`\(field)`: \(reason)" }
}

/// One of the words of an enumeration.
func word<Word: RawRepresentable & CaseIterable>(
    _ text: String, of field: String
) throws(MalformedField) -> Word where Word.RawValue == String {
    guard let word = Word(rawValue: text) else {
        let words = Word.allCases.map { "`\($0.rawValue)`" }.joined(separator: ", ")
        throw MalformedField(field: field, reason: "is one of \(words)")
    }
    return word
}

extension UnixTime {
    /// Seconds of a message, where zero is nothing.
    init?(messageSeconds seconds: Int64) {
        guard seconds != 0 else { return nil }
        self.init(seconds: seconds)
    }
}

extension Scope {
    /// Words of a message.
    init(words: [String]) throws(MalformedField) {
        do {
            self = try Scope(tokens: words)
        } catch {
            throw MalformedField(field: "scopes", reason: error.description)
        }
    }
}

private func kinds(_ words: [String]) throws(MalformedField) -> Set<CredentialKind> {
    var kinds: Set<CredentialKind> = []
    for text in words { kinds.insert(try word(text, of: "credential_kinds")) }
    return kinds
}

extension BlueprintDraft {
    init(_ request: Agentshield_Admin_V1_CreateBlueprintRequest) throws {
        // A shared secret is a last resort, so it has to be asked for.
        let all = Set(CredentialKind.allCases).subtracting([.clientSecret])
        let named = try kinds(request.credentialKinds)
        self.init(
            name: try AgentName(request.name), description: request.description_p,
            allowedScopes: try Scope(words: request.scopes), allowedAudiences: request.audiences,
            credentialKinds: named.isEmpty ? all : named,
            maximumTokenLifetime: request.maximumTokenLifetime == 0
                ? AgentBlueprint.longestTokenLifetime : request.maximumTokenLifetime,
            maximumActorDepth: request.maximumActorDepth == 0
                ? ActorChain.defaultLimit : Int(request.maximumActorDepth),
            sponsor: try Person(request.sponsor))
    }
}

extension BlueprintChanges {
    init(_ request: Agentshield_Admin_V1_UpdateBlueprintRequest) throws {
        self.init()
        if request.hasName { name = try AgentName(request.name) }
        if request.hasDescription_p { description = request.description_p }
        if request.hasScopes { allowedScopes = try Scope(words: request.scopes.items) }
        if request.hasAudiences { allowedAudiences = request.audiences.items }
        if request.hasCredentialKinds { credentialKinds = try kinds(request.credentialKinds.items) }
        if request.hasMaximumTokenLifetime { maximumTokenLifetime = request.maximumTokenLifetime }
        if request.hasMaximumActorDepth { maximumActorDepth = Int(request.maximumActorDepth) }
        if request.hasSponsor { sponsor = try Person(request.sponsor) }
        if request.hasEnabled { isEnabled = request.enabled }
        if request.hasOperator {
            operation = request.operator.isEmpty ? .nobody : .by(agentID: request.operator)
        }
    }
}

extension Agentshield_Admin_V1_Blueprint {
    init(_ blueprint: AgentBlueprint) {
        self.init()
        id = blueprint.id
        name = blueprint.name.text
        description_p = blueprint.description
        scopes = blueprint.allowedScopes.tokens
        audiences = blueprint.allowedAudiences
        credentialKinds = CredentialKind.allCases.filter(blueprint.credentialKinds.contains).map(\.rawValue)
        maximumTokenLifetime = blueprint.maximumTokenLifetime
        maximumActorDepth = Int32(clamping: blueprint.maximumActorDepth)
        sponsor = blueprint.sponsor.name
        enabled = blueprint.isEnabled
        createdAt = blueprint.createdAt.seconds
        operatorID = blueprint.operatorID ?? ""
    }
}

extension AgentDraft {
    /// Without the blueprint, which has to be looked up.
    init(_ request: Agentshield_Admin_V1_CreateIdentityRequest) throws {
        let id: SPIFFEID
        do {
            id = try SPIFFEID(request.spiffeID)
        } catch {
            throw MalformedField(field: "spiffe_id", reason: "\(error)")
        }
        self.init(
            name: try AgentName(request.name), spiffeID: id,
            owner: try request.owner.isEmpty ? nil : Person(request.owner),
            sponsor: try request.sponsor.isEmpty ? nil : Person(request.sponsor),
            expiresAt: UnixTime(messageSeconds: request.expiresAt))
    }
}

extension AgentChanges {
    init(_ request: Agentshield_Admin_V1_UpdateIdentityRequest) throws {
        self.init()
        if request.hasName { name = try AgentName(request.name) }
        if request.hasOwner { owner = try Person(request.owner) }
        if request.hasSponsor { sponsor = try Person(request.sponsor) }
        if request.hasExpiresAt { end = UnixTime(messageSeconds: request.expiresAt).map { .at($0) } ?? .never }
    }
}

extension Agentshield_Admin_V1_Identity {
    init(_ agent: AgentIdentity) {
        self.init()
        id = agent.id
        name = agent.name.text
        spiffeID = agent.spiffeID.string
        blueprintID = agent.blueprintID ?? ""
        owner = agent.owner.name
        sponsor = agent.sponsor.name
        state = agent.state.rawValue
        expiresAt = agent.expiresAt?.seconds ?? 0
        createdAt = agent.createdAt.seconds
        federatedCredentials = agent.federatedCredentials.map(Agentshield_Admin_V1_FederatedCredential.init)
        clientCredentials = agent.clientCredentials.map(Agentshield_Admin_V1_ClientCredential.init)
    }
}

extension FederatedCredential {
    /// As a request or an answer has it.
    package init(_ message: Agentshield_Admin_V1_FederatedCredential) throws {
        let subject: Subject
        switch message.matching {
        case .subject(let text): subject = .exactly(text)
        case .claimsExpression(let text): subject = .matching(try ClaimsExpression(text))
        case nil: throw MalformedField(field: "credential", reason: "needs a subject or a claims expression")
        }
        try self.init(
            name: AgentName(message.name), issuer: message.issuer, subject: subject,
            audiences: message.audiences.isEmpty ? [Self.defaultAudience] : message.audiences,
            description: message.description_p)
    }
}

extension Agentshield_Admin_V1_FederatedCredential {
    init(_ credential: FederatedCredential) {
        self.init()
        name = credential.name.text
        issuer = credential.issuer
        switch credential.subject {
        case .exactly(let text): subject = text
        case .matching(let expression): claimsExpression = expression.text
        }
        audiences = credential.audiences
        description_p = credential.description
    }
}

extension ClientCredential.Proof {
    /// Longest JWK that is read, in bytes.
    private static let maximumKeyLength = 16 << 10

    /// Anything but a secret, which nobody brings.
    init(_ request: Agentshield_Admin_V1_CreateClientCredentialRequest) throws {
        switch request.proof {
        case .jwk(let text):
            let json = try? JSONValue(
                parsing: text, limits: JSONLimits(maximumBytes: Self.maximumKeyLength, maximumDepth: 4)
            ).objectValue
            guard let json else { throw MalformedField(field: "jwk", reason: "is a JWK in JSON") }
            guard !JWK.hasPrivateMembers(json) else {
                throw MalformedField(field: "jwk", reason: "is a public key; this one has private members")
            }
            // Symmetric keys and unknown types are no keys that a client may have.
            guard let key = try? JWK(json: json) else { throw DirectoryError.badClientKey }
            self = .key(key)
        case .certificateSha256(let digest): self = .selfSignedCertificate(digest: Array(digest))
        case .certificateDnsName(let name): self = .certificateName(.dns(name))
        case .certificateUri(let uri): self = .certificateName(.uri(uri))
        case .secret, nil:
            throw MalformedField(field: "proof", reason: "is a secret, a key or a certificate")
        }
    }
}

extension Agentshield_Admin_V1_ClientCredential {
    init(_ credential: ClientCredential) {
        self.init()
        id = credential.id
        kind = credential.kind.rawValue
        switch credential.proof {
        case .secret: break
        case .key(let key): value = key.thumbprintBase64URL
        case .selfSignedCertificate(let digest): value = HexText.encode(digest)
        case .certificateName(.dns(let name)), .certificateName(.uri(let name)): value = name
        }
        createdAt = credential.createdAt.seconds
        expiresAt = credential.expiresAt?.seconds ?? 0
    }
}

extension ResourceDraft {
    /// Without the agent, who has to be looked up.
    init(_ request: Agentshield_Admin_V1_CreateResourceRequest) throws {
        self.init(
            id: request.id, description: request.description_p, scopes: try Scope(words: request.scopes),
            profile: try request.profile.isEmpty ? .standard : word(request.profile, of: "profile"),
            tokenLifetime: request.tokenLifetime == 0 ? ProtectedResource.defaultTokenLifetime : request.tokenLifetime,
            binding: try request.binding.isEmpty ? .preferred : word(request.binding, of: "binding"),
            approval: try request.hasApproval ? ApprovalRules(request.approval) : nil)
    }
}

extension ResourceChanges {
    /// Without the agent, who has to be looked up.
    init(_ request: Agentshield_Admin_V1_UpdateResourceRequest) throws {
        self.init()
        if request.hasDescription_p { description = request.description_p }
        if request.hasScopes { scopes = try Scope(words: request.scopes.items) }
        if request.hasProfile { profile = try word(request.profile, of: "profile") }
        if request.hasTokenLifetime { tokenLifetime = request.tokenLifetime }
        if request.hasBinding { binding = try word(request.binding, of: "binding") }
        if request.hasApproval {
            approval = request.approval.approvers.isEmpty ? .nothing : .rules(try ApprovalRules(request.approval))
        }
    }
}

extension Agentshield_Admin_V1_Resource {
    init(_ resource: ProtectedResource) {
        self.init()
        id = resource.id
        description_p = resource.description
        scopes = resource.scopes.tokens
        profile = resource.profile.rawValue
        tokenLifetime = resource.tokenLifetime
        binding = resource.binding.rawValue
        agentID = resource.agentID ?? ""
        createdAt = resource.createdAt.seconds
        if let rules = resource.approval { approval = .init(rules) }
    }
}

extension ApprovalRules {
    init(_ message: Agentshield_Admin_V1_ApprovalRules) throws {
        self.init(
            approvers: try message.approvers.map { name throws(DirectoryError) in try Person(name) },
            scopes: try Scope(words: message.scopes), detailTypes: message.detailTypes,
            allowsSponsor: message.allowSponsor, allowsSocket: !message.refuseSocket,
            waitingTime: message.waitingTime == 0 ? Self.defaultWaitingTime : message.waitingTime)
    }
}

extension Agentshield_Admin_V1_ApprovalRules {
    init(_ rules: ApprovalRules) {
        self.init()
        approvers = rules.approvers.map(\.name)
        scopes = rules.scopes.tokens
        detailTypes = rules.detailTypes
        allowSponsor = rules.allowsSponsor
        refuseSocket = !rules.allowsSocket
        waitingTime = rules.waitingTime
    }
}

extension AuthorizationDetailPattern {
    /// Longest pattern that is read, in bytes.
    private static let maximumLength = 4096

    /// One JSON object.
    init(text: String) throws {
        let json = try? JSONValue(
            parsing: text, limits: JSONLimits(maximumBytes: Self.maximumLength, maximumDepth: 10)
        ).objectValue
        guard let json else { throw MalformedField(field: "details", reason: "is a JSON object") }
        do {
            try self.init(json)
        } catch {
            throw MalformedField(field: "details", reason: error.description)
        }
    }
}

extension Agentshield_Admin_V1_Grant {
    init(_ grant: AgentGrant) {
        self.init()
        id = grant.id
        agentID = grant.agentID
        resource = grant.resourceID
        scopes = grant.scopes.tokens
        use = grant.use.rawValue
        expiresAt = grant.expiresAt?.seconds ?? 0
        createdAt = grant.createdAt.seconds
        details = grant.details.map { String(decoding: $0.json.canonicalBytes, as: UTF8.self) }
        activation = grant.activation ?? 0
    }
}
