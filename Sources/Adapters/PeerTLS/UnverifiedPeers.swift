package import SPIFFE

/// Lets clients in whose certificates are no SVIDs and verifies nothing of these; nobody gets an identity by them.
///
/// A type of its own, so that no closure is taken for it by mistake: a server has to say that it wants this.
package struct UnverifiedPeers: Sendable {
    let take: @Sendable (PresentedCertificate) -> Void

    /// - Parameter take: called on the event loop when the handshake has ended well, so the client holds the leaf's key.
    package init(_ take: @escaping @Sendable (PresentedCertificate) -> Void) {
        self.take = take
    }
}
