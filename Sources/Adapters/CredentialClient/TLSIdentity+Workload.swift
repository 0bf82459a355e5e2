package import PeerTLS
package import SPIFFE
package import WorkloadAPI

extension TLSIdentity {
    /// Reads one identity of a Workload API's answer with all bundles that came along.
    ///
    /// The own trust domain's bundle has to be good. A federated one that is not gets left out: nobody of that trust
    /// domain is believed, and the own identity still rotates.
    /// - Throws: ``WorkloadAPIError/malformedResponse(_:)``.
    package init(
        _ svid: WorkloadX509SVID, federated: [TrustDomain: [UInt8]]
    ) throws(WorkloadAPIError) {
        let own: X509SVID
        do {
            own = try X509SVID(chainConcatenated: svid.chain, pkcs8: svid.privateKey)
        } catch {
            throw .malformedResponse("the Workload API sent an unusable X509-SVID: \(error)")
        }
        guard own.id == svid.id else {
            throw .malformedResponse("the Workload API sent an X509-SVID of another identity")
        }
        var bundles: [TrustDomain: X509Bundle] = [:]
        for (trustDomain, bytes) in federated where trustDomain != own.id.trustDomain {
            bundles[trustDomain] = try? X509Bundle(trustDomain: trustDomain, derConcatenated: bytes)
        }
        do {
            bundles[own.id.trustDomain] = try X509Bundle(trustDomain: own.id.trustDomain, derConcatenated: svid.bundle)
        } catch {
            throw .malformedResponse("the Workload API sent an unusable bundle: \(error)")
        }
        self.init(svid: own, bundles: bundles)
    }
}
