package import A2A
package import AuditTrail
package import Registry
import Revocation
package import SPIFFE

/// Issues every credential of the trust domain, each by the steps of flow 1.
///
/// Whoever calls has decided that the caller may have the credential (entry and caller belong together); the issuer
/// decides that the credential keeps its profile and that the log knows of it before it exists.
package struct Issuer: Sendable {
    package let authorities: Authorities
    let audit: AuditLog
    package let defaults: IssuanceDefaults
    let now: Clock
    let randomBytes: RandomBytes
    /// What is revoked; nil where nothing ever is.
    let revocations: RevocationRegister?

    package init(
        authorities: Authorities, audit: AuditLog, defaults: IssuanceDefaults = IssuanceDefaults(),
        revocations: RevocationRegister? = nil,
        now: @escaping Clock, randomBytes: @escaping RandomBytes
    ) {
        self.authorities = authorities
        self.audit = audit
        self.defaults = defaults
        self.now = now
        self.randomBytes = randomBytes
        self.revocations = revocations
    }

    /// A workload's X.509-SVID: identity, DNS names and lifetime from the entry, the key from the request.
    package func issueX509SVID(
        for caller: IssuanceCaller, entry: RegistrationEntry, csr: CertificateSigningRequest
    ) async throws(IssuanceError) -> IssuedX509SVID {
        try await issue(.x509SVIDIssue, for: caller, asking: .x509(entry.spiffeID, entry)) {
            terms throws(IssuanceError) in try X509Preparation.workload(entry, csr, terms)
        }
    }

    /// A node agent's X.509-SVID, for an ID below `/spire/agent`.
    package func issueNodeSVID(
        for caller: IssuanceCaller, id: SPIFFEID, csr: CertificateSigningRequest
    ) async throws(IssuanceError) -> IssuedX509SVID {
        try await issue(.x509SVIDIssue, for: caller, asking: .x509(id)) { terms throws(IssuanceError) in
            try X509Preparation.node(id, csr, terms)
        }
    }

    /// The control plane's own X.509-SVID, `/spire/server`; names and addresses are for clients that look at them.
    package func issueServerSVID(
        publicKey: SubjectPublicKey, dnsNames: [String] = [], ipAddresses: [IPAddress] = [], requestID: String
    ) async throws(IssuanceError) -> IssuedX509SVID {
        let id = authorities.serverID
        let caller = IssuanceCaller(agent: .internal(id.string), requestID: requestID)
        return try await issue(.x509SVIDIssue, for: caller, asking: .x509(id)) { terms throws(IssuanceError) in
            try X509Preparation.server(id, publicKey, dnsNames: dnsNames, ipAddresses: ipAddresses, terms)
        }
    }

    /// The certificate of the key that signs revocation snapshots, `/spire/revocation`.
    package func issueRevocationSigner(
        publicKey: SubjectPublicKey, requestID: String
    ) async throws(IssuanceError) -> IssuedX509SVID {
        guard
            let id = try? SPIFFEID(trustDomain: authorities.trustDomain, path: SignedRevocations.signerPath)
        else { throw .reservedID }
        let caller = IssuanceCaller(agent: .internal(authorities.serverID.string), requestID: requestID)
        return try await issue(.x509SVIDIssue, for: caller, asking: .x509(id)) { terms throws(IssuanceError) in
            try X509Preparation.server(id, publicKey, dnsNames: [], ipAddresses: [], terms)
        }
    }

    /// An X.509-SVID on an administrator's word: identity and DNS names from the request; seconds to live, 0 for the
    /// default.
    package func mintX509SVID(
        for caller: IssuanceCaller, csr: CertificateSigningRequest, ttl: Int64 = 0
    ) async throws(IssuanceError) -> IssuedX509SVID {
        try await issue(.x509SVIDMint, for: caller, asking: .x509(authorities.trustDomain.id)) {
            terms throws(IssuanceError) in try X509Preparation.minted(csr, ttl: ttl, terms)
        }
    }

    /// A workload's JWT-SVID for this audience, all of which goes into the one token.
    package func issueJWTSVID(
        for caller: IssuanceCaller, entry: RegistrationEntry, audience: [String]
    ) async throws(IssuanceError) -> IssuedJWTSVID {
        try await issue(.jwtSVIDIssue, for: caller, asking: .jwt(entry.spiffeID, entry)) {
            terms throws(IssuanceError) in try JWTPreparation.workload(entry, audience: audience, terms)
        }
    }

    /// A JWT-SVID on an administrator's word; seconds to live, 0 for the default.
    package func mintJWTSVID(
        for caller: IssuanceCaller, id: SPIFFEID, audience: [String], ttl: Int64 = 0
    ) async throws(IssuanceError) -> IssuedJWTSVID {
        try await issue(.jwtSVIDMint, for: caller, asking: .jwt(id)) { terms throws(IssuanceError) in
            try JWTPreparation.minted(id, audience: audience, ttl: ttl, terms)
        }
    }

    /// A workload's WIT-SVID for the holder of a public key (SubjectPublicKeyInfo in DER).
    package func issueWITSVID(
        for caller: IssuanceCaller, entry: RegistrationEntry, publicKey: [UInt8]
    ) async throws(IssuanceError) -> IssuedWITSVID {
        try await issue(.witSVIDIssue, for: caller, asking: .wit(entry.spiffeID, entry)) {
            terms throws(IssuanceError) in try WITPreparation.workload(entry, publicKey: publicKey, terms)
        }
    }

    /// A WIT-SVID on an administrator's word; seconds to live, 0 for the default.
    package func mintWITSVID(
        for caller: IssuanceCaller, id: SPIFFEID, publicKey: [UInt8], ttl: Int64 = 0
    ) async throws(IssuanceError) -> IssuedWITSVID {
        try await issue(.witSVIDMint, for: caller, asking: .wit(id)) { terms throws(IssuanceError) in
            try WITPreparation.minted(id, publicKey: publicKey, ttl: ttl, terms)
        }
    }

    /// A certificate authority for the downstream control plane of an entry.
    package func issueDownstreamCA(
        for caller: IssuanceCaller, entry: RegistrationEntry, csr: CertificateSigningRequest
    ) async throws(IssuanceError) -> IssuedDownstreamCA {
        try await issue(.downstreamCAIssue, for: caller, asking: .authority(entry)) { terms throws(IssuanceError) in
            try DownstreamPreparation(entry, csr, terms)
        }
    }

    /// An agent card of the agent with this ID, signed by the trust domain's card key.
    ///
    /// - Parameters:
    ///   - entry: the registration entry that gives the agent its identity; nil if there is none.
    ///   - isEnabled: whether the agent directory has nothing against the agent.
    ///   - keySetURL: where the keys of cards are published, as a hint for verifiers.
    package func signCard(
        for caller: IssuanceCaller, _ document: CardDocument, of id: SPIFFEID, entry: RegistrationEntry?,
        isEnabled: Bool, keySetURL: String?
    ) async throws(IssuanceError) -> SignedCard {
        let subject = IssuanceSubject(kind: "agent-card", id: id, entryID: entry?.id)
        return try await issue(.agentCardSign, for: caller, asking: subject) { terms throws(IssuanceError) in
            try CardPreparation(document, of: id, entry, isEnabled: isEnabled, keySetURL: keySetURL, terms)
        }
    }

    /// What holds for an issuance that begins now.
    func terms() -> IssuanceTerms {
        let snapshot = authorities.snapshot
        return IssuanceTerms(
            trustDomain: authorities.trustDomain, time: now(), x509: snapshot.x509, jwt: snapshot.jwt,
            wit: snapshot.wit, card: snapshot.card, defaults: defaults, randomBytes: randomBytes,
            revoked: revocations?.revoked)
    }
}

/// The time of day, handed in.
package typealias Clock = @Sendable () -> UnixTime

extension IssuanceSubject {
    fileprivate static func x509(_ id: SPIFFEID, _ entry: RegistrationEntry? = nil) -> IssuanceSubject {
        IssuanceSubject(kind: "x509-svid", id: id, entryID: entry?.id)
    }

    fileprivate static func jwt(_ id: SPIFFEID, _ entry: RegistrationEntry? = nil) -> IssuanceSubject {
        IssuanceSubject(kind: "jwt-svid", id: id, entryID: entry?.id)
    }

    fileprivate static func wit(_ id: SPIFFEID, _ entry: RegistrationEntry? = nil) -> IssuanceSubject {
        IssuanceSubject(kind: "wit-svid", id: id, entryID: entry?.id)
    }

    fileprivate static func authority(_ entry: RegistrationEntry) -> IssuanceSubject {
        IssuanceSubject(kind: "x509-authority", id: entry.spiffeID, entryID: entry.id)
    }
}
