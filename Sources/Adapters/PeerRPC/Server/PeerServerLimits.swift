/// What one server grants its peers.
package struct PeerServerLimits: Sendable {
    /// Most connections at once; further ones are closed at once.
    package var maximumConnections = 2048
    /// Most connections at once of one user (Unix socket) or one address (TLS), so that nobody can take all of them.
    package var maximumConnectionsPerSource = 512
    /// Most calls at once on one connection.
    package var maximumStreamsPerConnection = 100
    /// Longest request message, in bytes; a longer one ends its call with ResourceExhausted.
    package var maximumRequestBytes = 4 * 1024 * 1024
    /// Most header fields of one request. Their size is bounded by HTTP/2's own limit of 16 KiB.
    package var maximumHeaderFields = 64
    /// Longest chain that a client may show, in certificates.
    package var maximumChainLength = 8
    /// Longest chain that a client may show, in bytes of DER.
    package var maximumChainBytes = 64 * 1024
    /// How long a TLS handshake may take.
    package var handshakeTimeout: Duration = .seconds(10)
    /// How long a connection may stay without calls.
    package var maximumIdleTime: Duration = .seconds(300)
    /// How long a connection may live, so that clients see new certificates and other servers; `nil` for ever.
    package var maximumAge: Duration?
    /// How long calls may go on after their connection has reached its age, and after a graceful shutdown began.
    package var grace: Duration = .seconds(10)

    package init() {}

    /// For changing single values: `.with { $0.maximumAge = .seconds(180) }`.
    package static func with(_ change: (inout PeerServerLimits) -> Void) -> PeerServerLimits {
        var limits = PeerServerLimits()
        change(&limits)
        return limits
    }
}
