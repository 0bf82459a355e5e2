package import Attestation
package import SPIFFE

/// A registration entry: which workload gets which identity on which nodes, with every field of SPIRE's `Entry`.
package struct RegistrationEntry: Hashable, Sendable {
    /// Unique key of the entry; `^[A-Za-z0-9._-]{1,255}$`.
    package let id: String

    /// The identity that workloads of this entry get.
    package var spiffeID: SPIFFEID

    /// The node, node alias or workload that may serve this entry.
    package var parentID: SPIFFEID

    /// What the workload must all have; sorted, unique, never empty.
    package var selectors: [Selector]

    /// Lifetime of X.509-SVIDs in seconds; 0 means the issuer's default.
    package var x509SVIDTTL: Int32

    /// Lifetime of JWT-SVIDs in seconds; 0 means the issuer's default.
    package var jwtSVIDTTL: Int32

    /// Other trust domains whose bundles the workload gets; sorted, unique.
    package var federatesWith: [TrustDomain]

    /// The workload may administer the control plane.
    package var isAdmin: Bool

    /// The workload is a downstream control plane and may get a certificate authority.
    package var isDownstream: Bool

    /// When the entry stops to hold and is removed; nil means never.
    package var expiresAt: UnixTime?

    /// DNS names in the X.509-SVID; the first one is also the common name, so the order is kept.
    package var dnsNames: [String]

    /// Free text by which a workload with several identities picks one.
    package var hint: String

    /// Starts at 0 and grows by 1 with every update.
    package var revision: Int64

    /// The SVID is meant for a secret store, not for the Workload API.
    package var storeSVID: Bool

    /// When the entry was made.
    package let createdAt: UnixTime

    package var attributes: EntryAttributes

    package init(
        id: String, spiffeID: SPIFFEID, parentID: SPIFFEID, selectors: [Selector], x509SVIDTTL: Int32 = 0,
        jwtSVIDTTL: Int32 = 0, federatesWith: [TrustDomain] = [], isAdmin: Bool = false, isDownstream: Bool = false,
        expiresAt: UnixTime? = nil, dnsNames: [String] = [], hint: String = "", revision: Int64 = 0,
        storeSVID: Bool = false, createdAt: UnixTime, attributes: EntryAttributes = EntryAttributes()
    ) {
        self.id = id
        self.spiffeID = spiffeID
        self.parentID = parentID
        self.selectors = selectors
        self.x509SVIDTTL = x509SVIDTTL
        self.jwtSVIDTTL = jwtSVIDTTL
        self.federatesWith = federatesWith
        self.isAdmin = isAdmin
        self.isDownstream = isDownstream
        self.expiresAt = expiresAt
        self.dnsNames = dnsNames
        self.hint = hint
        self.revision = revision
        self.storeSVID = storeSVID
        self.createdAt = createdAt
        self.attributes = attributes
    }
}

/// SPIRE's `additional_attributes` of an entry.
package struct EntryAttributes: Hashable, Sendable {
    /// Node agents shall not fetch the X.509-SVID before a workload asks for it.
    package var disableX509SVIDPrefetch: Bool

    /// JWT-SVIDs of this entry carry a `jti` claim.
    package var jwtSVIDIncludeJTI: Bool

    package init(disableX509SVIDPrefetch: Bool = false, jwtSVIDIncludeJTI: Bool = false) {
        self.disableX509SVIDPrefetch = disableX509SVIDPrefetch
        self.jwtSVIDIncludeJTI = jwtSVIDIncludeJTI
    }
}
