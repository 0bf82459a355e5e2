import SPIFFE
import Synchronization

/// Verdicts on the chains of clients, so that a connection's calls do not verify the same signatures again and again.
///
/// A verdict holds for the bundle that it was made with, from the time of its making until the path's earliest end.
/// Refusals are not remembered, and what is revoked is asked for anew in every call.
final class VerifiedClients: Sendable {
    /// Verdicts that are kept; when there are more, all are made anew.
    private static let limit = 4096

    private struct Verdict {
        let svid: VerifiedX509SVID
        let bundle: X509Bundle
        let madeAt: UnixTime

        func holds(with bundle: X509Bundle, at time: UnixTime) -> Bool {
            // Equal bundles mostly are one and the same array, which is known at once.
            madeAt <= time && time < svid.expiresAt && self.bundle == bundle
        }
    }

    /// A chain as key: hashed by its leaf alone, in one piece, and compared whole.
    private struct Chain: Hashable {
        let certificates: [[UInt8]]

        func hash(into hasher: inout Hasher) {
            certificates.first?.withUnsafeBytes { hasher.combine(bytes: $0) }
        }
    }

    private let trustDomain: TrustDomain
    private let bundle: @Sendable () -> X509Bundle
    private let verdicts = Mutex<[Chain: Verdict]>([:])

    /// - Parameter bundle: the authorities of our own trust domain as they are now.
    init(trustDomain: TrustDomain, bundle: @escaping @Sendable () -> X509Bundle) {
        self.trustDomain = trustDomain
        self.bundle = bundle
    }

    /// The identity of a chain (DER, leaf first) of our own trust domain at a time; nil if it proves none.
    func verify(_ chain: [[UInt8]], at time: UnixTime) -> VerifiedX509SVID? {
        let bundle = bundle()
        let key = Chain(certificates: chain)
        if let verdict = verdicts.withLock({ $0[key] }), verdict.holds(with: bundle, at: time) { return verdict.svid }
        let svid = try? X509SVIDVerifier.verify(
            chain: chain, bundle: { $0 == trustDomain ? bundle : nil }, at: time)
        guard let svid else { return nil }
        verdicts.withLock { verdicts in
            if verdicts.count >= Self.limit { verdicts.removeAll(keepingCapacity: true) }
            verdicts[key] = Verdict(svid: svid, bundle: bundle, madeAt: time)
        }
        return svid
    }
}
