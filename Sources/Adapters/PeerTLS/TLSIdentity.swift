package import SPIFFE

/// What one end of a connection proves itself with and judges the other end by, at one moment.
package struct TLSIdentity: Sendable {
    /// The certificate chain and key shown to the peer.
    package let svid: X509SVID
    /// The roots of each trust domain whose members may be believed. A root counts for its own trust domain only.
    package let bundles: [TrustDomain: X509Bundle]

    package init(svid: X509SVID, bundles: [TrustDomain: X509Bundle]) {
        self.svid = svid
        self.bundles = bundles
    }
}
