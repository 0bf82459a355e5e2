package import SPIFFE

/// Which verified SPIFFE IDs may be the other end of a connection: the rule, apart from the mechanism that proves the ID.
package struct PeerAuthorizer: Sendable {
    private let permits: @Sendable (SPIFFEID) -> Bool

    /// - Parameter permits: called on the event loop during the handshake, so it must return at once.
    package init(_ permits: @escaping @Sendable (SPIFFEID) -> Bool) {
        self.permits = permits
    }

    /// Whether a peer whose ID has been verified may go on.
    package func permits(_ id: SPIFFEID) -> Bool {
        permits(id)
    }

    /// Every ID that verifies; authorization then has to happen for each request.
    package static let anyVerified = PeerAuthorizer { _ in true }

    /// Every ID of one trust domain.
    package static func member(of trustDomain: TrustDomain) -> PeerAuthorizer {
        PeerAuthorizer { $0.trustDomain == trustDomain }
    }

    /// Exactly the listed IDs.
    package static func oneOf(_ ids: Set<SPIFFEID>) -> PeerAuthorizer {
        PeerAuthorizer { ids.contains($0) }
    }
}
