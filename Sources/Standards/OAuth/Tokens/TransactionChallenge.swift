package import JOSE

/// A resource's demand that a person approve one transaction (draft-rosomakho-oauth-txn-challenge-00): a JWT that the agent
/// carries from the resource to the authorization server and cannot change.
///
/// Taken apart; nothing in it is proven. Issuer, key ID and certificates tell where to look for the key.
package struct UnverifiedTransactionChallenge: Sendable {
    /// The resource, by its identifier.
    package let unverifiedIssuer: String
    /// The certificates of the header (`x5c`, RFC 7515 §4.1.6) in DER, leaf first: an X.509-SVID of whoever signed.
    package let certificates: [[UInt8]]?
    package var keyID: String? { token.keyID }
    package var algorithm: JWSAlgorithm { token.algorithm }
    private let token: TypedToken

    /// The media type in the header.
    package static let type = "txn-authz-challenge+jwt"
    /// Longest challenge that is read, in bytes.
    package static let maximumLength = 32 * 1024
    /// Longest life, in seconds.
    package static let maximumLifetime: Int64 = 600
    private static let maximumCertificates = 4
    private static let maximumReasonLength = 300
    private static let maximumIdentifierLength = 200

    package init(parsing text: SecretText) throws(TypedTokenError) {
        token = try TypedToken(
            parsing: text.text, types: [Self.type], maximumLength: Self.maximumLength, showsCertificates: true)
        unverifiedIssuer = try token.text("iss")
        certificates = try token.header["x5c"].map { value throws(TypedTokenError) in try Self.certificates(value) }
    }

    private static func certificates(_ value: JSONValue) throws(TypedTokenError) -> [[UInt8]] {
        guard let texts = value.stringArrayValue, (1...maximumCertificates).contains(texts.count) else {
            throw .headerMember("x5c")
        }
        var certificates: [[UInt8]] = []
        for text in texts {
            guard let bytes = try? Base64.decode(text) else { throw .headerMember("x5c") }
            certificates.append(bytes)
        }
        return certificates
    }

    /// Checks signature, audience, times and content, with a key that the caller trusts for the issuer.
    ///
    /// - Parameter audience: the issuer identifier of this authorization server, the only audience.
    package func verify(
        with key: JWSVerificationKey, audience: String, clockSkew: Int64 = 60, now: Int64
    ) throws(TypedTokenError) -> TransactionChallenge {
        try token.verify(with: key)
        guard try token.onlyAudience().hasSameBytes(as: audience) else { throw .wrongAudience }
        let times = try token.checkTimes(
            maximumLifetime: Self.maximumLifetime, clockSkew: clockSkew, now: now)
        let reason = try token.optionalText("reason", limit: Self.maximumReasonLength) ?? ""
        guard reason.unicodeScalars.allSatisfy(\.isShownAsItIs) else { throw .badClaim("reason") }
        return TransactionChallenge(
            issuer: unverifiedIssuer, tokenID: try identifier("jti"), transactionID: try identifier("txn"),
            expiresAt: times.expiresAt, details: try details(),
            scope: token.claims.json["scope"] == nil ? .empty : try token.scope(), reason: reason,
            subject: try token.optionalText("sub"), actors: try token.actors(limit: ActorChain.deepestLimit))
    }

    /// A name that is shown, compared and stored: visible characters of ASCII.
    private func identifier(_ name: String) throws(TypedTokenError) -> String {
        let text = try token.text(name, limit: Self.maximumIdentifierLength)
        guard text.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else { throw .badClaim(name) }
        return text
    }

    private func details() throws(TypedTokenError) -> AuthorizationDetails {
        guard let claim = token.claims.json["authorization_details"] else {
            throw .missingClaim("authorization_details")
        }
        do {
            return try AuthorizationDetails(json: claim)
        } catch {
            throw .details(error)
        }
    }
}

/// A challenge that a key of the resource signed for this authorization server and that has not expired. It counts once.
/// Only `UnverifiedTransactionChallenge.verify` makes values of this type.
package struct TransactionChallenge: Sendable, Equatable {
    package let issuer: String
    package let tokenID: String
    /// Names the transaction at the resource.
    package let transactionID: String
    /// Seconds since 1970.
    package let expiresAt: Int64
    /// What is to be approved; never empty.
    package let details: AuthorizationDetails
    /// Scopes that go with it; mostly none.
    package let scope: Scope
    /// Why a person is asked, in the resource's words; empty for no reason.
    package let reason: String
    /// On whose behalf the resource was called, if it says so.
    package let subject: String?
    package let actors: ActorChain?

    fileprivate init(
        issuer: String, tokenID: String, transactionID: String, expiresAt: Int64, details: AuthorizationDetails,
        scope: Scope, reason: String, subject: String?, actors: ActorChain?
    ) {
        self.issuer = issuer
        self.tokenID = tokenID
        self.transactionID = transactionID
        self.expiresAt = expiresAt
        self.details = details
        self.scope = scope
        self.reason = reason
        self.subject = subject
        self.actors = actors
    }
}
