import Crypto
import GRPCCore
import SPIFFE

/// Gets X509-SVIDs signed: ahead, in time before they end, and when a workload asks. The only place that does.
struct SignLoop: Sendable {
    let parts: AgentParts

    /// The longest wait between looks at what is due.
    static let longestWait = Duration.seconds(60)

    /// How many are signed ahead in one call: somebody may ask for another one meanwhile.
    private static let portionAhead = 100

    /// Signs until the task is cancelled.
    func run() async throws {
        var batch = BatchSize()
        while true {
            try await pass(&batch)
            let now = parts.now()
            let next = parts.cache.withEntries { $0.nextDue(after: now) }
            let wait = next.map { Duration.milliseconds(max(1, $0.milliseconds(since: now))) } ?? Self.longestWait
            _ = try await parts.signSignal.wait(upTo: min(wait, Self.longestWait), sleep: parts.sleep)
        }
    }

    /// Signs everything that is due, once.
    func pass() async throws {
        var batch = BatchSize()
        try await pass(&batch)
    }

    private func pass(_ batch: inout BatchSize) async throws {
        var rest = parts.cache.due(at: parts.now())
        var tried: Set<String> = []
        while true {
            try Task.checkCancellation()
            // What a workload has asked for meanwhile does not wait for what is signed ahead.
            let asked = parts.cache.demanded(at: parts.now()).filter { !tried.contains($0.id) }
            rest.removeAll { tried.contains($0.id) }
            let portion = Array(
                asked.isEmpty ? rest.prefix(min(batch.current, Self.portionAhead)) : asked.prefix(batch.current))
            guard !portion.isEmpty else { return }
            do {
                try await sign(portion)
                batch.succeeded()
            } catch let error as RPCError {
                batch.failed(of: portion.count)
                // Too many at once: fewer are tried without delay.
                if error.code == .resourceExhausted, batch.current < portion.count { continue }
                if error.refusal != nil { parts.syncSignal.fire() }
                parts.logger.warning(
                    "SVIDs not signed", metadata: ["reason": "\(error.message)", "count": "\(portion.count)"])
                parts.cache.store([], failed: portion.map(\.id), at: parts.now())
                // A server that is away answers no other portion either.
                if error.code == .unavailable {
                    parts.cache.store([], failed: rest.map(\.id), at: parts.now())
                    return
                }
            }
            tried.formUnion(portion.map(\.id))
        }
    }

    /// One call; what cannot be used of its results counts as failed.
    private func sign(_ entries: [AuthorizedEntry]) async throws {
        let keys = entries.map { _ in P256.Signing.PrivateKey() }
        var requests: [(entryID: String, csr: [UInt8])] = []
        for (entry, key) in zip(entries, keys) {
            requests.append((entry.id, try CSRBuilder.make(privateKey: key)))
        }
        let results = try await parts.connection.call { try await $0.sign(requests) }
        var signed: [(entryID: String, svid: CachedSVID)] = []
        var failed: [String] = []
        var missing: [String] = []
        for (position, result) in results.enumerated() {
            let entry = entries[position]
            switch result {
            case .chain(let chain):
                do {
                    signed.append((entry.id, try await check(chain, keys[position], entry)))
                } catch let error as Unusable {
                    parts.logger.error(
                        "a signed SVID cannot be used", metadata: ["entry": "\(entry.id)", "reason": "\(error.reason)"])
                    failed.append(entry.id)
                }
            case .refused(let code, let message):
                parts.logger.warning(
                    "an SVID was not signed", metadata: ["entry": "\(entry.id)", "reason": "\(message)"])
                // Not found: the entry has just gone; the next exchange of entries says so.
                if code == RPCError.Code.notFound.rawValue {
                    parts.syncSignal.fire()
                    missing.append(entry.id)
                } else {
                    failed.append(entry.id)
                }
            }
        }
        parts.cache.store(signed, failed: failed, missing: missing, at: parts.now())
    }

    private struct Unusable: Error {
        let reason: String
    }

    /// INVARIANT: nothing is handed out that peers with our bundle would refuse.
    private func check(
        _ chain: [[UInt8]], _ key: P256.Signing.PrivateKey, _ entry: AuthorizedEntry
    ) async throws -> CachedSVID {
        let svid: X509SVID
        do {
            svid = try X509SVID(chain: chain, privateKey: key)
        } catch {
            throw Unusable(reason: error.description)
        }
        guard svid.id == entry.spiffeID else { throw Unusable(reason: "it names `\(svid.id)`") }
        if let refusal = refusal(of: chain) {
            guard refusal == .noAuthority else { throw Unusable(reason: refusal.description) }
            // An authority that is newer than the bundle here.
            try? await SyncLoop(parts: parts).bundles()
            if let refusal = self.refusal(of: chain) { throw Unusable(reason: refusal.description) }
        }
        return CachedSVID(svid, revision: entry.revision, obtained: parts.now(), random: parts.random())
    }

    private func refusal(of chain: [[UInt8]]) -> X509VerificationError? {
        let bundle = parts.cache.withEntries { $0.bundle.x509Bundle }
        do throws(X509VerificationError) {
            _ = try X509SVIDVerifier.verify(
                chain: chain, bundle: { $0 == bundle.trustDomain ? bundle : nil }, at: parts.now())
            return nil
        } catch {
            return error
        }
    }
}
