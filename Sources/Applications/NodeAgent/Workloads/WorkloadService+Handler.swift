import Attestation
import JOSE
import PeerRPC
import SPIFFE
import WorkloadAPI

extension WorkloadService: WorkloadAPIHandler {
    func x509Contexts(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadX509Context, any Error> {
        let recorded = LastRecorded()
        return try await stream(peer, "FetchX509SVID") { caller, workload, follower in
            let (entries, workload) = try await signedEntries(for: workload, caller, follower)
            let (context, served) = try x509Context(of: entries)
            // One record per identity change, not one per rotation.
            if recorded.isNews(served) {
                do {
                    try await record(served, kind: "x509-svid", caller, workload)
                } catch {
                    recorded.forget()
                    throw error
                }
            }
            return context
        }
    }

    func x509Bundles(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadX509Bundles, any Error> {
        try await stream(peer, "FetchX509Bundles") { caller, workload, _ in
            let bundles = try await bundles(for: caller, workload)
            return WorkloadX509Bundles(
                bundles: Dictionary(
                    bundles.map { ($0.trustDomain, $0.x509Bundle.derConcatenated) }, uniquingKeysWith: { own, _ in own }
                ), revocationLists: revocations.revocationLists)
        }
    }

    func jwtBundles(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadJWTBundles, any Error> {
        try await stream(peer, "FetchJWTBundles") { caller, workload, _ in
            // Before the bundles: a turn that comes between them is news again.
            let turn = cache.withTokens(\.turn)
            let bundles = try await bundles(for: caller, workload)
            return WorkloadJWTBundles(
                bundles: Dictionary(
                    bundles.map { ($0.trustDomain, $0.jwtJWKS()) }, uniquingKeysWith: { own, _ in own }), turn: turn)
        }
    }

    func witSVIDs(
        for peer: ConnectionPeer, id: SPIFFEID?
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadWITSVIDs, any Error> {
        let recorded = LastRecorded()
        return try await stream(peer, "FetchWITSVID") { caller, workload, _ in
            let entries = entries(for: workload).filter { !$0.storesSVID && (id == nil || $0.spiffeID == id) }
            guard !entries.isEmpty else { throw await noIdentity(caller) }
            let served = try await wits.svids(for: entries)
            guard !served.isEmpty else { throw await noIdentity(caller) }
            // One record per identity change, not one per rotation.
            if recorded.isNews(served.map(\.0)) {
                do {
                    try await record(served.map(\.0), kind: "wit-svid", caller, workload)
                } catch {
                    recorded.forget()
                    throw error
                }
            }
            return WorkloadWITSVIDs(
                svids: served.map {
                    WorkloadWITSVID(id: $1.id, token: $1.text, privateKey: $1.privateJWK, hint: $0.hint)
                })
        }
    }

    func witBundles(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadWITBundles, any Error> {
        try await stream(peer, "FetchWITBundles") { caller, workload, _ in
            let bundles = try await bundles(for: caller, workload)
            return WorkloadWITBundles(
                bundles: Dictionary(
                    bundles.map { ($0.trustDomain, $0.witJWKS()) }, uniquingKeysWith: { own, _ in own }))
        }
    }

    func jwtSVIDs(
        for peer: ConnectionPeer, audience: [String], id: SPIFFEID?
    ) async throws(WorkloadAPIError) -> [WorkloadJWTSVID] {
        let caller = try await attest(peer, "FetchJWTSVID")
        let entries = entries(for: caller.workload).filter { id == nil || $0.spiffeID == id }
        guard !entries.isEmpty else { throw await noIdentity(caller) }
        let served = try await tokens.tokens(for: entries, audience: audience)
        guard !served.isEmpty else { throw await noIdentity(caller) }
        try await record(served.map(\.0), kind: "jwt-svid", caller, caller.workload, audience: audience)
        return served.map { WorkloadJWTSVID(id: $0.spiffeID, token: $1, hint: $0.hint) }
    }

    func validateJWTSVID(
        for peer: ConnectionPeer, token: String, audience: String
    ) async throws(WorkloadAPIError) -> WorkloadJWTValidation {
        let caller = try await attest(peer, "ValidateJWTSVID")
        let entries = entries(for: caller.workload)
        let bundles = cache.withEntries { cache in
            cache.federatedBundles(of: entries).merging([cache.bundle.trustDomain: cache.bundle]) { _, own in own }
        }
        let verified: VerifiedJWTSVID
        do throws(JWTSVIDError) {
            verified = try JWTSVID.verify(
                token: token, audience: audience, bundles: { bundles[$0]?.jwtAuthorities }, now: now())
        } catch {
            throw .invalidArgument("the token is not valid: \(error)")
        }
        try await checkRevocation(verified, caller)
        let isForeign = verified.id.trustDomain != configuration.trustDomain
        var claims = JSONObject()
        for (name, value) in verified.claims.members {
            // What another trust domain says of its workloads means nothing here unless somebody decided so.
            guard
                !isForeign || ["sub", "aud", "exp"].contains(name)
                    || configuration.allowedForeignJWTClaims.contains(name)
            else { continue }
            claims[name] = value
        }
        claims["aud"] = .array(verified.audience.map { .string($0) })
        return WorkloadJWTValidation(id: verified.id, claims: claims)
    }
}
