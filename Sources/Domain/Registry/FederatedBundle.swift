package import SPIFFE

/// The trust bundle of another trust domain, as a SPIFFE bundle document.
package struct FederatedBundle: Hashable, Sendable {
    /// The other trust domain; the key of the record.
    package let trustDomain: TrustDomain

    /// The SPIFFE bundle in its JSON form; checked by whoever brought it in.
    package let document: [UInt8]

    /// When this document was stored.
    package let updatedAt: UnixTime

    package init(trustDomain: TrustDomain, document: [UInt8], updatedAt: UnixTime) {
        self.trustDomain = trustDomain
        self.document = document
        self.updatedAt = updatedAt
    }
}
