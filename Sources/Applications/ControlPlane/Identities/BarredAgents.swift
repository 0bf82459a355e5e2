import AgentDirectory
import AgentRegistry
import AuditTrail
import Issuance
import Logging
import Registry
import Revocation
import SPIFFE

/// The kill switch of the agent directory: what follows when an agent is disabled or retired there.
///
/// The token service sees it at once, since it decides by the directory. Here the rest of the trust domain learns of it: the
/// SPIFFE ID is revoked, which ends SVIDs, streams and connections and is pushed to every verifier; a retired agent's
/// registration entries go as well, and its revocation ends with the last credential that it can have. An agent that is enabled again gets back what was taken for this reason alone.
///
/// It rests on states, not on events: whatever was missed, over a restart too, is made good at the next look.
struct BarredAgents: Sendable {
    let directory: AgentDirectory
    let registry: Registry
    let authorities: Authorities
    let revocations: RevocationRegister
    let logger: Logger
    let randomBytes: @Sendable (Int) -> [UInt8]

    /// Why these agents are revoked; a revocation for another reason is somebody else's to take back.
    static func reason(of state: AgentIdentity.State) -> String { "identity \(state.rawValue)" }

    /// Which identities must not be offered to anybody now: those that are revoked, and those whose agent is disabled or
    /// retired. Of the directory this is known at once, before the revocation is.
    static func barred(directory: AgentDirectory, revocations: RevocationRegister) -> Barred {
        let (snapshot, revoked) = (directory.snapshot, revocations.revoked.all)
        return { id in
            if revoked.contains(.agent(id)) { return true }
            if let agent = snapshot.agent(withSPIFFEID: id) { return agent.state != .enabled }
            return snapshot.hasRetired(id)
        }
    }

    /// Follows the directory until the task is cancelled. A failure is tried again after a second.
    func run(sleep: @Sendable (Duration) async throws -> Void) async {
        var settled = DirectorySnapshot()
        var isFirst = true
        for await _ in directory.changes() {
            while !Task.isCancelled {
                let snapshot = directory.snapshot
                do {
                    try await settle(snapshot, since: settled, isFirst: isFirst)
                    settled = snapshot
                    isFirst = false
                    break
                } catch {
                    logger.error("cannot take back what a barred agent holds", metadata: ["error": "\(error)"])
                    do { try await sleep(.seconds(1)) } catch { return }
                }
            }
        }
    }

    private func settle(
        _ snapshot: DirectorySnapshot, since earlier: DirectorySnapshot, isFirst: Bool
    ) async throws {
        for agent in snapshot.agentsBarred(since: earlier) {
            let successor = snapshot.agent(withSPIFFEID: agent.spiffeID).flatMap { $0.id == agent.id ? nil : $0 }
            if agent.state == .retired, isFirst {
                // The ID of one that was retired may be another agent's by now. And after a restart only one whose entries
                // are still there was not dealt with: entries go last.
                guard successor == nil, try !entries(of: agent).isEmpty else { continue }
            }
            try await bar(agent, before: successor?.createdAt)
        }
        if isFirst {
            // Who was enabled when nobody looked any more.
            for record in revocations.current.records where record.reason == Self.reason(of: .disabled) {
                guard case .agent(let id) = record.subject, !snapshot.hasRetired(id),
                    let agent = snapshot.agent(withSPIFFEID: id), agent.state == .enabled
                else { continue }
                try await readmit(agent)
            }
        }
        for agent in snapshot.agentsEnabled(since: earlier) { try await readmit(agent) }
    }

    /// - Parameter successor: when another agent got the SPIFFE ID; what is newer is that one's.
    private func bar(_ agent: AgentIdentity, before successor: UnixTime?) async throws {
        let requestID = Hex.encode(randomBytes(16))
        do throws(RevocationRegisterError) {
            _ = try await revocations.revoke(
                .agent(agent.spiffeID), reason: Self.reason(of: agent.state),
                // Nothing outlives the authority that signed it, and nothing new is signed for a retired agent.
                expiresAt: agent.state == .retired ? authorities.records.map(\.notAfter).max() : nil,
                latestEnd: UnixTime(milliseconds: .max),
                // That of a disabled agent has no end.
                replacing: agent.state == .retired ? Self.reason(of: .disabled) : nil, by: .internal(),
                requestID: requestID)
        } catch {
            guard error == .full else { throw error }
            // The token service refuses the agent all the same, and its SVIDs end by themselves.
            logger.error("no room to revoke a barred agent", metadata: ["agent": "\(agent.spiffeID)"])
        }
        guard agent.state == .retired else { return }
        // Last, and while it is revoked, so that nothing is issued in between.
        for entry in try entries(of: agent) where successor.map({ entry.createdAt.seconds < $0.seconds }) ?? true {
            do throws(RegistryError) {
                try await registry.deleteEntry(entry.id, by: .internal(), requestID: requestID)
            } catch {
                guard case .entryNotFound = error else { throw error }
            }
        }
    }

    private func entries(of agent: AgentIdentity) throws -> [RegistrationEntry] {
        try registry.entries(EntryFilter(spiffeID: agent.spiffeID)).items
    }

    private func readmit(_ agent: AgentIdentity) async throws {
        let own = revocations.current.records.first { $0.subject == .agent(agent.spiffeID) }
        guard own?.reason == Self.reason(of: .disabled) else { return }
        try await revocations.undo(
            .agent(agent.spiffeID), reason: "identity enabled", by: .internal(), requestID: Hex.encode(randomBytes(16)))
    }
}
