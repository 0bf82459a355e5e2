import Hummingbird
import Issuance
import JOSE
import NIOCore

/// The keys that verify agent cards of this trust domain, as a JWK set of their own: no other verifier takes them, and a
/// verifier of cards takes no others.
struct AgentCardKeys: Sendable {
    private let authorities: Authorities

    /// A key is published for weeks before it signs, so nobody who keeps the keys for this long misses it; one that was
    /// revoked is believed for as long. In seconds.
    private static let maximumAge = 300

    init(authorities: Authorities) {
        self.authorities = authorities
    }

    func register(on router: Router<HTTPContext>) {
        router.get(".well-known/agent-card-keys.json") { _, _ in
            Response(
                status: .ok,
                headers: [
                    .contentType: "application/json", .cacheControl: "public, max-age=\(Self.maximumAge)",
                ],
                body: ResponseBody(
                    byteBuffer: ByteBuffer(bytes: JWKSet(keys: authorities.cardKeys).serializedBytes)))
        }
    }
}
