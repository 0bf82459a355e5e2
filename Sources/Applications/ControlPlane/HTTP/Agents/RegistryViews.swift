import A2A
import AgentRegistry
import JOSE
import SPIFFE

/// How the registry shows an agent: in its own words, and as an entry of an AI Catalog.
struct RegistryViews: Sendable {
    /// `https://host[:port]` of this registry.
    let base: String
    let trustDomain: TrustDomain
    let registry: AgentRegistry

    static let cardMediaType = "application/a2a-agent-card+json"

    /// One document from which a client without knowledge of A2A can go on: who the agent is, what it can do, how to prove
    /// oneself to it, and where its tasks are.
    func agent(_ listing: Listing) -> JSONValue {
        var view: JSONObject = ["registeredName": .string(listing.agent.name.text)]
        view["agentId"] = .string(listing.agent.identity?.string ?? identifier(listing))
        if let summary = (listing.servedCard ?? listing.cards.first)?.summary {
            view["name"] = .string(summary.name)
            view["version"] = .string(summary.version)
            view["description"] = .string(summary.description)
            view["capabilities"] = .array(summary.skills.map { .string($0.id) })
            view["authentication"] = authentication(summary.authentication)
            if let url = Self.taskURL(summary) {
                view["endpoints"] = ["task": .string(url + "/task"), "status": .string(url + "/status")]
            }
        }
        view["state"] = .string(listing.agent.state.rawValue)
        if case .deprecated(let reason) = listing.agent.life, !reason.isEmpty { view["stateReason"] = .string(reason) }
        if let card = listing.servedCard {
            view["card"] = [
                "url": .string(cardURL(listing)), "digest": .string("sha-256:\(card.digest)"),
                "signature": .string(registry.signature(of: card).word),
            ]
        }
        if let drift = listing.agent.drift {
            view["drift"] = [
                "digest": .string("sha-256:\(drift.digest)"), "seenAt": .string(drift.seenAt.rfc3339),
            ]
        }
        let health = registry.health(of: listing.agent)
        var shown: JSONObject = ["status": .string(health?.status.rawValue ?? "unknown")]
        shown["heardAt"] = health.map { .string($0.heardAt.rfc3339) }
        view["health"] = .object(shown)
        return .object(view)
    }

    private func authentication(_ authentication: CardSummary.Authentication) -> JSONValue {
        var view: JSONObject = ["type": .string(authentication.type)]
        view[authentication.type == "oidc" ? "openIdConnectUrl" : "tokenEndpoint"] =
            authentication.endpoint.map { .string($0) }
        if !authentication.scopes.isEmpty { view["scopes"] = .array(authentication.scopes.map { .string($0) }) }
        return .object(view)
    }

    /// Where tasks go: below the first interface over plain HTTP, or else the first over HTTP at all.
    private static func taskURL(_ summary: CardSummary) -> String? {
        let interface =
            summary.interfaces.first { $0.binding == .httpJSON }
            ?? summary.interfaces.first { $0.binding != .grpc }
        guard var url = interface?.url[...] else { return nil }
        while url.utf8.last == UInt8(ascii: "/") { url.removeLast() }
        return String(url)
    }

    /// The address that SDKs take as an agent's base address.
    func url(_ listing: Listing) -> String { "\(base)/agents/\(listing.agent.name.text)" }

    func cardURL(_ listing: Listing) -> String { url(listing) + "/.well-known/agent-card.json" }

    /// `urn:air:<domain>:agents:<name>` (ARD §4): the domain is the identity's, where there is one.
    func identifier(_ listing: Listing) -> String {
        "urn:air:\((listing.agent.identity?.trustDomain ?? trustDomain).name):agents:\(listing.agent.name.text)"
    }

    /// Whose catalog it is.
    static func host(_ trustDomain: TrustDomain) -> JSONValue {
        [
            "displayName": .string("Agents of \(trustDomain.name)"), "identifier": .string(trustDomain.idString),
        ]
    }

    /// An entry of an AI Catalog, which is one of ARD too: `type` is that draft's word for `mediaType`.
    func entry(_ listing: Listing) -> JSONObject {
        var entry: JSONObject = [
            "identifier": .string(identifier(listing)), "mediaType": .string(Self.cardMediaType),
            "type": .string(Self.cardMediaType), "url": .string(cardURL(listing)),
        ]
        guard let summary = listing.servedCard?.summary, let served = listing.agent.served else { return entry }
        entry["displayName"] = .string(summary.name)
        if !summary.description.isEmpty { entry["description"] = .string(summary.description) }
        entry["version"] = .string(summary.version)
        entry["updatedAt"] = .string(served.registeredAt.rfc3339)
        var tags: [String] = []
        for tag in summary.skills.flatMap(\.tags) where tags.count < 64 && !tags.contains(tag) { tags.append(tag) }
        if !tags.isEmpty { entry["tags"] = .array(tags.map { .string($0) }) }
        if summary.queries.count >= 2 {
            entry["representativeQueries"] = .array(summary.queries.map { .string($0) })
        }
        if !summary.skills.isEmpty { entry["capabilities"] = .array(summary.skills.map { .string($0.id) }) }
        // Values of metadata are no lists (ai-catalog.schema.json).
        entry["metadata"] = [
            "securitySchemes": .string(summary.schemes.joined(separator: " ")),
            "digest": .string("sha-256:\(served.digest)"), "state": .string(listing.agent.state.rawValue),
        ]
        if let identity = listing.agent.identity {
            entry["trustManifest"] = ["identity": .string(identity.string), "identityType": "spiffe"]
        }
        return entry
    }
}
