import AuditTrail
import Crypto
import JOSE
import Registry
package import SPIFFE

/// A WIT-SVID that was signed, read back, verified and recorded. Only the issuer makes values of this type.
package struct IssuedWITSVID: Sendable {
    /// Whom it names.
    package let id: SPIFFEID
    /// The compact token: of use only to the holder of the key that it names.
    package let token: String
    package let issuedAt: UnixTime
    package let expiresAt: UnixTime
    /// The `kid` of the key that signed it.
    package let authorityID: String

    fileprivate init(_ content: WITSVIDContent, token: String, authorityID: String) {
        id = content.id
        self.token = token
        issuedAt = content.issuedAt
        expiresAt = content.expiresAt
        self.authorityID = authorityID
    }
}

/// What a WIT-SVID says.
struct WITSVIDContent: Sendable {
    let id: SPIFFEID
    let confirmationKey: JWSVerificationKey
    let issuedAt: UnixTime
    let expiresAt: UnixTime
    let tokenID: String
    /// What configuration adds.
    let added: JSONObject
}

/// A WIT-SVID about to be signed: identity, key and times have passed the checks of its kind.
struct WITPreparation: CredentialPreparation {
    let subject: IssuanceSubject
    private let content: WITSVIDContent
    private let authority: WITSigningAuthority

    struct Signed: Sendable {
        let token: String
        fileprivate init(token: String) { self.token = token }
    }

    /// For the workload of a registration entry. Entries have no lifetime of their own for these tokens.
    static func workload(
        _ entry: RegistrationEntry, publicKey: [UInt8], _ terms: IssuanceTerms
    ) throws(IssuanceError) -> WITPreparation {
        try terms.checkNotExpired(entry)
        return try WITPreparation(
            id: entry.spiffeID, publicKey: publicKey, ttl: 0, entryID: entry.id, hint: entry.hint, terms)
    }

    /// For an administrator, who names the identity.
    static func minted(
        _ id: SPIFFEID, publicKey: [UInt8], ttl: Int64, _ terms: IssuanceTerms
    ) throws(IssuanceError) -> WITPreparation {
        try WITPreparation(id: id, publicKey: publicKey, ttl: ttl, entryID: nil, hint: "", terms)
    }

    private init(
        id: SPIFFEID, publicKey: [UInt8], ttl: Int64, entryID: String?, hint: String, _ terms: IssuanceTerms
    ) throws(IssuanceError) {
        try terms.checkWorkloadID(id)
        let confirmationKey: JWSVerificationKey
        do {
            confirmationKey = try JWSVerificationKey(derSPKI: publicKey, keyID: nil)
        } catch {
            throw .publicKey
        }
        guard WITSVID.allows(confirmationKey.algorithm) else { throw .publicKey }
        let added = try terms.addedClaims(.wit, id, hint: hint, entryID: entryID)
        guard terms.revoked?.revokes(confirmationKey) != true else { throw .revoked }
        guard let authority = terms.wit else { throw .noAuthority }
        content = WITSVIDContent(
            id: id, confirmationKey: confirmationKey, issuedAt: UnixTime(seconds: terms.time.seconds),
            expiresAt: try terms.end(ttl: ttl, defaultTTL: terms.defaults.witTTL, authorityEnd: authority.notAfter),
            tokenID: HexText.encode(terms.randomBytes(16)), added: added)
        subject = IssuanceSubject(
            kind: "wit-svid", id: id, argsHash: HexText.encode(SHA256.hash(data: confirmationKey.derSPKI)),
            entryID: entryID)
        self.authority = authority
    }

    func sign(consuming receipt: consuming AuditReceipt) throws(IssuanceError) -> Signed {
        guard let token = try? authority.sign(content, consuming: receipt) else { throw .signingFailed }
        return Signed(token: token)
    }

    func verify(
        _ signed: Signed, with authorities: AuthoritySnapshot, at time: UnixTime
    ) throws(IssuanceError) -> IssuedWITSVID {
        let svid: VerifiedWITSVID
        do {
            svid = try WITSVID.verify(
                token: signed.token, bundles: { _ in authorities.bundle.witAuthorities }, now: time)
        } catch {
            throw .selfCheckFailed(error.description)
        }
        guard svid.id == content.id, svid.expiresAt == content.expiresAt, svid.keyID == authority.id,
            svid.confirmationKey.derSPKI == content.confirmationKey.derSPKI, svid.expiresAt <= authority.notAfter,
            content.isAll(of: svid.claims)
        else { throw .selfCheckFailed("it is not what was prepared") }
        return IssuedWITSVID(content, token: signed.token, authorityID: authority.id)
    }

    func facts(about issued: IssuedWITSVID) -> [String: String] {
        var facts = ["kid": authority.id, "expires": content.expiresAt.description, "jti": content.tokenID]
        facts["claims"] = content.added.namesForTheLog
        return facts
    }
}

extension WITSVIDContent {
    /// Whether a token says this and nothing else; `cnf` is compared as a key.
    fileprivate func isAll(of claims: JSONObject) -> Bool {
        var rest = claims
        rest["cnf"] = nil
        var expected: JSONObject = [
            "sub": .string(id.string), "exp": .number(JSONNumber(expiresAt.seconds)),
            "iat": .number(JSONNumber(issuedAt.seconds)), "jti": .string(tokenID),
        ]
        for (name, value) in added.members { expected[name] = value }
        return rest == expected
    }
}
