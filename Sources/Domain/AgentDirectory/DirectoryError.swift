package import AuditTrail
package import Registry

/// Why the directory did not do what it was asked.
package enum DirectoryError: Error, Sendable, Equatable {
    /// A name breaks the rule of ``AgentName``.
    case badName
    /// An owner or sponsor breaks the rule of ``Person``.
    case badPerson
    /// Issuer, subject, audience or description of a federated credential.
    case badFederatedCredential
    /// A claims-matching expression that is not one, or that names a claim which callers can choose.
    case badClaimsExpression
    case descriptionTooLong
    case reasonTooLong
    /// Another live thing of this kind has the name.
    case nameTaken
    /// The end is not in the future, or after the year 9999.
    case badEnd
    /// Longest life of tokens, in seconds.
    case badTokenLifetime
    case badActorDepth
    case badPageToken
    /// There are as many as there may be.
    case full(Bound)

    // Blueprints.
    case blueprintNotFound
    case blueprintDisabled
    /// Live agents are made from it; the value is how many.
    case blueprintInUse(Int)
    case tooManyAudiences
    /// An agent whose blueprint allows no way to prove who one is could never do so.
    case noCredentialKinds

    // Agents.
    case agentNotFound
    /// The agent's life is over: nothing about it changes any more.
    case agentRetired
    case spiffeIDTaken
    /// The identity is another trust domain's.
    case otherTrustDomain
    /// No path, or one that servers and node agents have.
    case reservedSPIFFEID
    case ownerMissing
    /// No sponsor, and no blueprint that has one.
    case sponsorMissing

    // Credentials.
    case tooManyFederatedCredentials
    case federatedCredentialExists
    /// Another credential of the agent has this issuer and subject.
    case issuerAndSubjectTaken
    case federatedCredentialNotFound
    /// Neither an `https` URL nor the issuer of this trust domain's own tokens.
    case badIssuer
    /// Expressions are only for issuers whose claims are known.
    case expressionNotForIssuer
    /// A GitHub expression that names no `repository_id` and no `repository_owner_id`: names can change hands.
    case expressionNotPinned
    case tooManyClientCredentials
    case clientCredentialNotFound
    /// The same key, certificate or name is registered already.
    case clientCredentialExists
    /// The agent's blueprint does not allow credentials of this kind.
    case credentialKindNotAllowed(CredentialKind)
    /// Not a public key of RSA with 2048 bits, P-256 or P-384.
    case badClientKey
    /// A digest that is no SHA-256, or a name that certificates do not have.
    case badCertificate

    // Resources and grants.
    /// Not an absolute URI without a fragment of at most 600 bytes.
    case badResourceID
    case resourceExists
    case resourceNotFound
    /// Grants name it; the value is how many.
    case resourceInUse(Int)
    case grantNotFound
    case noScopes
    /// These scopes do not exist on the resource.
    case scopesNotOfResource([String])
    /// These scopes are above what the agent's blueprint allows.
    case scopesAboveBlueprint([String])
    /// The agent's blueprint does not allow the resource.
    case audienceAboveBlueprint
    /// Impersonation is granted only when the caller says so expressly.
    case impersonationNotConfirmed
    /// Something has to be approved, and nobody may.
    case noApprovers
    /// Too many approvers or types, or a waiting time out of bounds.
    case badApprovalRules
    /// Grants hold only by approval; the value is how many.
    case approvalInUse(Int)
    /// How long an approval of a grant holds.
    case badActivation
    /// More patterns of authorization details than a grant has, or a type that is too long.
    case tooManyDetails

    /// The store failed. What the directory shows is what the store has, as far as it can be read.
    case storage(StoreError)
    /// The audit log did not take the record. Before the act: nothing was done. After it: it was done.
    case audit(AuditError)

    /// What there may be only so many of.
    package enum Bound: String, Sendable, Hashable {
        case blueprints, agents, resources, grants
        case grantsOfAgent = "grants_of_agent"
    }
}

