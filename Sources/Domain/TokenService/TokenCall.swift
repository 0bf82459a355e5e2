package import OAuth
package import SPIFFE

/// One request to the token service as the transport saw it. Nothing in it is believed yet.
package struct TokenCall: Sendable {
    package let form: FormParameters
    /// The value of the header field `Authorization`, if there is one.
    package let authorization: String?
    /// The values of all header fields `DPoP`.
    package let proofs: [String]
    /// The verified X.509-SVID of the connection, if it showed one.
    package let peer: VerifiedX509SVID?
    /// A certificate of the connection that is no SVID; nobody has verified it.
    package let presented: PresentedCertificate?
    /// The URL of the request as its client knows it, without query.
    package let url: WebURL
    /// Which of our endpoints it is.
    package let profile: TokenProfile
    /// Address of the peer, by which refusals are counted.
    package let address: String
    /// Ties the records of this request together.
    package let requestID: String

    package init(
        form: FormParameters, authorization: String?, proofs: [String], peer: VerifiedX509SVID?,
        presented: PresentedCertificate? = nil, url: WebURL, profile: TokenProfile, address: String, requestID: String
    ) {
        self.form = form
        self.authorization = authorization
        self.proofs = proofs
        self.peer = peer
        self.presented = presented
        self.url = url
        self.profile = profile
        self.address = address
        self.requestID = requestID
    }
}

/// A family of endpoints and tokens.
package enum TokenProfile: String, Sendable, Hashable, CaseIterable {
    /// Our own: RFC 9068 tokens, ES256, issuer `…/oauth2`.
    case standard
    /// As Microsoft Entra: RS256, issuer `…/{tenant}/v2.0`.
    case entra
}

/// What the token service and its endpoints are called. All names grow from one base URL.
package struct TokenServiceNames: Sendable, Hashable {
    /// `https://host[:port]`, without a slash at its end.
    package let base: String
    /// The tenant of the Entra profile: the trust domain's name.
    package let tenant: String

    package init(base: String, tenant: String) {
        self.base = base
        self.tenant = tenant
    }

    package func issuer(_ profile: TokenProfile) -> String {
        switch profile {
        case .standard: base + "/oauth2"
        case .entra: "\(base)/\(tenant)/v2.0"
        }
    }

    package func tokenEndpoint(_ profile: TokenProfile) -> String {
        switch profile {
        case .standard: base + "/oauth2/token"
        case .entra: "\(base)/\(tenant)/oauth2/v2.0/token"
        }
    }

    package func keys(_ profile: TokenProfile) -> String {
        switch profile {
        case .standard: base + "/oauth2/jwks"
        case .entra: "\(base)/\(tenant)/discovery/v2.0/keys"
        }
    }

    package var introspectionEndpoint: String { base + "/oauth2/introspect" }
    package var revocationEndpoint: String { base + "/oauth2/revoke" }
    package var consumptionEndpoint: String { base + "/oauth2/consume" }
    package var backchannelEndpoint: String { base + "/oauth2/bc-authorize" }
    package var transactionEndpoint: String { base + "/oauth2/txn-authorization" }
    package var globalRevocationEndpoint: String { base + "/oauth2/global-token-revocation" }
    /// The keys that verify agent cards.
    package var cardKeys: String { base + "/.well-known/agent-card-keys.json" }

    /// What an assertion of a client may name as its audience: the issuer, as RFC 7523bis wants, or the endpoint that the
    /// client calls, as older clients write it.
    func assertionAudiences(_ profile: TokenProfile) -> [String] {
        [
            issuer(profile), tokenEndpoint(profile), introspectionEndpoint, revocationEndpoint,
            consumptionEndpoint, backchannelEndpoint, transactionEndpoint,
        ]
    }
}
