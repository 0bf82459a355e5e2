import AgentDirectory
import OAuth
import PolicyEngine

/// Which resource a token is wanted for, and with which scopes.
struct TokenTarget: Sendable {
    let resourceID: String
    let scopes: TokenAction.RequestedScopes
    let details: [AuthorizationDetails.Detail]

    /// What a scope ends with that means all that is granted on a resource, as clients of Entra ask.
    private static let everything = "/.default"
    /// What clients built for people add to every request; it means nothing for an agent.
    private static let ignored: Set<String> = ["openid", "profile", "offline_access"]

    /// A target that the request names in a way of its own.
    init(resourceID: String, scopes: TokenAction.RequestedScopes, details: [AuthorizationDetails.Detail] = []) {
        self.resourceID = resourceID
        self.scopes = scopes
        self.details = details
    }

    /// Reads the target from `resource` (RFC 8707), `audience` (RFC 8693), or scopes that name their resource
    /// (`api://b/.default`, `api://b/Task.Run`). Where a request names none, it is the only resource that the agent has
    /// grants for with all these scopes.
    ///
    /// One token is for one resource: each of several could use it at the others (RFC 9068 §5).
    init(
        scope: Scope?, resources: [ResourceIndicator], audiences: [String], details: [AuthorizationDetails.Detail],
        of agent: AgentIdentity, in directory: DirectorySnapshot
    ) throws(TokenRefusal) {
        var named = Set(resources.map(\.string) + audiences)
        var scopes: [String] = []
        var isEverything = false
        for token in scope?.tokens ?? [] where !Self.ignored.contains(token) {
            if token.hasSuffix(Self.everything) {
                named.insert(String(token.dropLast(Self.everything.count)))
                isEverything = true
            } else if let (resourceID, scope) = Self.split(token, agent, directory) {
                named.insert(resourceID)
                scopes.append(scope)
            } else {
                scopes.append(token)
            }
        }
        // Who says in detail what it wants, and names no scope, wants no scope.
        if scopes.isEmpty, details.isEmpty { isEverything = true }
        guard !isEverything || scopes.isEmpty else {
            throw TokenRefusal(.invalidScope, "`.default` stands for all scopes and goes with no other")
        }
        guard named.count <= 1 else { throw TokenRefusal(.invalidTarget, "a token is for one resource") }
        let wanted: TokenAction.RequestedScopes = isEverything ? .allGranted : .exactly(scopes)
        if let resourceID = named.first {
            self.init(resourceID: resourceID, scopes: wanted, details: details)
        } else {
            self.init(
                resourceID: try Self.onlyGranted(wanted, details, agent, directory), scopes: wanted, details: details)
        }
    }

    /// `RESOURCE/SCOPE`, if the agent has a grant there: a resource without is as one that does not exist.
    private static func split(
        _ token: String, _ agent: AgentIdentity, _ directory: DirectorySnapshot
    ) -> (String, String)? {
        guard let slash = token.lastIndex(of: "/") else { return nil }
        let (resourceID, scope) = (String(token[..<slash]), String(token[token.index(after: slash)...]))
        guard !scope.isEmpty, directory.resource(resourceID) != nil,
            directory.grants(ofAgent: agent.id).contains(where: { $0.resourceID == resourceID })
        else { return nil }
        return (resourceID, scope)
    }

    private static func onlyGranted(
        _ wanted: TokenAction.RequestedScopes, _ details: [AuthorizationDetails.Detail], _ agent: AgentIdentity,
        _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> String {
        var scopesByResource: [String: Set<String>] = [:]
        let grants = directory.grants(ofAgent: agent.id)
        for grant in grants { scopesByResource[grant.resourceID, default: []].formUnion(grant.scopes.tokens) }
        let matching = scopesByResource.filter { resourceID, scopes in
            if case .exactly(let wanted) = wanted, !scopes.isSuperset(of: wanted) { return false }
            return details.allSatisfy { detail in
                grants.contains { $0.resourceID == resourceID && $0.details.contains { $0.covers(detail) } }
            }
        }
        guard matching.count == 1, let only = matching.keys.first else {
            throw TokenRefusal(.invalidTarget, "the request has to name a resource")
        }
        return only
    }
}
