import OAuth
import Testing

@testable import TokenService

@Suite("Token service: grants that were redeemed")
struct SpentGrantsTests {
    private func grant(_ issuer: String, _ id: String, until end: Int64 = 300) throws -> AuthorizationGrantClaims {
        AuthorizationGrantClaims(
            profile: .chaining, issuer: issuer, subject: "s", audience: "a", tokenID: id, issuedAt: 0, expiresAt: end,
            scope: try Scope("x"))
    }

    @Test("an issuer that fills its memory locks out nobody but itself, and that until its grants end")
    func full() throws {
        let spent = SpentGrants(capacity: 2)
        #expect(spent.spend(try grant("one", "1"), now: 1) == .fresh)
        #expect(spent.spend(try grant("one", "2"), now: 1) == .fresh)
        #expect(spent.spend(try grant("one", "3"), now: 1) == .full)
        #expect(spent.spend(try grant("one", "1"), now: 1) == .replayed)
        #expect(spent.spend(try grant("two", "1"), now: 1) == .fresh)
        #expect(spent.spend(try grant("one", "3", until: 600), now: 300) == .fresh)
        // A clock that was set back brings nothing back.
        #expect(spent.spend(try grant("one", "1"), now: 1) == .ended)
    }
}
