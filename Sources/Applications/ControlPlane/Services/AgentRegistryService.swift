import AgentDirectory
import AgentRegistry
import ControlPlaneAPI
import Crypto
import GRPCCore
import JOSE
import OAuth
import SPIFFE
import TokenService

/// `agentshield.admin.v1.AgentRegistry`: the registry for those who administer it and approve cards.
struct AgentRegistryService: Agentshield_Admin_V1_AgentRegistry.SimpleServiceProtocol {
    let agents: AgentRegistry
    /// Whom the users of this machine are, by uid, when they approve on the administration socket.
    let people: [UInt32: Person]
    let trustDomain: TrustDomain
    let names: @Sendable () -> TokenServiceNames?
    let fetcher: CardFetch
    let sleep: @Sendable (Duration) async throws -> Void

    /// How long a caller may wait for a change, in seconds.
    private static let longestWait: Int32 = 20

    // MARK: looking

    func listAgents(
        request: Agentshield_Admin_V1_ListRegisteredAgentsRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_RegisteredAgentList {
        try await answer(context) { _ in
            let state = try request.state.isEmpty ? nil : state(request.state)
            let page = try agents.list(
                state: state, for: .administrator, size: Int(request.pageSize), token: request.pageToken)
            return .with {
                $0.items = page.items.map { message($0) }
                $0.nextPageToken = page.nextToken
            }
        }
    }

    private func state(_ word: String) throws -> RegisteredAgent.State {
        guard let state = RegisteredAgent.State(rawValue: word) else {
            throw RPCError(
                code: .invalidArgument, message: "a state is draft, pending, active, deprecated or revoked")
        }
        return state
    }

    func searchAgents(
        request: Agentshield_Admin_V1_SearchRegisteredAgentsRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_RegisteredAgentList {
        try await answer(context) { _ in
            var query = SearchQuery()
            query.text = request.text
            query.skills = request.skills
            query.tags = request.tags
            query.schemes = request.schemes
            query.trustDomains = request.trustDomains
            let page = try agents.search(
                query, for: .administrator, size: Int(request.pageSize), token: request.pageToken)
            return .with {
                $0.items = page.items.map { message($0.listing, score: $0.score) }
                $0.nextPageToken = page.nextToken
            }
        }
    }

    func getAgent(
        request: Agentshield_Admin_V1_RegisteredAgentReference, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_RegisteredAgent {
        try await answer(context) { _ in message(try listing(request.name)) }
    }

    func getCard(
        request: Agentshield_Admin_V1_GetAgentCardRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_StoredAgentCard {
        try await answer(context) { _ in
            let agent = try listing(request.name).agent
            let digest = request.digest.isEmpty ? agent.served?.digest ?? "" : request.digest
            guard let bytes = try await agents.card(agent, digest: digest) else {
                throw request.digest.isEmpty ? AgentRegistryError.notActive : .notFound
            }
            return .with {
                $0.card = .init(bytes)
                $0.digest = digest
            }
        }
    }

    func export(
        request: Agentshield_Admin_V1_ExportAgentsRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_AgentCatalogPage {
        try await answer(context) { _ in
            guard let base = names()?.base else {
                throw RPCError(code: .unavailable, message: "the registry has no name yet")
            }
            let views = RegistryViews(base: base, trustDomain: trustDomain, registry: agents)
            let page = try agents.search(
                SearchQuery(), for: request.all ? .administrator : .anyone, token: request.pageToken)
            return .with {
                $0.host = text(RegistryViews.host(trustDomain))
                $0.entries = page.items.map { text(.object(views.entry($0.listing))) }
                $0.nextPageToken = page.nextToken
            }
        }
    }

    private func text(_ json: JSONValue) -> String { String(decoding: json.serializedBytes, as: UTF8.self) }

    func watch(
        request: Agentshield_Admin_V1_WatchAgentsRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_AgentRegistryChanges {
        try await answer(context) { _ in
            guard request.revision != 0 else { return .with { $0.revision = agents.revision } }
            let wait = min(max(request.wait, 0), Self.longestWait)
            let found = await agents.changes(
                since: request.revision, for: .administrator, within: .seconds(Int(wait)), sleep: sleep)
            return .with {
                $0.revision = found.revision
                $0.reset = found.mustReadAll
                $0.changes = found.items.map { item in
                    .with {
                        $0.name = item.name
                        $0.state = item.state?.rawValue ?? "gone"
                    }
                }
            }
        }
    }

    // MARK: acting

    func register(
        request: Agentshield_Admin_V1_RegisterAgentRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_RegisteredAgent {
        try await answer(context) { caller in
            let name = try AgentName(request.name)
            let card: [UInt8]
            let source: CardVersion.Source
            switch request.source {
            case .card(let bytes): (card, source) = (Array(bytes), .administrator)
            case .url(let text): (card, source) = (try await fetch(text, request), .url(text))
            case nil: throw RPCError(code: .invalidArgument, message: "a card or its url has to be there")
            }
            let registration = CardRegistration(
                name: name, card: card, source: source, submits: !request.draft,
                visibility: request.visibility.isEmpty
                    ? nil : try visibility(request.visibility, request.entitled))
            return message(try await agents.register(registration, by: caller))
        }
    }

    /// The card at a URL, from a server that has proved its name. No redirects.
    private func fetch(
        _ text: String, _ request: Agentshield_Admin_V1_RegisterAgentRequest
    ) async throws -> [UInt8] {
        guard let url = try? WebURL(text), url.isSecure, !url.hasFragment else {
            throw RPCError(code: .invalidArgument, message: "a card is fetched from an https url")
        }
        return try await fetcher.fetch(
            url, .web(request.authorities.isEmpty ? .system : .pem(Array(request.authorities))),
            allowPrivate: request.allowPrivate)
    }

    func check(
        request: Agentshield_Admin_V1_CheckAgentCardRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_RegisteredAgent {
        try await answer(context) { caller in
            let agent = try listing(request.name).agent
            guard let served = agent.served else { throw AgentRegistryError.notActive }
            let interfaces = agents.listing(named: request.name, for: .administrator)?.servedCard?.summary.interfaces
            guard let url = CardFetch.url(of: served, interfaces ?? []) else {
                throw RPCError(code: .failedPrecondition, message: "the card names no https url to ask at")
            }
            let authentication: CardFetch.Authentication
            if !request.authorities.isEmpty {
                authentication = .web(.pem(Array(request.authorities)))
            } else if case .url = served.source {
                authentication = .web(.system)
            } else if let identity = agent.identity, identity.isMember(of: trustDomain) {
                authentication = .agent(identity)
            } else {
                authentication = .web(.system)
            }
            let card = try await fetcher.fetch(url, authentication, allowPrivate: request.allowPrivate)
            let digest = Hex.encode(SHA256.hash(data: card))
            return message(try await agents.noteCard(request.name, digest: digest, by: caller))
        }
    }

    func approve(
        request: Agentshield_Admin_V1_ApproveAgentCardRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_RegisteredAgent {
        try await answer(context) { caller in
            message(try await agents.approve(request.name, digest: request.digest, by: caller))
        }
    }

    func reject(
        request: Agentshield_Admin_V1_EndRegisteredAgentRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_RegisteredAgent {
        try await answer(context) { caller in
            message(try await agents.reject(request.name, reason: request.reason, by: caller))
        }
    }

    func deprecate(
        request: Agentshield_Admin_V1_EndRegisteredAgentRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_RegisteredAgent {
        try await answer(context) { caller in
            message(try await agents.deprecate(request.name, reason: request.reason, by: caller))
        }
    }

    func revoke(
        request: Agentshield_Admin_V1_EndRegisteredAgentRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_RegisteredAgent {
        try await answer(context) { caller in
            message(try await agents.revoke(request.name, reason: request.reason, by: caller))
        }
    }

    func setVisibility(
        request: Agentshield_Admin_V1_SetAgentVisibilityRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_RegisteredAgent {
        try await answer(context) { caller in
            message(
                try await agents.setVisibility(
                    request.name, visibility(request.visibility, request.entitled), by: caller))
        }
    }

    // MARK: parts

    private func listing(_ name: String) throws(AgentRegistryError) -> Listing {
        guard let listing = agents.listing(named: name, for: .administrator) else { throw .notFound }
        return listing
    }

    private func visibility(_ word: String, _ entitled: [String]) throws -> Visibility {
        switch (word, entitled.isEmpty) {
        case ("public", true): return .everyone
        case ("private", true): return .nobody
        case ("entitled", false):
            return .entitled(
                try entitled.map { text in
                    guard let id = try? SPIFFEID(text), !id.path.isEmpty else {
                        throw RPCError(code: .invalidArgument, message: "whoever is entitled has a spiffe id")
                    }
                    return id
                })
        default:
            throw RPCError(
                code: .invalidArgument, message: "visibility is public, private, or entitled with spiffe ids")
        }
    }

    private func message(_ listing: Listing, score: UInt8 = 0) -> Agentshield_Admin_V1_RegisteredAgent {
        let agent = listing.agent
        var message = Agentshield_Admin_V1_RegisteredAgent()
        message.id = agent.id
        message.name = agent.name.text
        message.spiffeID = agent.identity?.string ?? ""
        message.state = agent.state.rawValue
        switch agent.life {
        case .open: break
        case .deprecated(let reason), .revoked(let reason): message.reason = reason
        }
        message.visibility = agent.visibility.word
        if case .entitled(let ids) = agent.visibility { message.entitled = ids.map(\.string) }
        message.versions = agent.versions.map { .init($0) }
        message.current = agent.current ?? 0
        message.driftDigest = agent.drift?.digest ?? ""
        message.driftSeenAt = agent.drift?.seenAt.seconds ?? 0
        let health = agents.health(of: agent)
        message.health = health?.status.rawValue ?? "unknown"
        message.heardAt = health?.heardAt.seconds ?? 0
        message.createdAt = agent.createdAt.seconds
        message.barred = agents.isBarred(agent)
        message.score = Int32(score)
        return message
    }

    private func answer<Answer>(
        _ context: ServerContext, _ body: (RegistryCaller) async throws -> Answer
    ) async throws -> Answer {
        let caller = try context.caller
        do {
            return try await body(
                RegistryCaller(
                    .administrator(caller.person(among: people)), caller.audit, requestID: caller.requestID))
        } catch let error as AgentRegistryError {
            throw RPCError(error)
        } catch let error as DirectoryError {
            throw RPCError(error)
        }
    }
}

extension Agentshield_Admin_V1_AgentCardVersion {
    fileprivate init(_ version: CardVersion) {
        self.init()
        number = version.number
        self.version = version.version
        digest = version.digest
        signature = version.signature.word
        if case .verified(let key) = version.signature { keyID = key }
        switch version.source {
        case .agent: source = "agent"
        case .administrator: source = "administrator"
        case .url(let place):
            source = "url"
            url = place
        }
        registeredAt = version.registeredAt.seconds
        switch version.stage {
        case .draft: stage = "draft"
        case .pending: stage = "pending"
        case .approved(let person, let time):
            stage = "approved"
            decidedBy = person.name
            decidedAt = time.seconds
        case .rejected(let person, let time, let why):
            stage = "rejected"
            decidedBy = person.name
            decidedAt = time.seconds
            reason = why
        }
    }
}

extension RPCError {
    /// What an administrator is told of an act that was not done.
    fileprivate init(_ error: AgentRegistryError) {
        let code: RPCError.Code =
            switch error {
            case .notFound: .notFound
            case .unknownApprover, .ownAgent, .notYours: .permissionDenied
            case .nameTaken, .versionExists: .alreadyExists
            case .cardTooLarge, .badCard, .badInterface, .unboundCard, .otherIdentity, .reservedIdentity, .badSignature,
                .badVisibility,
                .reasonTooLong, .badPageToken, .otherCard:
                .invalidArgument
            case .notPending, .notActive, .revoked: .failedPrecondition
            case .full, .storage(.storageFull), .audit(.storageFull): .resourceExhausted
            case .storage, .audit: .unavailable
            }
        self.init(
            code: code, message: code == .unavailable ? "the record cannot be read or written now" : error.description,
            cause: error)
    }
}
