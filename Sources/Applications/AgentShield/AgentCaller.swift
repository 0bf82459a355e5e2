public import Hummingbird
import PeerHTTP
public import SPIFFE

/// The agent that calls this server, proved by mutual TLS.
public struct AgentCaller: Sendable, Hashable {
    /// Who it is.
    public let id: SPIFFEID
    /// Its certificate's serial number in lower-case hexadecimal.
    public let serialNumber: String
    /// When its proof ends, in seconds since 1970.
    public let expiresAt: Int64

    init(_ peer: VerifiedX509SVID) {
        id = peer.id
        serialNumber = peer.leaf.serialNumber.hex
        expiresAt = peer.expiresAt.seconds
    }

    /// The caller of the request that the current task serves; `nil` outside of one.
    public static var current: AgentCaller? { HTTPPeer.current.map(AgentCaller.init) }
}

extension RequestContext {
    /// The agent that sent this request; `nil` if the server does not run with ``HummingbirdCore/HTTPServerBuilder/agentShield(identity:allow:configuration:)``.
    public var agentCaller: AgentCaller? { AgentCaller.current }
}
