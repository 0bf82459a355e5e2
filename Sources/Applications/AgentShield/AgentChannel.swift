public import NIOCore
import PeerTLS

extension Channel {
    /// Puts mutual TLS at the front of an accepted connection's pipeline. Call it on the connection's event loop, from
    /// `childChannelInitializer`, before other handlers are added.
    ///
    /// - Parameters:
    ///   - rule: which callers may connect.
    ///   - authenticated: called once on the event loop when the caller has proved itself, before any of its bytes are
    ///     read. A caller that cannot, or may not, is disconnected.
    /// - Throws: when there is no identity at the moment.
    public func addAgentShieldServer(
        identity: AgentIdentity, allow rule: PeerRule,
        authenticated: @escaping @Sendable (AgentCaller) -> Void = { _ in }
    ) throws {
        try addServerTLS(
            identity.source.live, clientCertificate: .required, verifier: identity.verifier(rule)
        ) { peer in
            if let peer { authenticated(AgentCaller(peer)) }
        }
    }

    /// Puts mutual TLS at the front of an outgoing connection's pipeline. Call it on the connection's event loop, from
    /// `channelInitializer`, before other handlers are added. Nothing is sent to a server that the rule does not allow:
    /// its handshake fails.
    ///
    /// - Parameter authenticated: called once on the event loop when the server has proved itself.
    /// - Throws: when there is no usable identity at the moment.
    public func addAgentShieldClient(
        identity: AgentIdentity, allow rule: PeerRule,
        authenticated: @escaping @Sendable (AgentCaller) -> Void = { _ in }
    ) throws {
        _ = try identity.usable()
        try addClientTLS(identity.source.live, http2: false, verifier: identity.verifier(rule)) { peer in
            if let peer { authenticated(AgentCaller(peer)) }
        }
    }
}
