package import Attestation
package import SPIFFE

/// An attested node agent and the serial numbers it may present.
package struct NodeRecord: Hashable, Sendable {
    /// `spiffe://<trust domain>/spire/agent/…`; the key of the record.
    package let id: SPIFFEID

    /// The method by which it was attested, for instance `join_token`.
    package var attestationType: String

    /// Serial number of the certificate in use; nil once the node is banned.
    package var currentSerial: SerialNumber?

    /// End of the certificate in use.
    package var currentExpiresAt: UnixTime

    /// Serial number of a renewed certificate that was not yet presented.
    package var pendingSerial: SerialNumber?

    /// End of the renewed certificate.
    package var pendingExpiresAt: UnixTime?

    /// The node may attest again by the same method, so it must do that instead of renewing.
    package var canReattest: Bool

    /// What node attestation found; sorted, unique.
    package var selectors: [Selector]

    /// The node said this of itself in its last status; empty before the first.
    package var agentVersion: String

    /// When the node attested for the first time.
    package let createdAt: UnixTime

    /// A banned node has no valid serial number and cannot attest again.
    package var isBanned: Bool

    package init(
        id: SPIFFEID, attestationType: String, currentSerial: SerialNumber?, currentExpiresAt: UnixTime,
        pendingSerial: SerialNumber? = nil, pendingExpiresAt: UnixTime? = nil, canReattest: Bool,
        selectors: [Selector] = [], isBanned: Bool = false, agentVersion: String = "", createdAt: UnixTime
    ) {
        self.id = id
        self.attestationType = attestationType
        self.currentSerial = currentSerial
        self.currentExpiresAt = currentExpiresAt
        self.pendingSerial = pendingSerial
        self.pendingExpiresAt = pendingExpiresAt
        self.canReattest = canReattest
        self.selectors = selectors
        self.isBanned = isBanned
        self.agentVersion = agentVersion
        self.createdAt = createdAt
    }
}
