package import JOSE
package import SPIFFE

/// Everything that is revoked in one trust domain, and the questions that verifiers ask of it. The control plane and all
/// who hold a snapshot ask the same ones.
///
/// Credentials of other trust domains are not its business: their own control plane revokes them.
package struct RevokedSubjects: Hashable, Sendable {
    package let trustDomain: TrustDomain
    package let all: Set<RevokedSubject>
    /// Whether any key is among them: without, nobody has to work out thumbprints.
    private let hasKeys: Bool

    package init(_ all: Set<RevokedSubject>, in trustDomain: TrustDomain) {
        self.trustDomain = trustDomain
        self.all = all
        hasKeys = all.contains { $0.kind == .key }
    }

    /// Whether everything with this ID is revoked.
    package func revokes(_ id: SPIFFEID) -> Bool { all.contains(.agent(id)) }

    /// Whether credentials for this key are revoked.
    package func revokes(_ key: SubjectPublicKey) -> Bool { revocation(ofKey: { key.thumbprint }) != nil }

    /// The same of a key as tokens name it.
    package func revokes(_ key: JWSVerificationKey) -> Bool {
        revocation(ofKey: { key.jwk.thumbprintBase64URL }) != nil
    }

    /// Why a certificate is revoked: its agent, its serial number or its key; nil when it is not.
    package func revocation(of id: SPIFFEID, serial: SerialNumber, key: SubjectPublicKey) -> RevokedSubject? {
        guard id.trustDomain == trustDomain else { return nil }
        if all.contains(.agent(id)) { return .agent(id) }
        if all.contains(.serial(serial)) { return .serial(serial) }
        return revocation(ofKey: { key.thumbprint })
    }

    /// Why a verified certificate is revoked; nil when it is not.
    package func revocation(of svid: VerifiedX509SVID) -> RevokedSubject? {
        revocation(of: svid.id, serial: svid.leaf.serialNumber, key: svid.leaf.publicKey)
    }

    /// Why a verified token is revoked: its agent, its `jti`, or the key that signed it, by whatever `kid`; nil when it is
    /// not.
    package func revocation(of token: VerifiedJWTSVID) -> RevokedSubject? {
        revocation(of: token.id, jwtID: token.claims["jti"]?.stringValue, keys: [token.signingKey])
    }

    /// Why a verified token is revoked: its agent, its `jti`, the key of its holder or the one that signed it; nil when it
    /// is not.
    package func revocation(of token: VerifiedWITSVID) -> RevokedSubject? {
        revocation(
            of: token.id, jwtID: token.claims["jti"]?.stringValue, keys: [token.confirmationKey, token.signingKey])
    }

    private func revocation(of id: SPIFFEID, jwtID: String?, keys: [JWSVerificationKey]) -> RevokedSubject? {
        guard id.trustDomain == trustDomain else { return nil }
        if all.contains(.agent(id)) { return .agent(id) }
        if let jwtID, all.contains(.jwtID(jwtID)) { return .jwtID(jwtID) }
        for key in keys {
            if let revoked = revocation(ofKey: { key.jwk.thumbprintBase64URL }) { return revoked }
        }
        return nil
    }

    private func revocation(ofKey thumbprint: () -> String?) -> RevokedSubject? {
        guard hasKeys, let thumbprint = thumbprint(), all.contains(.key(thumbprint)) else { return nil }
        return .key(thumbprint)
    }
}
