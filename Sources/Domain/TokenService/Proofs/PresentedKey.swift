import Authentication
import JOSE
import OAuth
import SPIFFE

/// The key that a token will be bound to: the client has proved on this very request that it holds it.
///
/// Only ``ProofChecker`` makes values of this type.
struct PresentedKey: Sendable {
    let confirmation: Confirmation
    /// The token must not outlive this; nil where the key has no end.
    let expiresAt: UnixTime?
    /// How the token is shown.
    let use: TokenResponse.Use

    fileprivate init(_ confirmation: Confirmation, expiresAt: UnixTime?, use: TokenResponse.Use) {
        self.confirmation = confirmation
        self.expiresAt = expiresAt
        self.use = use
    }
}

/// Checks what a request shows beside the client's credential: a DPoP proof, or the certificate of its connection.
final class ProofChecker: Sendable {
    private let seen = ReplayMemory(capacity: rememberedProofs)
    let nonces: DPoPNonces
    private let now: @Sendable () -> UnixTime

    /// Of one client. Proofs live for a minute or two: room for as many requests as one address may make.
    private static let rememberedProofs = 60_000

    init(nonces: DPoPNonces, now: @escaping @Sendable () -> UnixTime) {
        self.nonces = nonces
        self.now = now
    }

    /// The key of the request; nil when it shows none. A proof wins over the certificate: whoever sends one wants a token
    /// for connections that will come later.
    func presentedKey(_ call: TokenCall, of client: AuthenticatedClient) throws(TokenRefusal) -> PresentedKey? {
        guard call.proofs.count <= 1 else {
            throw TokenRefusal(.invalidDPoPProof, "there is more than one header field `DPoP`")
        }
        if let proof = call.proofs.first { return try checked(proof, call, client) }
        if let peer = call.peer { return certificate(peer.leaf, until: peer.expiresAt) }
        guard let leaf = call.presented?.leaf else { return nil }
        // Nobody has looked at the certificate if the client's credential is another. Its key is as good as that of a proof
        // (RFC 8705 §4), for as long as the certificate says so.
        guard leaf.isValid(at: now()) else {
            throw TokenRefusal(.invalidRequest, "the certificate of the connection is not valid now")
        }
        return certificate(leaf, until: leaf.notAfter)
    }

    private func certificate(_ leaf: ParsedCertificate, until end: UnixTime) -> PresentedKey? {
        Confirmation(certificateThumbprint: leaf.sha256).map { PresentedKey($0, expiresAt: end, use: .bearer) }
    }

    private func checked(
        _ proof: String, _ call: TokenCall, _ client: AuthenticatedClient
    ) throws(TokenRefusal) -> PresentedKey {
        let time = now().seconds
        let verified: VerifiedDPoPProof
        do {
            verified = try DPoPProof.verify(
                proof, request: DPoPRequest(method: "POST", url: call.url, use: .tokenRequest),
                policy: DPoPPolicy(nonces: nonces.accepted), now: time)
        } catch {
            throw TokenRefusal(error.code, error.description)
        }
        let outcome = seen.insert(
            verified.tokenID, of: verified.keyThumbprint, sender: client.agent.id, until: verified.replayableUntil,
            now: time)
        switch outcome {
        case .fresh: break
        case .replayed, .ended: throw TokenRefusal(.invalidDPoPProof, "the proof was used before")
        case .full: throw .unavailable("no more proofs can be remembered")
        }
        return PresentedKey(Confirmation(proofKey: verified.key), expiresAt: nil, use: .dpop)
    }
}
