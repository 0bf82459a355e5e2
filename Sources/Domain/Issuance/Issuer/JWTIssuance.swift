import AuditTrail
import Crypto
import JOSE
import Registry
package import SPIFFE

/// A JWT-SVID that was signed, read back, verified and recorded. Only the issuer makes values of this type.
package struct IssuedJWTSVID: Sendable {
    /// Whom it names.
    package let id: SPIFFEID
    /// The compact token: a secret of its bearer.
    package let token: String
    package let issuedAt: UnixTime
    package let expiresAt: UnixTime
    /// The `kid` of the key that signed it.
    package let authorityID: String
    /// Its `jti`, when it has one.
    package let jwtID: String?

    fileprivate init(_ content: JWTSVIDContent, token: String, authorityID: String) {
        id = content.id
        self.token = token
        issuedAt = content.issuedAt
        expiresAt = content.expiresAt
        self.authorityID = authorityID
        jwtID = content.jwtID
    }
}

/// What a JWT-SVID says.
struct JWTSVIDContent: Sendable {
    let id: SPIFFEID
    let audience: Audience
    let issuedAt: UnixTime
    let expiresAt: UnixTime
    let issuer: String?
    let jwtID: String?
    /// What configuration adds.
    let added: JSONObject

    /// All claims of the token, whatever their order.
    var claims: JSONObject {
        var claims: JSONObject = [
            "sub": .string(id.string), "aud": .array(audience.values.map { .string($0) }),
            "exp": .number(JSONNumber(expiresAt.seconds)), "iat": .number(JSONNumber(issuedAt.seconds)),
        ]
        claims["iss"] = issuer.map { .string($0) }
        claims["jti"] = jwtID.map { .string($0) }
        for (name, value) in added.members { claims[name] = value }
        return claims
    }
}

/// A JWT-SVID about to be signed: identity, audience and times have passed the checks of its kind.
struct JWTPreparation: CredentialPreparation {
    let subject: IssuanceSubject
    private let content: JWTSVIDContent
    private let authority: JWTSigningAuthority

    struct Signed: Sendable {
        let token: String
        fileprivate init(token: String) { self.token = token }
    }

    /// For the workload of a registration entry; a `jti` only where the entry asks for one, since it keeps node agents
    /// from handing one token to several callers.
    static func workload(
        _ entry: RegistrationEntry, audience: [String], _ terms: IssuanceTerms
    ) throws(IssuanceError) -> JWTPreparation {
        try terms.checkNotExpired(entry)
        return try JWTPreparation(
            id: entry.spiffeID, audience: audience, ttl: Int64(entry.jwtSVIDTTL), entryID: entry.id, hint: entry.hint,
            includesJWTID: entry.attributes.jwtSVIDIncludeJTI, terms)
    }

    /// For an administrator, who names the identity.
    static func minted(
        _ id: SPIFFEID, audience: [String], ttl: Int64, _ terms: IssuanceTerms
    ) throws(IssuanceError) -> JWTPreparation {
        try JWTPreparation(id: id, audience: audience, ttl: ttl, entryID: nil, hint: "", includesJWTID: false, terms)
    }

    private init(
        id: SPIFFEID, audience: [String], ttl: Int64, entryID: String?, hint: String, includesJWTID: Bool,
        _ terms: IssuanceTerms
    ) throws(IssuanceError) {
        try terms.checkWorkloadID(id)
        let checkedAudience: Audience
        do {
            checkedAudience = try Audience(audience)
        } catch {
            throw .audience(error)
        }
        let added = try terms.addedClaims(.jwt, id, hint: hint, entryID: entryID)
        // Together they have the room of the longest audience: the token stays below what verifiers read.
        guard
            added.isEmpty
                || checkedAudience.lengthInJSON + added.serializedBytes.count <= Audience.maximumTotalLength
        else { throw .claims(.tooLarge) }
        guard let authority = terms.jwt else { throw .noAuthority }
        content = JWTSVIDContent(
            id: id, audience: checkedAudience, issuedAt: UnixTime(seconds: terms.time.seconds),
            expiresAt: try terms.end(ttl: ttl, defaultTTL: terms.defaults.jwtTTL, authorityEnd: authority.notAfter),
            issuer: terms.defaults.jwtIssuer, jwtID: includesJWTID ? HexText.encode(terms.randomBytes(16)) : nil,
            added: added)
        subject = IssuanceSubject(kind: "jwt-svid", id: id, argsHash: checkedAudience.hash, entryID: entryID)
        self.authority = authority
    }

    func sign(consuming receipt: consuming AuditReceipt) throws(IssuanceError) -> Signed {
        guard let token = try? authority.sign(content, consuming: receipt) else { throw .signingFailed }
        return Signed(token: token)
    }

    func verify(
        _ signed: Signed, with authorities: AuthoritySnapshot, at time: UnixTime
    ) throws(IssuanceError) -> IssuedJWTSVID {
        let svid: VerifiedJWTSVID
        do {
            svid = try JWTSVID.verify(
                token: signed.token, anyAudience: content.audience.values,
                bundles: { _ in authorities.bundle.jwtAuthorities }, now: time)
        } catch {
            throw .selfCheckFailed(error.description)
        }
        guard svid.id == content.id, svid.claims == content.claims, svid.expiresAt == content.expiresAt,
            svid.keyID == authority.id, svid.expiresAt <= authority.notAfter
        else { throw .selfCheckFailed("it is not what was prepared") }
        return IssuedJWTSVID(content, token: signed.token, authorityID: authority.id)
    }

    func facts(about issued: IssuedJWTSVID) -> [String: String] {
        var facts = ["kid": authority.id, "expires": content.expiresAt.description]
        facts["jti"] = content.jwtID
        facts["claims"] = content.added.namesForTheLog
        return facts
    }
}

extension JSONObject {
    /// The names of added claims, never what they say; nil when there are none.
    var namesForTheLog: String? {
        isEmpty ? nil : members.map(\.name).sorted().joined(separator: " ")
    }
}

extension Audience {
    /// Hex SHA-256 over the values, each with its length in front so that no two lists are written alike.
    fileprivate var hash: String {
        var hash = SHA256()
        for value in values {
            let bytes = Array(value.utf8)
            withUnsafeBytes(of: UInt32(truncatingIfNeeded: bytes.count).bigEndian) { hash.update(bufferPointer: $0) }
            hash.update(data: bytes)
        }
        return HexText.encode(hash.finalize())
    }
}
