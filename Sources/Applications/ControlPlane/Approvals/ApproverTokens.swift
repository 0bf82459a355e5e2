import AgentDirectory
import Approvals
package import Authentication
import JOSE
import OAuth
import SPIFFE

/// An identity provider whose ID tokens say who a person is.
package struct ApproverIssuer: Sendable {
    package let issuer: TrustedIssuer
    /// The client ID that its ID tokens are for.
    package let audience: String
    package let claim: Claim
    /// The domain of the addresses that it may speak for; nil for any, if it is the only provider of addresses.
    package let domain: String?

    /// What names the person.
    package enum Claim: String, Sendable, Hashable, CaseIterable {
        /// The address, if the provider says that it verified it.
        case email
        /// `ISSUER#SUBJECT`: two providers' subjects are never one person.
        case subject = "sub"
    }

    package init(issuer: TrustedIssuer, audience: String, claim: Claim, domain: String? = nil) {
        self.issuer = issuer
        self.audience = audience
        self.claim = claim
        self.domain = domain
    }
}

extension ApproverIssuer {
    /// Whether a text is an address, and one that the provider may name: neither an administrator's SPIFFE ID nor another
    /// provider's subject looks like one.
    fileprivate func speaks(for email: String) -> Bool {
        let parts = email.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }),
            email.utf8.allSatisfy({ (0x21...0x7e).contains($0) }), !email.contains(where: { ":/#".contains($0) })
        else { return false }
        return domain.map { $0.lowercased() == parts[1].lowercased() } ?? true
    }
}

/// Finds out from an ID token (OpenID Connect Core 1.0 §3.1.3.7) who answers.
struct ApproverTokens: Sendable {
    let issuers: [ApproverIssuer]
    let keys: IssuerKeyring
    let now: @Sendable () -> UnixTime

    /// Longest time since the person signed in with the provider, in seconds.
    private static let longestAge: Int64 = 3600

    /// The person; nil for a token that proves nobody. An error says that the provider cannot be asked now.
    func person(_ text: SecretText) async throws(IssuerKeyError) -> Person? {
        // An assertion's rules are an ID token's too: one issuer, one audience, an end, no key of its own.
        guard let unverified = try? UnverifiedClientAssertion(parsing: text),
            let known = issuers.first(where: { $0.issuer.issuer.hasSameBytes(as: unverified.unverifiedIssuer) })
        else { return nil }
        let keys = try await keys.keys(
            of: known.issuer, keyID: unverified.keyID, algorithm: unverified.algorithm)
        let policy = known.issuer.assertionPolicy(audiences: [known.audience], maximumLifetime: nil)
        let time = now().seconds
        for key in keys {
            guard let token = try? unverified.verify(with: key, policy: policy, clientID: nil, now: time) else {
                continue
            }
            guard let issuedAt = token.claims["iat"]?.int64Value, time - issuedAt <= Self.longestAge else { return nil }
            // Whoever says when the person signed in says that the token may be newer than that.
            if let signedIn = token.claims["auth_time"] {
                guard let signedIn = signedIn.int64Value, time - signedIn <= Self.longestAge else { return nil }
            }
            return name(token, known)
        }
        return nil
    }

    private func name(_ token: VerifiedClientAssertion, _ known: ApproverIssuer) -> Person? {
        switch known.claim {
        case .email:
            guard token.claims["email_verified"] == .bool(true), let email = token.claims["email"]?.stringValue else {
                return nil
            }
            return known.speaks(for: email) ? try? Person(email) : nil
        case .subject: return try? Person(token.issuer + "#" + token.subject)
        }
    }
}
