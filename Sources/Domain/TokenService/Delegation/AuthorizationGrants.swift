import AgentDirectory
import Authentication
import Issuance
import JOSE
import OAuth
import PolicyEngine
import SPIFFE

extension TokenService {
    /// Another authorization server that a grant is wanted for, and what the client says about it.
    struct GrantTarget: Sendable {
        let profile: AuthorizationGrant.Profile
        /// The other server's issuer identifier, which is a resource of the profile `authorization-server`.
        let issuer: String
        /// Where tokens for the grant are to be used.
        let resources: [String]
    }

    /// Whether an exchange asks for a grant for another authorization server; nil where it does not.
    ///
    /// `id-jag` always does: `audience` names the server, `resource` what is behind it. `jwt` does where `audience` or `resource`
    /// names another server (draft-ietf-oauth-identity-chaining-17 §2.3.1); for anything else it is a name for access tokens.
    func grantTarget(
        _ request: TokenRequest, _ exchange: TokenExchange, _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> GrantTarget? {
        switch exchange.requestedType {
        case .identityAssertionGrant?:
            guard exchange.audiences.count == 1 else {
                throw TokenRefusal(.invalidTarget, "a grant is for one authorization server, by `audience`")
            }
            guard request.resources.count <= 1 else {
                throw TokenRefusal(.invalidTarget, "a grant is for one resource")
            }
            return GrantTarget(
                profile: .identityAssertion, issuer: exchange.audiences[0],
                resources: request.resources.map(\.string))
        case .jwt?:
            let named = Set(exchange.audiences + request.resources.map(\.string))
            guard named.count == 1, let issuer = named.first,
                directory.resource(issuer)?.profile == .authorizationServer
            else { return nil }
            return GrantTarget(profile: .chaining, issuer: issuer, resources: [])
        default: return nil
        }
    }

    /// A grant by which the client asks another authorization server for tokens. Which servers, and with which scopes, is
    /// decided by grants on their resources, as for any other resource.
    func grant(
        _ target: GrantTarget, _ request: TokenRequest, _ exchange: TokenExchange, _ client: AuthenticatedClient,
        _ key: PresentedKey?, _ call: TokenCall, _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> (PreparedDerivedToken, GrantedSubject) {
        if let actor = exchange.actor { try check(actor, is: client, call, directory) }
        let subject = try exchangedSubject(exchange, client, key, call, directory)
        // Who alone may act for the subject is in a claim that the grant does not have.
        guard subject.mayAct == nil else {
            throw TokenRefusal(silently: .invalidRequest, "`may_act` does not go to other authorization servers")
        }
        let scopes: TokenAction.RequestedScopes =
            request.scope.map { $0.isEmpty ? .allGranted : .exactly($0.tokens) } ?? .allGranted
        let permit = try permit(
            TokenTarget(resourceID: target.issuer, scopes: scopes), client, key, subject, directory)
        guard let names = names(), let authority = authority(of: .standard) else {
            throw .unavailable("no key can sign now")
        }
        let isOurs = TokenProfile.allCases.contains { names.issuer($0).hasSameBytes(as: target.issuer) }
        guard permit.resource.profile == .authorizationServer, !isOurs else {
            throw TokenRefusal(silently: .invalidTarget, "the resource is no other authorization server")
        }
        let confirmation = key?.use == .dpop ? key?.confirmation : nil
        // A certificate of this connection is of no use at the other server.
        guard permit.resource.binding == .preferred || confirmation != nil else {
            throw TokenRefusal(.invalidRequest, "the other server wants grants that are bound to a key")
        }
        let tokenID = Base64URL.encode(randomBytes(16))
        let claims = AuthorizationGrantClaims(
            profile: target.profile, issuer: names.issuer(.standard), subject: subject.subject,
            audience: permit.resource.id, tokenID: tokenID, issuedAt: now().seconds,
            expiresAt: try end(
                within: AuthorizationGrant.maximumLifetime, of: permit, authority, client, subject),
            scope: try scope(of: permit),
            clientID: target.profile == .identityAssertion
                ? clientNames.name(of: client.agent.spiffeID, at: permit.resource.id) : nil,
            resources: target.resources, confirmation: confirmation,
            actors: subject.actors, subjectProfile: subject.profile, chainRoot: subject.chainRoot ?? tokenID)
        do {
            return (try PreparedDerivedToken(.grant(claims), authority: authority, permit: permit), subject)
        } catch {
            throw .unavailable("the grant cannot be built: \(error)")
        }
    }
}
