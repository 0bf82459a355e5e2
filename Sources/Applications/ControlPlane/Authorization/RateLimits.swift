import GRPCCore
import PeerRPC
import SPIFFE

/// Which RPCs are limited for each host, by what: the groups of SPIRE's server. What is not listed is not limited.
struct RateLimits: Sendable {
    private let limiters: [String: RateLimiter]

    init(
        _ rates: ControlPlaneConfiguration.RateLimits, now: @escaping @Sendable () -> UnixTime,
        sleep: @escaping @Sendable (Duration) async throws -> Void
    ) {
        func limiter(_ perSecond: Int?) -> RateLimiter { RateLimiter(perSecond: perSecond, now: now, sleep: sleep) }
        let certificates = limiter(rates.signing)
        let tokens = limiter(rates.signing)
        let keys = limiter(rates.signing)
        limiters = [
            "spire.api.server.agent.v1.Agent/AttestAgent": limiter(rates.attestation),
            "spire.api.server.agent.v1.Agent/PostStatus": limiter(rates.status),
            "spire.api.server.agent.v1.Agent/RenewAgent": certificates,
            "spire.api.server.svid.v1.SVID/BatchNewX509SVID": certificates,
            "spire.api.server.svid.v1.SVID/NewDownstreamX509CA": certificates,
            "spire.api.server.svid.v1.SVID/NewJWTSVID": tokens,
            "spire.api.server.svid.v1.SVID/BatchNewWITSVID": tokens,
            "spire.api.server.bundle.v1.Bundle/PublishJWTAuthority": keys,
            "spire.api.server.bundle.v1.Bundle/PublishWITAuthority": keys,
        ]
    }

    /// Returns when the caller's host may make `count` calls of `method`; calls by the local socket are free.
    func spend(
        _ count: Int, of method: String, by caller: AuthorizedCaller, holding hold: RateLimiter.Hold
    ) async throws {
        if case .localSocket = caller.identity { return }
        try await limiters[method]?.spend(count, from: caller.source, holding: hold)
    }
}

extension ServerContext {
    /// Waits until the caller's host may have `count` more of this RPC. Called once what was sent is well-formed.
    func spend(_ count: Int = 1) async throws {
        guard let context = transportSpecific as? CallerContext else {
            throw RPCError(code: .permissionDenied, message: "the caller was not authorized")
        }
        try await context.limits.spend(count, of: descriptor.fullyQualifiedMethod, by: context.caller) { wait in
            // A caller that has gone does not wait for its turn, and a server that ends waits for none.
            try await untilCancelled(wait)
        }
    }
}
