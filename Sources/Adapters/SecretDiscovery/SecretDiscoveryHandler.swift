package import PeerRPC
package import SPIFFE
package import WorkloadAPI

/// What a node agent gives to Envoys (SDS v3). Every call names its caller; implementations attest it each time.
package protocol SecretDiscoveryHandler: Sendable {
    /// What the caller may have: at once, and again whenever something changed that concerns it. Losing everything ends
    /// the stream by throwing ``WorkloadAPIError/permissionDenied(_:)``.
    func secrets(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<any SecretView, any Error>
}

/// What one caller may have at one time. Keys are fetched only for the identities that a request names.
package protocol SecretView: Sendable {
    /// The trust domain of the node.
    var trustDomain: TrustDomain { get }
    /// The bundles that the caller may see, its own trust domain's among them.
    var bundles: [TrustDomain: X509Bundle] { get }
    /// The caller's identities, the default one first.
    var ids: [SPIFFEID] { get }

    /// The X509-SVIDs of the identities at these positions of ``ids``, in that order and all of them. They are recorded
    /// as handed out, so they must be sent.
    func identities(at positions: [Int]) async throws -> [WorkloadX509SVID]

    /// The same for the caller as it is now.
    func refreshed() async throws -> any SecretView
}
