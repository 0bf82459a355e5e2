import A2A
import AgentDirectory
import AgentRegistry
import AuditTrail
import HTTPTypes
import Hummingbird
import JOSE
import NIOCore
import OAuth
import SPIFFE
import Synchronization
import TokenService

/// The agent registry over HTTPS: agents put their cards here, and others find them.
///
/// `/agents/{name}` is a base address for any SDK of the protocol: below it lies the agent's card, byte by byte as it was
/// approved.
struct RegistryEndpoints: Sendable {
    let agents: AgentRegistry
    let access: RegistryAccess
    let trustDomain: TrustDomain
    let names: @Sendable () -> TokenServiceNames?
    let watchers: Watchers
    let sleep: @Sendable (Duration) async throws -> Void

    /// How many requests wait for a change, which costs a connection each.
    final class Watchers: Sendable {
        static let maximum = 1000
        private let count = Mutex(0)

        func enter() -> Bool {
            count.withLock { count in
                guard count < Self.maximum else { return false }
                count += 1
                return true
            }
        }

        func leave() { count.withLock { $0 -= 1 } }
    }

    /// Longest wait for a change, in seconds.
    private static let longestWait = 60
    private static let cardTypes = ["application/json", "application/a2a+json", RegistryViews.cardMediaType]

    func register(on router: Router<HTTPContext>) {
        router.get("agents") { request, context in
            await access.answer(context) { () async throws(RegistryRefusal) in try await list(request) }
        }
        router.post("agents") { request, context in
            await access.answer(context) { () async throws(RegistryRefusal) in
                try await put(request, context, name: RegistryAccess.parameters(request)["name"])
            }
        }
        router.put("agents/:name") { request, context in
            await access.answer(context) { () async throws(RegistryRefusal) in
                try await put(request, context, name: context.parameters.get("name"))
            }
        }
        router.get("agents/:name") { request, context in
            await access.answer(context) { () async throws(RegistryRefusal) in try view(request, context) }
        }
        for document in ["agent-card.json", "agent.json"] {
            router.get("agents/:name/.well-known/\(document)") { request, context in
                await access.answer(context) { () async throws(RegistryRefusal) in try card(request, context) }
            }
        }
        router.post("agents/:name/heartbeat") { request, context in
            await access.answer(context) { () async throws(RegistryRefusal) in try await heartbeat(request, context) }
        }
        for act in ["deprecate", "revoke"] {
            router.post("agents/:name/\(act)") { request, context in
                await access.answer(context) { () async throws(RegistryRefusal) in
                    try await end(act, request, context)
                }
            }
        }
        router.get(".well-known/ai-catalog.json") { request, context in
            await access.answer(context) { () async throws(RegistryRefusal) in try catalog(request) }
        }
    }

    // MARK: looking

    func views() throws(RegistryRefusal) -> RegistryViews {
        guard let base = names()?.base else {
            throw RegistryRefusal(.serviceUnavailable, "unavailable", "the registry has no name yet", retryAfter: 1)
        }
        return RegistryViews(base: base, trustDomain: trustDomain, registry: agents)
    }

    private func view(_ request: Request, _ context: HTTPContext) throws(RegistryRefusal) -> Response {
        guard let name = context.parameters.get("name"),
            let listing = agents.listing(named: name, for: access.viewer)
        else { throw .notFound }
        // Whoever may see an agent whose card is not given out, learns nothing else about it either.
        if listing.agent.current != nil, agents.servedCard(named: name, for: access.viewer) == nil { throw .notFound }
        return RegistryAccess.json(.ok, try views().agent(listing), cacheControl: "no-cache")
    }

