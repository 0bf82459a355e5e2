/// The documents that this module follows, each in one revision: they are drafts, and their forms have changed from one to the next
/// (docs/standards/wimse.md).
package enum WIMSERevision: String, Sendable, CaseIterable {
    case identifier = "draft-ietf-wimse-identifier-03"
    case credentials = "draft-ietf-wimse-workload-creds-02"
    case proofToken = "draft-ietf-wimse-wpt-02"
    case signature = "draft-ietf-wimse-http-signature-07"
    case mutualTLS = "draft-ietf-wimse-mutual-tls-02"
}