extension DirectoryError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .badName: "a name has 1 to \(AgentName.maximumLength) letters, digits and `-_.`, the first no punctuation"
        case .badPerson: "a person has a name of 1 to \(Person.maximumLength) printable characters"
        case .badFederatedCredential:
            "issuer, subject and audiences have 1 to \(FederatedCredential.maximumTextLength) visible characters each"
        case .badClaimsExpression:
            "an expression is `claims['NAME'] eq 'TEXT'` or `… matches 'PATTERN'`, joined by `and`, over claims that are safe"
        case .descriptionTooLong: "a description has at most \(DirectoryRules.maximumDescriptionLength) bytes"
        case .reasonTooLong: "a reason has at most \(DirectoryRules.maximumReasonLength) bytes"
        case .nameTaken: "the name is taken"
        case .badEnd: "the end is not in the future"
        case .badTokenLifetime:
            "tokens live \(DirectoryRules.shortestTokenLifetime) to \(AgentBlueprint.longestTokenLifetime) seconds"
        case .badActorDepth: "a chain of actors is 1 to \(DirectoryRules.deepestActorChain) long"
        case .badPageToken: "page token is malformed"
        case .full(.grantsOfAgent): "the agent has as many grants as an agent may have"
        case .full(let bound): "there are as many \(bound.rawValue) as there may be"
        case .blueprintNotFound: "blueprint not found"
        case .blueprintDisabled: "the blueprint is disabled"
        case .blueprintInUse(let count): "agents are made from the blueprint: \(count)"
        case .tooManyAudiences: "a blueprint allows at most \(DirectoryRules.maximumAllowedAudiences) audiences"
        case .noCredentialKinds: "a blueprint allows at least one kind of credential"
        case .agentNotFound: "agent not found"
        case .agentRetired: "the agent is retired"
        case .spiffeIDTaken: "another agent has the spiffe id"
        case .otherTrustDomain: "the spiffe id is of another trust domain"
        case .reservedSPIFFEID: "an agent's spiffe id has a path, and not one below `/spire`"
        case .ownerMissing: "an agent needs an owner"
        case .sponsorMissing: "an agent needs a sponsor, its own or its blueprint's"
        case .tooManyFederatedCredentials:
            "an agent has at most \(AgentIdentity.maximumFederatedCredentials) federated credentials"
        case .federatedCredentialExists: "the agent has a federated credential of this name"
        case .issuerAndSubjectTaken: "the agent has a federated credential with this issuer and subject"
        case .federatedCredentialNotFound: "federated credential not found"
        case .badIssuer: "an issuer is an https url, the id of a trust domain, or the jwt issuer of this one"
        case .expressionNotForIssuer:
            "claims expressions are only for "
                + DirectoryRules.expressionIssuers.map { "`\($0)`" }.joined(separator: ", ")
        case .expressionNotPinned:
            "an expression over tokens of github names `repository_id` or `repository_owner_id` with `eq`"
        case .tooManyClientCredentials:
            "an agent has at most \(AgentIdentity.maximumClientCredentials) secrets, keys and certificates"
        case .clientCredentialNotFound: "client credential not found"
        case .clientCredentialExists: "the agent has this key or certificate already"
        case .credentialKindNotAllowed(let kind):
            "the agent's blueprint does not allow credentials of kind `\(kind.rawValue)`"
        case .badClientKey: "a client's key is a public key of rsa from 2048 bits, p-256 or p-384"
        case .badCertificate: "a certificate is known by its sha-256, or by a dns name or uri in it"
        case .badResourceID: "a resource is an absolute uri without a fragment of at most 600 bytes"
        case .resourceExists: "resource exists"
        case .resourceNotFound: "resource not found"
        case .resourceInUse(let count): "grants name the resource: \(count)"
        case .grantNotFound: "grant not found"
        case .noScopes: "a grant names at least one scope, or authorization details"
        case .scopesNotOfResource(let scopes): "the resource has no scopes \(Self.list(scopes))"
        case .scopesAboveBlueprint(let scopes): "the agent's blueprint does not allow scopes \(Self.list(scopes))"
        case .audienceAboveBlueprint: "the agent's blueprint does not allow the resource"
        case .impersonationNotConfirmed: "impersonation has to be allowed expressly"
        case .noApprovers: "the resource names nobody who may approve: give it approvers first"
        case .badApprovalRules:
            "approvals have at most \(ApprovalRules.maximumApprovers) approvers and "
                + "\(ApprovalRules.maximumDetailTypes) types, and wait \(ApprovalRules.waitingTimes.lowerBound) to "
                + "\(ApprovalRules.waitingTimes.upperBound) seconds"
        case .approvalInUse(let count): "grants on the resource hold only by approval: \(count)"
        case .badActivation:
            "an approved grant holds \(AgentGrant.activations.lowerBound) to \(AgentGrant.activations.upperBound) seconds"
        case .tooManyDetails: "a grant covers at most \(AgentGrant.maximumDetails) patterns of authorization details"
        case .storage(let error): error.description
        case .audit(let error): error.description
        }
    }

    private static func list(_ scopes: [String]) -> String {
        scopes.prefix(8).map { "`\($0.prefix(80))`" }.joined(separator: ", ") + (scopes.count > 8 ? " and others" : "")
    }
}

