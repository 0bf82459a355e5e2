import A2A
import AuditTrail
import JOSE
import Registry
import SPIFFE
import Testing

@testable import Issuance

/// The trust domain's card key: one purpose, a life of its own, and a signature for each recorded intent.
struct CardIssuanceTests {
    private let admin = AuditEvent.AgentField(authMethod: .unixSocket)

    private func card(_ id: SPIFFEID, version: String = "1") throws -> CardDocument {
        let card = AgentCard(
            name: "Refunds", description: "", version: version,
            supportedInterfaces: [AgentInterface(url: "https://refunds.example", protocolBinding: .jsonRPC)], skills: []
        )
        return try CardDocument(card).with(identity: CardIdentity(spiffeID: id))
    }

    private func verify(_ document: CardDocument, _ authorities: Authorities) throws -> VerifiedCard {
        let keys = try authorities.cardKeys.map { try JWSVerificationKey(jwk: $0) }
        return try CardVerifier(trusting: [CardKeys(keys, of: authorities.trustDomain)]).verify(document)
    }

    @Test func `a card is signed over both of its forms, and is in the log twice`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let (issuer, entry) = (domain.issuer(authorities), try domain.entry())
            let card = try card(entry.spiffeID)
            let signed = try await issuer.signCard(
                for: domain.caller, card, of: entry.spiffeID, entry: entry, isEnabled: true,
                keySetURL: "https://as.example/keys")
            let authority = try #require(authorities.cardActive)
            #expect(signed.document.card.signatures.count == 2)
            #expect(signed.authorityID == authority.id)
            #expect(signed.expiresAt == domain.clock.now + 365 * 86_400)
            #expect(authority.signatureCount == 1)
            let verified = try verify(signed.document, authorities)
            #expect(verified.identity?.spiffeID == entry.spiffeID)
            #expect(verified.covers(card))
            let events = try await domain.events(of: .agentCardSign)
            #expect(events.map(\.phase) == [.intent, .outcome])
            #expect(events.allSatisfy { $0.resource.kind == "agent-card" && $0.resource.id == entry.spiffeID.string })
            #expect(events.allSatisfy { $0.decision.policyID == "entry:entry-1" })
            #expect(events.last?.effect?.result["kid"] == authority.id)
            #expect(events.last?.effect?.result["signatures"] == "2")
            // The log says which card it was.
            #expect(events.first?.resource.argsHash == HexText.encode(try SignableCard(card).digest))
        }
    }

    @Test func `only the whole card of an agent that exists and may work is signed`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let (issuer, entry) = (domain.issuer(authorities), try domain.entry())
            let id = entry.spiffeID
            let other = try SPIFFEID("spiffe://example.org/other")
            let foreign = try SPIFFEID("spiffe://other.example/agent")
            let reserved = try SPIFFEID("spiffe://example.org/spire/server")
            let ended = try domain.entry(expiresAt: domain.clock.now)
            var unbound = try card(id).object
            unbound["capabilities"] = [:]
            let nobodys = try CardDocument(unbound)
            let noVersion = FieldViolation("version", "must not be empty")
            let rows: [(CardDocument, SPIFFEID, RegistrationEntry?, Bool, IssuanceError)] = [
                (try card(id), id, nil, true, .noEntry),
                (try card(id), id, entry, false, .agentNotEnabled),
                (try card(id), id, ended, true, .entryExpired),
                (try card(other), id, entry, true, .otherAgentsCard),
                (try card(other), other, entry, true, .otherAgentsCard),
                (try card(foreign), foreign, entry, true, .otherTrustDomain(foreign.trustDomain)),
                (try card(reserved), reserved, entry, true, .reservedID),
                (try card(id, version: ""), id, entry, true, .card(.incomplete(noVersion))),
                (nobodys, id, entry, true, .card(.unbound)),
            ]
            for (card, id, entry, isEnabled, expected) in rows {
                await #expect(throws: expected) {
                    try await issuer.signCard(
                        for: domain.caller, card, of: id, entry: entry, isEnabled: isEnabled, keySetURL: nil)
                }
            }
            #expect(authorities.cardActive?.signatureCount == 0)
            let events = try await domain.events(of: .agentCardSign)
            #expect(events.count == rows.count)
            #expect(events.allSatisfy { $0.phase == .single && $0.decision.result == .deny })
        }
    }

    @Test func `without a durable intent nothing is signed`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let (issuer, entry) = (domain.issuer(authorities), try domain.entry())
            domain.auditStore.fail(write: 1, .failed)
            await #expect(throws: IssuanceError.self) {
                try await issuer.signCard(
                    for: domain.caller, card(entry.spiffeID), of: entry.spiffeID, entry: entry, isEnabled: true,
                    keySetURL: nil)
            }
            #expect(authorities.cardActive?.signatureCount == 0)
        }
    }

    @Test func `a card verifies for half of its key's life at least, and until the key is revoked`() async throws {
        try await TestDomain.run { domain in
            let options = Authorities.Options(cardLifetime: 800)
            let authorities = try await domain.open(options)
            let (issuer, entry) = (domain.issuer(authorities), try domain.entry())
            let start = domain.clock.now
            let first = try #require(authorities.cardActive).id
            func sign() async throws -> CardDocument {
                try await issuer.signCard(
                    for: domain.caller, card(entry.spiffeID), of: entry.spiffeID, entry: entry, isEnabled: true,
                    keySetURL: nil
                ).document
            }
            domain.clock.set(start + 299)
            try await authorities.tick(at: domain.clock.now)
            #expect(authorities.cardKeys.count == 1)
            domain.clock.set(start + 300)
            try await authorities.tick(at: domain.clock.now)
            #expect(authorities.cardKeys.count == 2)
            #expect(authorities.cardKeys.first?.kid == first)
            domain.clock.set(start + 399)
            try await authorities.tick(at: domain.clock.now)
            #expect(authorities.cardActive?.id == first)
            let last = try await sign()
            domain.clock.set(start + 400)
            try await authorities.tick(at: domain.clock.now)
            let second = try #require(authorities.cardActive).id
            #expect(second != first)
            #expect(authorities.cardKeys.map(\.kid) == [second, first])
            domain.clock.set(start + 798)
            try await authorities.tick(at: domain.clock.now)
            #expect(throws: Never.self) { try verify(last, authorities) }
            // Nothing of it is ever in the bundle.
            #expect(!authorities.bundle.jwtAuthorities.contains { [first, second].contains($0.keyID) })

            _ = try await authorities.taint(.card, id: first, by: admin, requestID: "r")
            #expect(throws: Never.self) { try verify(last, authorities) }
            _ = try await authorities.revoke(.card, id: first, by: admin, requestID: "r")
            #expect(throws: CardVerificationError.unknownKey) { try verify(last, authorities) }
        }
    }

    @Test func `a restart goes on with the same key`() async throws {
        try await TestDomain.run { domain in
            let first = try await domain.open().cardActive?.id
            #expect(try await domain.open().cardActive?.id == first)
            #expect(first != nil)
        }
    }
}
