package import SPIFFE

/// Where the trust bundle of another trust domain comes from, and how that place proves itself (SPIFFE Federation §5).
///
/// The three parts are independent: none is derived from another (§5.1).
package struct FederationRelationship: Hashable, Sendable {
    /// How the endpoint proves that it is the right one.
    package enum Profile: Hashable, Sendable {
        /// `https_web`: a certificate of the web for the URL's host.
        case web
        /// `https_spiffe`: an X.509-SVID with this ID.
        case spiffe(endpointID: SPIFFEID)
    }

    /// The other trust domain; the key of the record.
    package let trustDomain: TrustDomain
    package var bundleEndpointURL: HTTPSURL
    package var profile: Profile

    package init(trustDomain: TrustDomain, bundleEndpointURL: HTTPSURL, profile: Profile) {
        self.trustDomain = trustDomain
        self.bundleEndpointURL = bundleEndpointURL
        self.profile = profile
    }
}

/// One step of a change to the stored federation relationships.
package enum FederationRelationshipChange: Hashable, Sendable {
    /// Inserts the relationship, or replaces the one of its trust domain.
    case put(FederationRelationship)
    /// Removes by trust domain; no error when there is none.
    case delete(TrustDomain)
}

/// Keeps the federation relationships that administrators made.
///
/// Implementations guarantee: `apply` is one transaction, all or nothing, durable when it returns, and not cut short by
/// the cancellation of the calling task.
package protocol FederationRelationshipStore: Sendable {
    /// Every relationship, in any order.
    func allRelationships() async throws(StoreError) -> [FederationRelationship]

    /// The relationship with this trust domain.
    func relationship(with trustDomain: TrustDomain) async throws(StoreError) -> FederationRelationship?

    /// All changes in order, or none.
    func apply(_ changes: [FederationRelationshipChange]) async throws(StoreError)
}
