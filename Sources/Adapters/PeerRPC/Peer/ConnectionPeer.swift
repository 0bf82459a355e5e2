package import GRPCCore

/// Who is at the other end of a connection, as the kernel or the TLS handshake says.
package struct ConnectionPeer: Sendable {
    /// How the peer is known.
    package enum Identity: Sendable {
        /// A process on this machine, connected through a Unix socket.
        case process(ProcessPeer)
        /// The holder of a certificate that the server's verification accepted; DER, leaf first, never empty.
        case certificate(chain: [[UInt8]])
        /// A TLS peer without a certificate.
        case anonymous
    }

    /// How the peer is known.
    package let identity: Identity
    /// `host:port` of a TCP peer, `unix` for a Unix socket. For people: nothing may be decided by it.
    package let remoteAddress: String

    package init(identity: Identity, remoteAddress: String) {
        self.identity = identity
        self.remoteAddress = remoteAddress
    }

    /// The process, if the peer came through a Unix socket.
    package var process: ProcessPeer? {
        if case .process(let process) = identity { process } else { nil }
    }

    /// The accepted chain (DER, leaf first), if the peer showed a certificate.
    package var certificateChain: [[UInt8]]? {
        if case .certificate(let chain) = identity { chain } else { nil }
    }
}

/// The peer as a call's context carries it.
struct PeerContext: ServerContext.TransportSpecific {
    let peer: ConnectionPeer
}

extension ServerContext {
    /// The peer of this call. Every call that a ``PeerServer`` serves has one.
    package var connectionPeer: ConnectionPeer? {
        (transportSpecific as? PeerContext)?.peer
    }
}
