import AuditTrail
import SPIFFE
import Testing

@testable import Issuance

struct AdministrationTests {
    private let admin = AuditEvent.AgentField(authMethod: .unixSocket)

    @Test(arguments: AuthorityRecord.Kind.allCases)
    func `prepare, activate, taint, revoke: each once and in this order`(_ kind: AuthorityRecord.Kind) async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let first = try #require(authorities.latest(kind, .active)).id
            func refusal(
                _ act: (AuthorityRecord.Kind, String, AuditEvent.AgentField, String) async throws(AuthoritiesError) ->
                    AuthorityRecord, _ id: String
            ) async -> AuthorityRefusal? {
                do throws(AuthoritiesError) {
                    _ = try await act(kind, id, admin, "r")
                    return nil
                } catch {
                    guard case .refused(let refusal) = error else { return nil }
                    return refusal
                }
            }
            #expect(await refusal(authorities.activate, first) == .notPrepared)
            #expect(await refusal(authorities.taint, first) == .isActive)
            #expect(await refusal(authorities.revoke, first) == .isActive)
            #expect(await refusal(authorities.taint, "") == .noID)
            #expect(await refusal(authorities.revoke, "nobody") == .unknown)

            let second = try await authorities.prepare(kind, by: admin, requestID: "r").id
            #expect(await refusal(authorities.taint, second) == .isPrepared)
            #expect(await refusal(authorities.revoke, second) == .isPrepared)
            _ = try await authorities.activate(kind, id: second, by: admin, requestID: "r")
            #expect(authorities.latest(kind, .active)?.id == second)
            #expect(authorities.latest(kind, .old)?.id == first)
            #expect(await refusal(authorities.revoke, first) == .notTainted)

            let revision = authorities.bundleRevision
            _ = try await authorities.taint(kind, id: first, by: admin, requestID: "r")
            #expect(authorities.bundleRevision == revision + (kind.isInBundle ? 1 : 0))
            #expect(Self.tainted(authorities.bundle, kind) == (kind.isInBundle ? 1 : 0))
            #expect(await refusal(authorities.taint, first) == .isTainted)
            let again = try await domain.open()
            #expect(again.bundle == authorities.bundle)

            _ = try await authorities.revoke(kind, id: first, by: admin, requestID: "r")
            #expect(!authorities.records.contains { $0.kind == kind && $0.id == first })
            #expect(Self.tainted(authorities.bundle, kind) == 0)
            #expect(await refusal(authorities.revoke, first) == .unknown)

            for type in [EventType.authorityTaint, .authorityRevoke] {
                let events = try await domain.events(of: type).filter { $0.agent == admin }
                #expect(events.filter { $0.phase == .intent }.count == 1)
                #expect(events.filter { $0.phase == .outcome }.count == 1)
                #expect(events.filter { $0.phase == .single }.allSatisfy { $0.decision.result == .deny })
            }
        }
    }

    @Test func `a taint that the store does not take changes nothing`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let first = try #require(authorities.x509Active).id
            let second = try await authorities.prepare(.x509, by: admin, requestID: "r").id
            _ = try await authorities.activate(.x509, id: second, by: admin, requestID: "r")
            let bundle = authorities.bundle
            domain.records.fail(write: 1, .failed)
            await #expect(throws: AuthoritiesError.self) {
                try await authorities.taint(.x509, id: first, by: admin, requestID: "r")
            }
            #expect(authorities.bundle == bundle)
            _ = try await authorities.taint(.x509, id: first, by: admin, requestID: "r")
            #expect(Self.tainted(authorities.bundle, .x509) == 1)
        }
    }

    private static func tainted(_ bundle: TrustBundle, _ kind: AuthorityRecord.Kind) -> Int {
        switch kind {
        case .x509: bundle.x509Authorities.count(where: \.isTainted)
        case .jwt: bundle.jwtAuthorities.count(where: \.isTainted)
        case .wit: bundle.witAuthorities.count(where: \.isTainted)
        case .oauth, .entra, .card: 0
        }
    }
}
