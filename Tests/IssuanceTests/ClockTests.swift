import SPIFFE
import Testing

@testable import Issuance

/// What a wall clock that is set by an hour or more does to authorities and what they sign.
struct ClockTests {
    private func issue(_ issuer: Issuer, _ domain: TestDomain) async throws -> IssuedX509SVID {
        try await issuer.issueX509SVID(for: domain.caller, entry: domain.entry(), csr: domain.request())
    }

    @Test func `before an authority's beginning nothing is signed, and afterwards as if nothing had been`() async throws
    {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let issuer = domain.issuer(authorities)
            let before = try await issue(issuer, domain)
            domain.clock.advance(seconds: -3600)
            try await authorities.tick(at: domain.clock.now)
            await #expect {
                _ = try await issue(issuer, domain)
            } throws: { error in
                guard case IssuanceError.selfCheckFailed = error else { return false }
                return true
            }
            #expect(authorities.bundle.x509Authorities.count == 1)
            domain.clock.advance(seconds: 3600)
            try await authorities.tick(at: domain.clock.now)
            #expect(try await issue(issuer, domain).authorityID == before.authorityID)
        }
    }

    @Test func `an hour ahead and back, the same authority signs what is valid at each moment`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let issuer = domain.issuer(authorities)
            for shift: Int64 in [0, 3600, -3600] {
                domain.clock.advance(seconds: shift)
                try await authorities.tick(at: domain.clock.now)
                let issued = try await issue(issuer, domain)
                #expect(issued.leaf.notBefore == domain.clock.now - IssuanceDefaults.backdating)
                #expect(issued.leaf.isValid(at: domain.clock.now))
            }
            #expect(authorities.bundle.x509Authorities.count == 1)
        }
    }

    @Test(arguments: [7 * 3600, 23 * 3600, 25 * 3600, 100 * 3600] as [Int64])
    func `however far ahead the clock is set, one round later what is signed is valid`(shift: Int64) async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open(
                Authorities.Options(x509Lifetime: 24 * 3600, jwtLifetime: 24 * 3600))
            let issuer = domain.issuer(authorities)
            let old = try await issue(issuer, domain)
            domain.clock.advance(seconds: shift)
            try await authorities.tick(at: domain.clock.now)
            let issued = try await issue(issuer, domain)
            #expect(issued.leaf.isValid(at: domain.clock.now))
            // The last sixth of a day begins after 20 hours.
            #expect((issued.authorityID == old.authorityID) == (shift < 20 * 3600))
        }
    }
}
