import AgentRegistry
import Hummingbird
import JOSE

/// The registry API of Agentic Resource Discovery (ARD, draft 0.9) below a prefix of its own.
///
/// Of filters and facets it knows `type`, `tags`, `capabilities`, `metadata.securitySchemes` and `trustDomain`. There are no
/// other registries to refer to.
struct DiscoveryEndpoints: Sendable {
    let endpoints: RegistryEndpoints

    private static let defaultPage = 20

    func register(on router: Router<HTTPContext>) {
        let group = router.group("ard")
        group.post("search") { request, context in
            await answer(context) { () async throws(RegistryRefusal) in try await search(request) }
        }
        group.post("explore") { request, context in
            await answer(context) { () async throws(RegistryRefusal) in try await explore(request) }
        }
        group.get("agents") { request, context in
            await answer(context) { () async throws(RegistryRefusal) in try list(request) }
        }
    }

    private func answer(
        _ context: HTTPContext, _ body: () async throws(RegistryRefusal) -> Response
    ) async -> Response {
        await endpoints.access.answer(context, .discovery, body)
    }

    private static func bad(_ text: String) -> RegistryRefusal {
        RegistryRefusal(.badRequest, "bad_request", text)
    }

    // MARK: operations

    private func search(_ request: Request) async throws(RegistryRefusal) -> Response {
        let body = try await object(request, ["query", "federation", "pageSize", "pageToken"])
        guard let model = body["query"]?.objectValue, model["text"]?.stringValue != nil else {
            throw Self.bad("query.text has to be there")
        }
        if let federation = body["federation"] {
            guard let word = federation.stringValue, ["auto", "referrals", "none"].contains(word) else {
                throw Self.bad("federation is auto, referrals or none")
            }
        }
        let views = try endpoints.views()
        var answer: JSONObject = ["results": [], "referrals": []]
        if let query = try query(model) {
            let page = try endpoints.search(
                query, size: try size(body["pageSize"], default: 10), token: try text(body["pageToken"], "pageToken"))
            answer["results"] = .array(
                page.items.map { hit in
                    var entry = views.entry(hit.listing)
                    entry["score"] = .number(JSONNumber(Int64(hit.score)))
                    entry["source"] = .string(views.base + "/ard/")
                    return .object(entry)
                })
            if !page.nextToken.isEmpty { answer["pageToken"] = .string(page.nextToken) }
        }
        return RegistryAccess.json(.ok, .object(answer))
    }

    private func explore(_ request: Request) async throws(RegistryRefusal) -> Response {
        let body = try await object(request, ["query", "resultType"])
        guard let wanted = body["resultType"]?.objectValue?["facets"]?.arrayValue, wanted.count <= 8 else {
            throw Self.bad("resultType.facets has to be an array of at most 8 elements")
        }
        let query = try query(body["query"]?.objectValue ?? JSONObject())
        var facets = JSONObject()
        for item in wanted {
            guard let facet = item.objectValue, let field = facet["field"]?.stringValue else {
                throw Self.bad("a facet names its field")
            }
            let limit = try size(facet["limit"], default: Self.defaultPage)
            let minimum = Int(clamping: facet["minCount"]?.int64Value ?? 1)
            let counts = try query.map { query throws(RegistryRefusal) in try self.counts(field, query, limit) } ?? []
            facets[field] = [
                "buckets": .array(
                    counts.filter { $0.count >= minimum }.map { bucket in
                        ["value": .string(bucket.value), "count": .number(JSONNumber(Int64(bucket.count)))]
                    })
            ]
        }
        return RegistryAccess.json(.ok, ["resultType": "facets", "facets": .object(facets)])
    }

    private func counts(
        _ field: String, _ query: SearchQuery, _ limit: Int
    ) throws(RegistryRefusal) -> [(value: String, count: Int)] {
        guard let facet = Self.facet(field) else { throw Self.bad("no facet is kept of this field") }
        return endpoints.agents.counts(query, of: facet, limit: limit, for: endpoints.access.viewer)
    }