extension DirectoryError: AuditedError {
    package var code: String {
        switch self {
        case .badName: "bad_name"
        case .badPerson: "bad_person"
        case .badFederatedCredential: "bad_federated_credential"
        case .badClaimsExpression: "bad_claims_expression"
        case .descriptionTooLong: "description_too_long"
        case .reasonTooLong: "reason_too_long"
        case .nameTaken: "name_taken"
        case .badEnd: "bad_end"
        case .badTokenLifetime: "bad_token_lifetime"
        case .badActorDepth: "bad_actor_depth"
        case .badPageToken: "bad_page_token"
        case .full(let bound): "full_" + bound.rawValue
        case .blueprintNotFound: "blueprint_not_found"
        case .blueprintDisabled: "blueprint_disabled"
        case .blueprintInUse: "blueprint_in_use"
        case .tooManyAudiences: "too_many_audiences"
        case .noCredentialKinds: "no_credential_kinds"
        case .agentNotFound: "agent_not_found"
        case .agentRetired: "agent_retired"
        case .spiffeIDTaken: "spiffe_id_taken"
        case .otherTrustDomain: "other_trust_domain"
        case .reservedSPIFFEID: "reserved_spiffe_id"
        case .ownerMissing: "owner_missing"
        case .sponsorMissing: "sponsor_missing"
        case .tooManyFederatedCredentials: "too_many_federated_credentials"
        case .federatedCredentialExists: "federated_credential_exists"
        case .issuerAndSubjectTaken: "issuer_and_subject_taken"
        case .federatedCredentialNotFound: "federated_credential_not_found"
        case .badIssuer: "bad_issuer"
        case .expressionNotForIssuer: "expression_not_for_issuer"
        case .expressionNotPinned: "expression_not_pinned"
        case .tooManyClientCredentials: "too_many_client_credentials"
        case .clientCredentialNotFound: "client_credential_not_found"
        case .clientCredentialExists: "client_credential_exists"
        case .credentialKindNotAllowed: "credential_kind_not_allowed"
        case .badClientKey: "bad_client_key"
        case .badCertificate: "bad_certificate"
        case .badResourceID: "bad_resource_id"
        case .resourceExists: "resource_exists"
        case .resourceNotFound: "resource_not_found"
        case .resourceInUse: "resource_in_use"
        case .grantNotFound: "grant_not_found"
        case .noScopes: "no_scopes"
        case .scopesNotOfResource: "scopes_not_of_resource"
        case .scopesAboveBlueprint: "scopes_above_blueprint"
        case .audienceAboveBlueprint: "audience_above_blueprint"
        case .impersonationNotConfirmed: "impersonation_not_confirmed"
        case .noApprovers: "no_approvers"
        case .badApprovalRules: "bad_approval_rules"
        case .approvalInUse: "approval_in_use"
        case .badActivation: "bad_activation"
        case .tooManyDetails: "too_many_details"
        case .storage: "storage"
        case .audit: "audit"
        }
    }

    /// Whether a rule said no, as opposed to something that broke.
    package var isRefusal: Bool {
        switch self {
        case .storage, .audit: false
        default: true
        }
    }
}
