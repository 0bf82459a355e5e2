public import AsyncHTTPClient
import NIOCore
import NIOPosix
import NIOSSL
import PeerTLS
import Synchronization

/// A request to another agent.
public typealias AgentHTTPRequest = HTTPClientRequest

/// Calls other agents by HTTP over mutual TLS 1.3.
///
/// Each server has to prove a SPIFFE ID that the rule allows **before** any byte of a request is sent. New connections
/// use the newest identity; responses that are still coming in go on over the connection they began with.
public final class AgentHTTPClient: Sendable {
    /// Time limits and the like.
    public struct Settings: Sendable {
        /// How long connecting may take, with the handshake.
        public var connectTimeout: Duration = .seconds(10)
        /// How long a server may be silent.
        public var readTimeout: Duration = .seconds(60)
        /// How long a whole request may take, the response's body not included.
        public var requestTimeout: Duration = .seconds(60)
        /// How many connections to one server at once.
        public var connectionsPerServer = 8

        /// The usual limits.
        public init() {}
    }

    private let identity: AgentIdentity
    private let rule: PeerRule
    let settings: Settings
    private let limit: Int
    private let verifier: PeerVerifier
    // Guards the generation for new requests.
    private let newest = Mutex<ClientGeneration?>(nil)

    /// - Parameter rule: the servers to talk to.
    public convenience init(identity: AgentIdentity, allow rule: PeerRule, settings: Settings = Settings()) {
        self.init(identity: identity, allow: rule, settings: settings, limit: settings.connectionsPerServer)
    }

    init(identity: AgentIdentity, allow rule: PeerRule, settings: Settings, limit: Int) {
        self.identity = identity
        self.rule = rule
        self.settings = settings
        self.limit = limit
        verifier = identity.verifier(rule)
    }

    /// Sends a request and gives the response as soon as its head is there.
    ///
    /// The request's own `tlsConfiguration` is ignored.
    /// - Throws: ``AgentShieldError``, or what async-http-client says about HTTP itself.
    public func execute(_ request: AgentHTTPRequest) async throws -> AgentHTTPResponse {
        try await generation().send(request, settings: settings)
    }

    /// Sends a `GET`.
    public func get(_ url: String) async throws -> AgentHTTPResponse {
        try await execute(AgentHTTPRequest(url: url))
    }

    /// Sends a `POST` with JSON.
    public func post(_ url: String, json: String) async throws -> AgentHTTPResponse {
        try await execute(.post(url, json: json))
    }

    /// A client that stays with one connection per server for as long as the connection lives, also when the identity
    /// rotates meanwhile. For long conversations; connections it has to make anew use the newest identity.
    ///
    /// Access tokens that are shown there are best bound to a key (``AgentTokenSource/Binding/dpop``): one that is bound to a
    /// newer certificate than the connection's is not sent over it.
    public func keepingConnection() -> AgentHTTPSession {
        AgentHTTPSession(identity: identity, rule: rule, settings: settings)
    }

    func generation() throws -> ClientGeneration {
        let identity = try identity.usable()
        if let generation = newest.withLock({ $0 }), generation.isSame(as: identity) { return generation }
        let fresh = try makeGeneration(identity)
        // The old one leaves the lock before it can end.
        let old = newest.withLock { newest in
            defer { newest = fresh }
            return newest
        }
        _ = old
        return fresh
    }

    private func makeGeneration(_ identity: TLSIdentity) throws -> ClientGeneration {
        try ClientGeneration(
            identity, rule: rule, verifier: verifier, settings: settings, limit: limit,
            isIdentityThere: { [source = self.identity.source] in source.current != nil }, now: self.identity.now)
    }
}

/// A client that keeps its connection.
public final class AgentHTTPSession: Sendable {
    private let identity: AgentIdentity
    private let rule: PeerRule
    let settings: AgentHTTPClient.Settings
    private let verifier: PeerVerifier
    // Guards the generation whose connection is kept.
    private let kept = Mutex<ClientGeneration?>(nil)

    init(identity: AgentIdentity, rule: PeerRule, settings: AgentHTTPClient.Settings) {
        self.identity = identity
        self.rule = rule
        self.settings = settings
        verifier = identity.verifier(rule)
    }

    /// Sends a request over the kept connection, or over a new one if that is gone.
    ///
    /// The request's own `tlsConfiguration` is ignored.
    public func execute(_ request: AgentHTTPRequest) async throws -> AgentHTTPResponse {
        try await generation().send(request, settings: settings)
    }

    /// The own certificate that the connection was made with; `nil` before the first request.
    public var identityInUse: AgentSVID? { kept.withLock { $0.map { AgentSVID($0.identity.svid) } } }

    func generation() throws -> ClientGeneration {
        if let generation = kept.withLock({ $0 }), generation.ledger.open > 0 { return generation }
        let fresh = try ClientGeneration(
            identity.usable(), rule: rule, verifier: verifier, settings: settings, limit: 1,
            isIdentityThere: { [source = identity.source] in source.current != nil }, now: identity.now)
        let old = kept.withLock { kept in
            defer { kept = fresh }
            return kept
        }
        _ = old
        return fresh
    }
}

extension HTTPClientRequest {
    /// A `POST` with JSON.
    public static func post(_ url: String, json: String) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.body = .bytes(.init(string: json))
        return request
    }
}

extension ClientGeneration {
    func send(_ request: AgentHTTPRequest, settings: AgentHTTPClient.Settings) async throws -> AgentHTTPResponse {
        guard request.url.utf8.count > 8, request.url.prefix(8).lowercased() == "https://" else {
            throw AgentShieldError.notHTTPS
        }
        var request = request
        request.tlsConfiguration = nil
        let before = ledger.made
        do {
            let response = try await client.execute(request, timeout: .init(settings.requestTimeout))
            let after = ledger
            return AgentHTTPResponse(
                response, server: after.server, isNewConnection: after.made > before, generation: self)
        } catch let error as NIOSSLError {
            throw AgentShieldError.unverifiedServer("\(error)")
        } catch let error as NIOConnectionError {
            throw AgentShieldError.unreachable(error.connectionErrors.first.map { "\($0.error)" } ?? "no address")
        } catch let error as HTTPClientError where error == .remoteConnectionClosed {
            throw AgentShieldError.closedByServer
        }
    }
}
