import Crypto
package import NIOSSL
package import SPIFFE
import Synchronization

/// Judges the chain that a peer shows: the SPIFFE rules first, then whether this ID may connect.
///
/// Synchronous on purpose: a hop to another executor would cost several times the verification itself.
package final class PeerVerifier: Sendable {
    /// Why a peer is refused.
    package enum Refusal: Error, Sendable {
        /// The chain does not verify.
        case unverified(X509VerificationError)
        /// The ID is genuine and not allowed here.
        case unauthorized(SPIFFEID)
        /// A certificate could not be read back from the TLS library.
        case unreadable
        /// The identity or the certificate is revoked.
        case revoked(SPIFFEID)
        /// Nothing recent is known of revocations, so nobody can tell.
        case revocationsUnknown
    }

    /// Chains remembered for resumed sessions, where the TLS library gives back the leaf alone.
    private static let rememberedChains = 1024

    private let bundle: @Sendable (TrustDomain) -> X509Bundle?
    private let authorizer: PeerAuthorizer
    private let now: @Sendable () -> UnixTime
    /// Asked after everything else; `nil` where the request is checked instead, as in the control plane.
    let revocations: (any PeerRevocations)?
    // Guards the chains by SHA-256 of their leaf, oldest first in `order`; bounded by `rememberedChains`.
    private let remembered = Mutex<(chains: [[UInt8]: [[UInt8]]], order: [[UInt8]])>(([:], []))

    package init(
        bundle: @escaping @Sendable (TrustDomain) -> X509Bundle?, authorizer: PeerAuthorizer,
        revocations: (any PeerRevocations)? = nil, now: @escaping @Sendable () -> UnixTime
    ) {
        self.bundle = bundle
        self.authorizer = authorizer
        self.revocations = revocations
        self.now = now
    }

    /// Verifies against the bundles that `identity` holds at the moment of each handshake.
    package convenience init(
        identity: LiveIdentity, authorizer: PeerAuthorizer, revocations: (any PeerRevocations)? = nil,
        now: @escaping @Sendable () -> UnixTime
    ) {
        self.init(
            bundle: { identity.current?.bundles[$0] }, authorizer: authorizer, revocations: revocations, now: now)
    }

    /// - Parameter chain: DER certificates as the peer sent them, leaf first.
    package func verify(_ chain: [[UInt8]]) throws(Refusal) -> VerifiedX509SVID {
        let verified: VerifiedX509SVID
        do throws(X509VerificationError) {
            verified = try X509SVIDVerifier.verify(chain: chain, bundle: bundle, at: now())
        } catch {
            throw .unverified(error)
        }
        guard authorizer.permits(verified.id) else { throw .unauthorized(verified.id) }
        if let refusal = revocations?.refusal(of: ProvenPeer(verified)) { throw refusal }
        remember(chain)
        return verified
    }

    /// Verifies certificates as NIOSSL hands them to a custom callback.
    package func verify(_ certificates: [NIOSSLCertificate]) throws(Refusal) -> VerifiedX509SVID {
        try verify(Self.der(of: certificates))
    }

    /// Certificates of the TLS library as DER.
    static func der(of certificates: [NIOSSLCertificate]) throws(Refusal) -> [[UInt8]] {
        var chain: [[UInt8]] = []
        for certificate in certificates {
            guard let der = try? certificate.toDERBytes() else { throw .unreadable }
            chain.append(der)
        }
        return chain
    }

    /// Judges the peer of a resumed session anew: its certificate may have expired and its authority may be gone.
    ///
    /// A resumed session skips the verification callback and keeps only the leaf; the chain comes from the first handshake.
    package func verifyResumed(leaf: NIOSSLCertificate) throws(Refusal) -> VerifiedX509SVID {
        guard let der = try? leaf.toDERBytes() else { throw .unreadable }
        let chain = remembered.withLock { $0.chains[Self.digest(der)] } ?? [der]
        return try verify(chain)
    }

    private func remember(_ chain: [[UInt8]]) {
        // A chain of one needs no memory: the leaf is all there is.
        guard chain.count > 1, let leaf = chain.first else { return }
        let key = Self.digest(leaf)
        remembered.withLock { memory in
            guard memory.chains.updateValue(chain, forKey: key) == nil else { return }
            memory.order.append(key)
            if memory.order.count > Self.rememberedChains {
                memory.chains[memory.order.removeFirst()] = nil
            }
        }
    }

    private static func digest(_ der: [UInt8]) -> [UInt8] {
        Array(SHA256.hash(data: der))
    }
}
