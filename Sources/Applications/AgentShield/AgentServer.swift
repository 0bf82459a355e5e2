public import Hummingbird
public import HummingbirdCore
import PeerHTTP
import PeerTLS

extension HTTPServerBuilder {
    /// HTTP/1.1 over mutual TLS 1.3: callers prove their SPIFFE ID, and those that the rule does not allow get no further
    /// than the handshake.
    ///
    /// The server may start before there is an identity; until then, and after the identity was withdrawn, connections
    /// are closed.
    public static func agentShield(
        identity: AgentIdentity, allow rule: PeerRule,
        configuration: HTTP1Channel.Configuration = HTTP1Channel.Configuration(idleTimeout: .seconds(60))
    ) -> HTTPServerBuilder {
        .peerTLS(
            identity.source.live, clientCertificate: .required, verifier: identity.verifier(rule),
            configuration: configuration)
    }
}

/// Lets only some of the agents that reached the server through to the routes below it: everybody else gets 403.
public struct AllowAgents<Context: RequestContext>: RouterMiddleware {
    private let rule: PeerRule

    /// For `router.group("reports").add(middleware: AllowAgents(.ids([auditor])))`.
    public init(_ rule: PeerRule) {
        self.rule = rule
    }

    /// Answers 401 without a proven caller, 403 for one that the rule does not allow.
    public func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        guard let caller = context.agentCaller else { throw HTTPError(.unauthorized) }
        guard rule.allows(caller.id) else { throw HTTPError(.forbidden) }
        return try await next(request, context)
    }
}