    /// The registered bytes. Caches ask again each time, so that a revocation is not outlived by a copy.
    private func card(_ request: Request, _ context: HTTPContext) throws(RegistryRefusal) -> Response {
        guard let name = context.parameters.get("name"),
            let (listing, card) = agents.servedCard(named: name, for: access.viewer)
        else { throw .notFound }
        let tag = "\"\(card.digest)\""
        let isPublic = listing.agent.visibility == .everyone
        var headers: HTTPFields = [
            .eTag: tag, .cacheControl: isPublic ? "public, no-cache" : "private, no-cache",
        ]
        guard !Self.matches(request.headers[values: .ifNoneMatch], tag) else {
            return Response(status: .notModified, headers: headers)
        }
        headers[.contentType] = "application/json"
        return Response(
            status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: card.bytes)))
    }

    /// RFC 9110 §13.1.2: a weak comparison with each tag of the list.
    static func matches(_ fields: [String], _ tag: String) -> Bool {
        fields.contains { field in
            field.split(separator: ",").contains { part in
                var candidate = part.drop { $0 == " " || $0 == "\t" }
                while let last = candidate.last, last == " " || last == "\t" { candidate.removeLast() }
                if candidate == "*" { return true }
                if candidate.hasPrefix("W/") { candidate = candidate.dropFirst(2) }
                return candidate == tag
            }
        }
    }

    private func list(_ request: Request) async throws(RegistryRefusal) -> Response {
        let parameters = try RegistryAccess.parameters(request)
        if let since = parameters["since"] { return try await changes(parameters, since: since) }
        let revision = agents.revision
        let page = try search(
            Self.query(parameters), size: try number(parameters, "page_size") ?? 0, token: parameters["page_token"])
        let views = try views()
        return RegistryAccess.json(
            .ok,
            [
                "agents": .array(page.items.map { views.agent($0.listing) }), "nextPageToken": .string(page.nextToken),
                "revision": .number(JSONNumber(revision)),
            ], cacheControl: "no-cache")
    }

    func search(
        _ query: SearchQuery, size: Int, token: String?
    ) throws(RegistryRefusal) -> RegistryPage<RegistryHit> {
        do {
            return try agents.search(query, for: access.viewer, size: size, token: token ?? "")
        } catch {
            throw RegistryRefusal(error)
        }
    }

    private static func query(_ parameters: FormParameters) -> SearchQuery {
        var query = SearchQuery()
        query.text = parameters["q"] ?? ""
        query.skills = parameters.all("skill")
        query.tags = parameters.all("tag")
        query.schemes = parameters.all("scheme")
        query.trustDomains = parameters.all("trust_domain")
        return query
    }

    /// What has changed since a revision; waits for something if the caller wants to.
    private func changes(
        _ parameters: FormParameters, since text: String
    ) async throws(RegistryRefusal) -> Response {
        guard let since = Int64(text) else { throw RegistryRefusal(.badRequest, "bad_request", "since is a number") }
        let wait = min(max(try number(parameters, "wait") ?? 0, 0), Self.longestWait)
        let viewer = access.viewer
        var found = agents.changes(since: since, for: viewer)
        if found.items.isEmpty, !found.mustReadAll, wait > 0 {
            guard watchers.enter() else {
                throw RegistryRefusal(.serviceUnavailable, "too_many_watchers", "too many requests wait", retryAfter: 5)
            }
            defer { watchers.leave() }
            found = await agents.changes(since: since, for: viewer, within: .seconds(wait), sleep: sleep)
        }
        return RegistryAccess.json(
            .ok,
            [
                "revision": .number(JSONNumber(found.revision)), "reset": .bool(found.mustReadAll),
                "changes": .array(
                    found.items.map { item in
                        [
                            "name": .string(item.name), "state": item.state.map { .string($0.rawValue) } ?? "gone",
                        ]
                    }),
            ])
    }

    /// Everything that the caller may see, up to the number of entries that one document can hold.
    private func catalog(_ request: Request) throws(RegistryRefusal) -> Response {
        let views = try views()
        var entries: [JSONValue] = []
        var token = ""
        repeat {
            let page = try search(SearchQuery(), size: AgentRegistry.longestPage, token: token)
            entries += page.items.map { .object(views.entry($0.listing)) }
            token = page.nextToken
        } while !token.isEmpty && entries.count < Self.longestCatalog
        return RegistryAccess.json(
            .ok,
            [
                "specVersion": "1.0", "host": RegistryViews.host(trustDomain), "entries": .array(entries),
            ], type: "application/ai-catalog+json", cacheControl: "no-cache")
    }

    /// Whoever has more agents than this is searched by pages.
    private static let longestCatalog = 1000

    // MARK: acting

    private func put(
        _ request: Request, _ context: HTTPContext, name: String?
    ) async throws(RegistryRefusal) -> Response {
        let caller = try access.caller(request, context)
        guard let name = name.flatMap({ try? AgentName($0) }) else {
            throw RegistryRefusal(.badRequest, "bad_name", DirectoryError.badName.description)
        }
        let card = try await access.body(
            request, limit: AgentRegistryRules.maximumCardBytes, types: Self.cardTypes)
        var registration = CardRegistration(name: name, card: card, source: .agent)
        let parameters = try RegistryAccess.parameters(request)
        registration.submits = parameters["draft"] != "true"
        switch parameters["visibility"] {
        case nil: break
        case "public": registration.visibility = .everyone
        case "private": registration.visibility = .nobody
        case "entitled":
            registration.visibility = .entitled(
                try parameters.all("entitled").map { text throws(RegistryRefusal) in
                    guard let id = try? SPIFFEID(text) else {
                        throw RegistryRefusal(.badRequest, "bad_visibility", "whoever is entitled has a spiffe id")
                    }
                    return id
                })
        default:
            throw RegistryRefusal(.badRequest, "bad_visibility", "visibility is public, entitled or private")
        }
        let isNew = agents.snapshot.listing(named: name.text) == nil
        let listing: Listing
        do {
            listing = try await agents.register(registration, by: caller)
        } catch {
            throw RegistryRefusal(error)
        }
        return RegistryAccess.json(isNew ? .created : .ok, status(listing))
    }

    private func heartbeat(_ request: Request, _ context: HTTPContext) async throws(RegistryRefusal) -> Response {
        let caller = try access.caller(request, context)
        let body = try await access.object(request)
        guard let name = context.parameters.get("name") else { throw .notFound }
        guard let status = body["status"]?.stringValue.flatMap({ AgentHealth.Status(rawValue: $0) }) else {
            throw RegistryRefusal(.badRequest, "bad_request", "status is healthy, degraded or unhealthy")
        }
        do {
            try agents.heartbeat(name, status, by: caller)
            if let digest = body["cardDigest"]?.stringValue {
                let digits = digest.hasPrefix("sha-256:") ? String(digest.dropFirst(8)) : digest
                let listing = try await agents.noteCard(name, digest: digits, by: caller)
                return RegistryAccess.json(.ok, self.status(listing))
            }
        } catch {
            throw RegistryRefusal(error)
        }
        return Response(status: .noContent, headers: [.cacheControl: "no-store"])
    }

    private func end(
        _ act: String, _ request: Request, _ context: HTTPContext
    ) async throws(RegistryRefusal) -> Response {
        let caller = try access.caller(request, context)
        let reason = try await access.object(request)["reason"]?.stringValue ?? ""
        guard let name = context.parameters.get("name") else { throw .notFound }
        do {
            let listing =
                act == "revoke"
                ? try await agents.revoke(name, reason: reason, by: caller)
                : try await agents.deprecate(name, reason: reason, by: caller)
            return RegistryAccess.json(.ok, status(listing))
        } catch {
            throw RegistryRefusal(error)
        }
    }

    /// What an agent learns of its own listing.
    private func status(_ listing: Listing) -> JSONValue {
        let agent = listing.agent
        var status: JSONObject = [
            "name": .string(agent.name.text), "state": .string(agent.state.rawValue),
            "visibility": .string(agent.visibility.word),
        ]
        status["served"] = agent.served.map(version)
        status["candidate"] = agent.candidate.map(version)
        status["drift"] = agent.drift.map { .string("sha-256:\($0.digest)") }
        return .object(status)
    }

    private func version(_ version: CardVersion) -> JSONValue {
        var json: JSONObject = [
            "version": .string(version.version), "digest": .string("sha-256:\(version.digest)"),
            "signature": .string(version.signature.word),
        ]
        switch version.stage {
        case .draft: json["stage"] = "draft"
        case .pending: json["stage"] = "pending"
        case .approved: json["stage"] = "approved"
        case .rejected(_, _, let reason):
            json["stage"] = "rejected"
            json["reason"] = .string(reason)
        }
        return .object(json)
    }

    // MARK: parameters

    private func number(_ parameters: FormParameters, _ name: String) throws(RegistryRefusal) -> Int? {
        guard let text = parameters[name] else { return nil }
        guard let number = Int(text) else { throw RegistryRefusal(.badRequest, "bad_request", "\(name) is a number") }
        return number
    }
}
