package import SPIFFE
import Synchronization

/// The verified peer of an HTTP connection, for the request context of a Hummingbird server.
package enum HTTPPeer {
    /// The peer of the connection whose request is being served; `nil` outside one, and for a peer without a certificate.
    package static var current: VerifiedX509SVID? { box?.peer }

    /// A certificate of the connection that is no X.509-SVID and that nobody has verified. ``current`` is `nil` then.
    package static var unverifiedCertificate: PresentedCertificate? { box?.presented }

    @TaskLocal static var box: Box?

    /// What the handshake finds out, written on the event loop and read by the connection's task.
    final class Box: Sendable {
        // Guards both, of which there is one at most; written once, before the first request can be read.
        private let state = Mutex<(peer: VerifiedX509SVID?, presented: PresentedCertificate?)>((nil, nil))

        var peer: VerifiedX509SVID? { state.withLock { $0.peer } }
        var presented: PresentedCertificate? { state.withLock { $0.presented } }

        func set(_ peer: VerifiedX509SVID?) { state.withLock { $0.peer = peer } }
        func set(unverified certificate: PresentedCertificate) { state.withLock { $0.presented = certificate } }
    }
}
