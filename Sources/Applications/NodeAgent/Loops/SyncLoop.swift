import GRPCCore
import SPIFFE

/// Follows entries and bundles: at once when the server says that something changed, else from time to time.
struct SyncLoop: Sendable {
    let parts: AgentParts

    /// With a living push stream the server is still asked, this many times less often: news could get lost.
    static let pushedFactor = 12
    /// Trust domains whose bundles are fetched at once.
    static let bundlesAtOnce = 10

    /// Fetches everything once; tries again for as long as the server is away.
    /// - Throws: `NodeRefused`, cancellation, or what cannot be helped.
    func first() async throws {
        var backOff = parts.backOff
        while true {
            do {
                return try await once()
            } catch let error as RPCError {
                try await pause(after: error, &backOff)
            }
        }
    }

    /// Keeps on following.
    func run() async throws {
        var backOff = parts.backOff
        while true {
            let interval = parts.configuration.syncInterval
            _ = try await parts.syncSignal.wait(
                upTo: parts.push.isAlive ? interval * Self.pushedFactor : interval, sleep: parts.sleep)
            do {
                try await once()
                backOff.succeeded()
            } catch let error as RPCError {
                try await pause(after: error, &backOff)
                // What was missed is not forgotten.
                parts.syncSignal.fire()
            }
        }
    }

    /// One exchange with the server.
    func once() async throws {
        let identity = parts.connection.identity
        do {
            async let bundle = ownBundle()
            let known = parts.cache.withEntries { $0.entries }
            let outcome = try await parts.connection.call { try await $0.entries(known: known) }
            if outcome.malformed > 0 {
                parts.logger.warning(
                    "entries left out because they cannot be served", metadata: ["count": "\(outcome.malformed)"])
            }
            let difference = parts.cache.replace(entries: outcome.entries, at: parts.now())
            if !difference.touched.isEmpty { parts.signSignal.fire() }
            try await take(try await bundle)
            parts.cache.noteSync(at: parts.now())
        } catch let error as RPCError {
            if let reason = error.refusal {
                guard reason == .notActive, parts.connection.isOutdated(identity) else {
                    throw NodeRefused(reason: reason)
                }
                throw RPCError(code: .unavailable, message: "the node's identity has just changed")
            }
            throw error
        }
    }

    /// Fetches only the bundles.
    func bundles() async throws {
        try await take(try await ownBundle())
    }

    private func ownBundle() async throws -> TrustBundle {
        try await parts.connection.call { try await $0.bundle(of: parts.configuration.trustDomain) }
    }

    private func take(_ bundle: TrustBundle) async throws {
        let federated = try await federatedBundles()
        let old = parts.cache.withEntries { $0.bundle }
        if old != bundle {
            // Stored first: a restart must not fall back behind what connections were judged by.
            try parts.store.save(bundle)
            parts.trust.replace(bundle)
        }
        guard parts.cache.replace(bundle: bundle, federated: federated) else { return }
        parts.signSignal.fire()
        // An authority may be tainted now.
        parts.renewSignal.fire()
    }

    private func federatedBundles() async throws -> [TrustDomain: TrustBundle] {
        let needed = parts.cache.withEntries { $0.neededTrustDomains }.sorted()
        let held = parts.cache.withEntries { $0.federatedBundles }
        var bundles: [TrustDomain: TrustBundle] = [:]
        try await withThrowingTaskGroup(of: (TrustDomain, TrustBundle?).self) { group in
            for (position, trustDomain) in needed.enumerated() {
                if position >= Self.bundlesAtOnce, let (domain, bundle) = try await group.next() {
                    bundles[domain] = bundle
                }
                group.addTask {
                    do {
                        let bundle = try await parts.connection.call { try await $0.federatedBundle(of: trustDomain) }
                        return (trustDomain, bundle)
                    } catch let error as RPCError {
                        throw error
                    } catch {
                        // One malformed bundle must not stop everything else: the one at hand stays.
                        return (trustDomain, held[trustDomain])
                    }
                }
            }
            for try await (domain, bundle) in group { bundles[domain] = bundle }
        }
        return bundles
    }

    private func pause(after error: RPCError, _ backOff: inout BackOff) async throws {
        try Task.checkCancellation()
        let wait = parts.wait(&backOff)
        var metadata = ["reason": "\(error.message)", "code": "\(error.code)", "next": "\(wait)"]
        if let refusal = parts.trust.refusal { metadata["server"] = refusal }
        parts.logger.warning("the server cannot be asked", metadata: metadata.mapValues { "\($0)" })
        try await parts.sleep(wait)
    }
}
