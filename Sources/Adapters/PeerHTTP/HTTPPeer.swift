package import SPIFFE
import Synchronization

/// The verified peer of an HTTP connection, for the request context of a Hummingbird server.
package enum HTTPPeer {
    /// The peer of the connection whose request is being served; `nil` outside one, and for a peer without a certificate.
    package static var current: VerifiedX509SVID? { box?.peer }

    @TaskLocal static var box: Box?

    /// What the handshake finds out, written on the event loop and read by the connection's task.
    final class Box: Sendable {
        // Guards the peer; written once, before the first request can be read.
        private let state = Mutex<VerifiedX509SVID?>(nil)

        var peer: VerifiedX509SVID? { state.withLock { $0 } }

        func set(_ peer: VerifiedX509SVID?) { state.withLock { $0 = peer } }
    }
}
