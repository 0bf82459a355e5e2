import SPIFFE
import SwiftProtobuf

// The Workload API's messages, from and to our own types.

extension Workload_X509SVIDResponse {
    init(_ state: WorkloadX509Context) {
        self.init()
        svids = state.svids.map { svid in
            .with {
                $0.spiffeID = svid.id.string
                $0.x509Svid = .init(svid.chain)
                $0.x509SvidKey = .init(svid.privateKey)
                $0.bundle = .init(svid.bundle)
                $0.hint = svid.hint
            }
        }
        crl = state.revocationLists.map { .init($0) }
        federatedBundles = state.federatedBundles.byID { .init($0) }
    }

    func parsed() throws(WorkloadAPIError) -> WorkloadX509Context {
        guard !svids.isEmpty else { throw .malformedResponse("the Workload API sent no X509-SVID") }
        var parsed: [WorkloadX509SVID] = []
        for svid in svids {
            parsed.append(
                WorkloadX509SVID(
                    id: try WorkloadMessage.id(svid.spiffeID), chain: Array(svid.x509Svid),
                    privateKey: Array(svid.x509SvidKey), bundle: Array(svid.bundle), hint: svid.hint))
        }
        return WorkloadX509Context(
            svids: parsed, federatedBundles: try WorkloadMessage.bundles(federatedBundles),
            revocationLists: crl.map { Array($0) })
    }
}

extension Workload_X509BundlesResponse {
    init(_ state: WorkloadX509Bundles) {
        self.init()
        crl = state.revocationLists.map { .init($0) }
        bundles = state.bundles.byID { .init($0) }
    }

    func parsed() throws(WorkloadAPIError) -> WorkloadX509Bundles {
        WorkloadX509Bundles(
            bundles: try WorkloadMessage.bundles(bundles), revocationLists: crl.map { Array($0) })
    }
}

extension Workload_JWTBundlesResponse {
    init(_ state: WorkloadJWTBundles) {
        self.init()
        bundles = state.bundles.byID { .init($0) }
    }

    func parsed() throws(WorkloadAPIError) -> WorkloadJWTBundles {
        WorkloadJWTBundles(bundles: try WorkloadMessage.bundles(bundles))
    }
}

extension Workload_JWTSVID {
    init(_ svid: WorkloadJWTSVID) {
        self.init()
        spiffeID = svid.id.string
        self.svid = svid.token
        hint = svid.hint
    }

    func parsed() throws(WorkloadAPIError) -> WorkloadJWTSVID {
        WorkloadJWTSVID(id: try WorkloadMessage.id(spiffeID), token: svid, hint: hint)
    }
}

extension Workload_WITSVIDResponse {
    init(_ state: WorkloadWITSVIDs) {
        self.init()
        svids = state.svids.map { svid in
            .with {
                $0.spiffeID = svid.id.string
                $0.witSvid = svid.token
                $0.witSvidKey = svid.privateKey
                $0.hint = svid.hint
            }
        }
    }

    func parsed() throws(WorkloadAPIError) -> WorkloadWITSVIDs {
        guard !svids.isEmpty else { throw .malformedResponse("the Workload API sent no WIT-SVID") }
        var parsed: [WorkloadWITSVID] = []
        for svid in svids {
            parsed.append(
                WorkloadWITSVID(
                    id: try WorkloadMessage.id(svid.spiffeID), token: svid.witSvid, privateKey: svid.witSvidKey,
                    hint: svid.hint))
        }
        return WorkloadWITSVIDs(svids: parsed)
    }
}

extension Workload_WITBundlesResponse {
    init(_ state: WorkloadWITBundles) {
        self.init()
        bundles = state.bundles.byID { String(decoding: $0, as: UTF8.self) }
    }

    func parsed() throws(WorkloadAPIError) -> WorkloadWITBundles {
        WorkloadWITBundles(bundles: try WorkloadMessage.bundles(bundles.mapValues { $0.utf8 }))
    }
}

/// Reads what all responses have.
enum WorkloadMessage {
    static func id(_ text: String) throws(WorkloadAPIError) -> SPIFFEID {
        do {
            return try SPIFFEID(text)
        } catch {
            throw .malformedResponse("the Workload API sent a malformed SPIFFE ID: \(error)")
        }
    }

    /// Keys are trust domain IDs; two of them for one trust domain refuse all.
    static func bundles(
        _ message: [String: some Sequence<UInt8>]
    ) throws(WorkloadAPIError) -> [TrustDomain: [UInt8]] {
        var bundles: [TrustDomain: [UInt8]] = [:]
        for (key, bundle) in message {
            let trustDomain: TrustDomain
            do {
                trustDomain = try TrustDomain(idOrName: key)
            } catch {
                throw .malformedResponse("the Workload API sent a malformed trust domain: \(error)")
            }
            guard bundles.updateValue(Array(bundle), forKey: trustDomain) == nil else {
                throw .malformedResponse("the Workload API sent two bundles of one trust domain")
            }
        }
        return bundles
    }
}

extension [TrustDomain: [UInt8]] {
    /// Keyed by trust domain ID, the form of the wire.
    fileprivate func byID<Bytes>(_ bytes: ([UInt8]) -> Bytes) -> [String: Bytes] {
        [String: Bytes](uniqueKeysWithValues: map { ($0.key.idString, bytes($0.value)) })
    }
}
