package import OAuth
package import SPIFFE

/// An access token that a client holds, and with what it may be used.
package struct HeldAccessToken: Sendable {
    package let token: SecretText
    /// `Bearer` for one that is bound to the certificate, `DPoP` for one that is bound to the key of proofs.
    package let use: TokenResponse.Use
    /// What was granted, if the server said so.
    package let scope: Scope?
    /// As whom it was asked for; a token of use `Bearer` counts only on connections of this holder's certificate.
    package let holder: TokenHolder
    package let obtainedAt: UnixTime
    package let expiresAt: UnixTime

    package init(
        token: SecretText, use: TokenResponse.Use, scope: Scope?, holder: TokenHolder, obtainedAt: UnixTime,
        expiresAt: UnixTime
    ) {
        self.token = token
        self.use = use
        self.scope = scope
        self.holder = holder
        self.obtainedAt = obtainedAt
        self.expiresAt = expiresAt
    }

    /// From when on another one is asked for: when four fifths of the life are over and ten seconds before its end, of a very
    /// short life when half of it is over.
    package var renewAt: UnixTime {
        let life = expiresAt.milliseconds(since: obtainedAt)
        return obtainedAt.adding(milliseconds: max(life / 2, min(life / 5 * 4, life - 10_000)))
    }

    /// Whether a request as this holder may show it now. A clock that was set back says no: nobody knows how old it is.
    package func isGood(for holder: TokenHolder, at time: UnixTime) -> Bool {
        guard time < expiresAt, time.milliseconds(since: obtainedAt) >= -Self.clockTolerance else { return false }
        return use == .dpop ? holder.id == self.holder.id : holder == self.holder
    }

    /// By how many milliseconds a clock may go back without having been set back.
    private static let clockTolerance: Int64 = 5000
}
