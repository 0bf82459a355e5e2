package import PeerRPC
package import SPIFFE

/// What a node agent answers its workloads. Every call names its caller; implementations attest it each time.
///
/// Streams yield complete states, the first one at once. To withdraw everything a stream ends by throwing
/// ``WorkloadAPIError/permissionDenied(_:)``. Equal states in a row are sent once. A stream is cancelled, by its
/// termination handler, when the workload goes or the server stops.
package protocol WorkloadAPIHandler: Sendable {
    /// The caller's X509-SVIDs with all bundles.
    func x509Contexts(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadX509Context, any Error>

    /// The X.509 bundles that the caller may see.
    func x509Bundles(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadX509Bundles, any Error>

    /// One JWT-SVID per identity, each good for every audience; of one identity only if `id` is given.
    func jwtSVIDs(
        for peer: ConnectionPeer, audience: [String], id: SPIFFEID?
    ) async throws(WorkloadAPIError) -> [WorkloadJWTSVID]

    /// The JWT bundles that the caller may see.
    func jwtBundles(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadJWTBundles, any Error>

    /// The caller's WIT-SVIDs with their keys; of one identity only if `id` is given.
    func witSVIDs(
        for peer: ConnectionPeer, id: SPIFFEID?
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadWITSVIDs, any Error>

    /// The WIT bundles that the caller may see.
    func witBundles(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadWITBundles, any Error>

    /// Verifies a token for the caller; `invalidArgument` when it is not valid.
    func validateJWTSVID(
        for peer: ConnectionPeer, token: String, audience: String
    ) async throws(WorkloadAPIError) -> WorkloadJWTValidation
}