    /// `filter` is one or more of `field = 'value'`, joined by `AND`.
    private func list(_ request: Request) throws(RegistryRefusal) -> Response {
        let parameters = try RegistryAccess.parameters(request)
        guard parameters["orderBy"] == nil else { throw Self.bad("the order cannot be chosen: it is the oldest first") }
        var filter = JSONObject()
        if let text = parameters["filter"] {
            for clause in Self.clauses(text) {
                guard let (field, value) = Self.equation(clause), filter[field] == nil else {
                    throw Self.bad("a filter is field = 'value', joined by AND, each field once")
                }
                filter[field] = .string(value)
            }
        }
        let views = try endpoints.views()
        var answer: JSONObject = ["items": []]
        let wanted = try parameters["pageSize"].map { text throws(RegistryRefusal) -> JSONValue in
            guard let number = Int64(text) else { throw Self.bad("pageSize is a number") }
            return .number(JSONNumber(number))
        }
        if let query = try query(["filter": .object(filter)]) {
            let page = try endpoints.search(
                query, size: try size(wanted, default: Self.defaultPage),
                token: parameters["pageToken"])
            answer["items"] = .array(page.items.map { .object(views.entry($0.listing)) })
            if !page.nextToken.isEmpty { answer["pageToken"] = .string(page.nextToken) }
        }
        return RegistryAccess.json(.ok, .object(answer), cacheControl: "no-cache")
    }

    // MARK: reading

    private func object(
        _ request: Request, _ members: Set<String>
    ) async throws(RegistryRefusal) -> JSONObject {
        let body = try await endpoints.access.object(request)
        guard body.members.allSatisfy({ members.contains($0.name) }) else {
            throw Self.bad("there are only " + members.sorted().joined(separator: ", "))
        }
        return body
    }

    /// Nil for a query that nothing here can meet.
    private func query(_ model: JSONObject) throws(RegistryRefusal) -> SearchQuery? {
        var query = SearchQuery()
        query.text = try text(model["text"], "query.text") ?? ""
        guard let filter = model["filter"] else { return query }
        guard let filter = filter.objectValue else { throw Self.bad("query.filter has to be an object") }
        for member in filter.members {
            guard let values = member.value.stringArrayValue ?? member.value.stringValue.map({ [$0] }) else {
                throw Self.bad("a filter's value is a text or an array of texts")
            }
            if ["type", "mediaType"].contains(member.name) {
                guard values.contains(RegistryViews.cardMediaType) else { return nil }
                continue
            }
            guard let facet = Self.facet(member.name) else { throw Self.bad("there is no filter by this field") }
            guard values.count <= SearchQuery.maximumValues, !values.isEmpty else {
                throw Self.bad("a filter has 1 to \(SearchQuery.maximumValues) values")
            }
            switch facet {
            case .skill: query.skills = values
            case .tag: query.tags = values
            case .scheme: query.schemes = values
            case .trustDomain: query.trustDomains = values
            }
        }
        return query
    }

    private static func facet(_ field: String) -> SearchQuery.Facet? {
        switch field {
        case "tags": .tag
        case "capabilities": .skill
        case "metadata.securitySchemes": .scheme
        case "trustDomain": .trustDomain
        default: nil
        }
    }

    private func text(_ value: JSONValue?, _ name: String) throws(RegistryRefusal) -> String? {
        guard let value else { return nil }
        guard let text = value.stringValue else { throw Self.bad("\(name) has to be a text") }
        return text
    }

    private func size(_ value: JSONValue?, default size: Int) throws(RegistryRefusal) -> Int {
        guard let value else { return size }
        guard let number = value.int64Value, number > 0 else { throw Self.bad("a size is a number above zero") }
        return Int(min(number, Int64(AgentRegistry.longestPage)))
    }

    /// The parts between ` AND `, of which none is inside quotes.
    static func clauses(_ text: String) -> [String] {
        var clauses: [String] = []
        var clause = ""
        var isQuoted = false
        for character in text {
            if character == "'" { isQuoted.toggle() }
            clause.append(character)
            if !isQuoted, clause.hasSuffix(" AND ") {
                clauses.append(String(clause.dropLast(5)))
                clause = ""
            }
        }
        return clauses + [clause]
    }

    static func equation(_ clause: String) -> (field: String, value: String)? {
        guard let sign = clause.firstIndex(of: "=") else { return nil }
        let field = clause[..<sign].filter { $0 != " " }
        var value = clause[clause.index(after: sign)...]
        while value.first == " " { value.removeFirst() }
        while value.last == " " { value.removeLast() }
        guard !field.isEmpty, value.count >= 2, value.first == "'", value.last == "'" else { return nil }
        let text = value.dropFirst().dropLast()
        guard !text.contains("'") else { return nil }
        return (String(field), String(text))
    }
}
