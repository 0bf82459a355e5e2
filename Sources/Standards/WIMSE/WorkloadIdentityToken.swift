package import JOSE

/// Workload identity tokens of WIMSE (draft-ietf-wimse-workload-creds-02 §3): a signed name together with the public key
/// by which its bearer proves itself. Without such a proof the token says nothing about who sent it.
package enum WorkloadIdentityToken {
    /// The media type in the header, `typ`.
    package static let type = "wit+jwt"

    /// Longest token that is read, in bytes.
    package static let maximumLength = 16 * 1024

    /// Signs a token for a subject and the key that it holds.
    ///
    /// `confirmationKey` is written with its `alg`, which the proof has to use, and without `kid` and other members.
    /// Times are cut to whole seconds since 1970.
    package static func sign(
        subject: String, confirmationKey: JWSVerificationKey, issuedAt: Int64, expiresAt: Int64, key: JWSSigningKey,
        issuer: String? = nil, tokenID: String? = nil, extraClaims: JSONObject = JSONObject()
    ) throws(WITError) -> String {
        guard issuedAt < expiresAt, JWTClaims.allowedDates.contains(issuedAt),
            JWTClaims.allowedDates.contains(expiresAt)
        else { throw .badTimes }
        for (name, _) in extraClaims.members where reservedClaims.contains(where: { $0.hasSameBytes(as: name) }) {
            throw .reservedClaim(name)
        }
        let confirmation: JWK
        do {
            confirmation = try JWK(key: confirmationKey.jwk.key, algorithm: confirmationKey.algorithm)
        } catch {
            throw .confirmationKey(error)
        }
        var claims: [(String, JSONValue)] = [
            ("sub", .string(subject)),
            ("exp", .number(JSONNumber(expiresAt))),
            ("iat", .number(JSONNumber(issuedAt))),
            ("cnf", .object(JSONObject([("jwk", .object(confirmation.json()))]))),
        ]
        if let issuer { claims.append(("iss", .string(issuer))) }
        if let tokenID { claims.append(("jti", .string(tokenID))) }
        claims += extraClaims.members.map { ($0.name, $0.value) }
        let token: String
        do {
            token = try CompactJWS.sign(
                type: type, payload: JSONObject(claims).serializedBytes, key: key)
        } catch {
            throw .token(error)
        }
        guard token.utf8.count <= maximumLength else { throw .token(.tooLarge(limit: maximumLength)) }
        return token
    }

    /// Claims that only the issuer's own rules set; `aud` has no place in these tokens.
    private static let reservedClaims = ["sub", "aud", "exp", "iat", "nbf", "iss", "jti", "cnf"]
}

/// A workload identity token taken apart and found well-formed. Nothing in it is proven.
package struct UnverifiedWIT: Sendable {
    /// Whom the token claims to be about: an absolute URI, which the profile checks.
    package let unverifiedSubject: String
    /// The key whose holder it names, with the one algorithm of proofs.
    package let confirmationKey: JWSVerificationKey
    /// Seconds since 1970.
    package let expiresAt: Int64
    package let claims: JWTClaims
    package let jws: CompactJWS

    /// The token's header.
    package var header: JOSEHeader { jws.header }

    /// Takes a token apart: `typ`, an asymmetric algorithm, `sub`, `exp` and `cnf` with a public key and its `alg`.
    package init(parsing token: String) throws(WITError) {
        do {
            jws = try CompactJWS(
                parsing: token,
                limits: JWSLimits(maximumBytes: WorkloadIdentityToken.maximumLength, maximumHeaderDepth: 4))
        } catch {
            throw .token(error)
        }
        // Exact: a media type is not case-sensitive in general, but every issuer writes this one so.
        guard let type = jws.header.type, type.utf8.elementsEqual(WorkloadIdentityToken.type.utf8) else {
            throw .badType
        }
        do {
            claims = try JWTClaims(
                parsing: jws.payload,
                limits: JSONLimits(maximumBytes: WorkloadIdentityToken.maximumLength, maximumDepth: 32))
        } catch {
            throw .claims(error)
        }
        guard let subject = claims.subject, !subject.isEmpty else { throw .missingSubject }
        guard let expiration = claims.expiration else { throw .missingExpiration }
        unverifiedSubject = subject
        expiresAt = expiration
        confirmationKey = try Self.confirmationKey(claims.json)
    }

    /// Checks signature and times, in this order, with a key that the caller trusts for the subject's trust domain.
    ///
    /// `leeway`, in seconds, widens `nbf` and `iat`; `exp` gets none.
    package func verify(with key: JWSVerificationKey, now: Int64, leeway: Int64) throws(WITError) {
        do {
            try jws.verify(with: key)
        } catch {
            throw .token(error)
        }
        guard now < expiresAt else { throw .expired(at: expiresAt) }
        do {
            try claims.checkTime(now: now, leeway: leeway)
        } catch {
            throw .claims(error)
        }
    }

    private static func confirmationKey(_ claims: JSONObject) throws(WITError) -> JWSVerificationKey {
        guard let json = claims["cnf"]?.objectValue?["jwk"]?.objectValue else { throw .missingConfirmation }
        // A private key in a token that travels would be everybody's.
        guard !JWK.hasPrivateMembers(json) else { throw .privateConfirmationKey }
        do {
            let jwk = try JWK(json: json)
            guard jwk.algorithm != nil else { throw WITError.missingConfirmationAlgorithm }
            return try JWSVerificationKey(jwk: jwk)
        } catch let error as JWKError {
            throw .confirmationKey(error)
        } catch let error as WITError {
            throw error
        } catch {
            throw .missingConfirmation
        }
    }
}

/// Why a workload identity token was refused or cannot be made.
package enum WITError: Error, Equatable, Sendable, CustomStringConvertible {
    case token(JWSError)
    /// `typ` is not `wit+jwt`.
    case badType
    case claims(JWTError)
    case missingSubject
    case missingExpiration
    /// No `cnf` with a `jwk`.
    case missingConfirmation
    /// The key in `cnf` does not say its algorithm.
    case missingConfirmationAlgorithm
    /// The key in `cnf` is a private one.
    case privateConfirmationKey
    case confirmationKey(JWKError)
    /// Seconds since 1970.
    case expired(at: Int64)
    /// A token cannot be made with this end and start.
    case badTimes
    /// An extra claim that the issuer sets itself.
    case reservedClaim(String)

    package var description: String {
        switch self {
        case .token(let error): error.description
        case .badType: "token type is not `wit+jwt`"
        case .claims(let error): error.description
        case .missingSubject: "token has no subject"
        case .missingExpiration: "token has no expiration"
        case .missingConfirmation: "token names no key of its holder"
        case .missingConfirmationAlgorithm: "the key of the token's holder has no algorithm"
        case .privateConfirmationKey: "the token holds a private key"
        case .confirmationKey(let error): error.description
        case .expired(let time): "token expired at \(time)"
        case .badTimes: "token cannot end before it starts"
        case .reservedClaim(let name): "claim `\(name)` is set by the issuer alone"
        }
    }
}
