import AgentDirectory
import AuditTrail
import Issuance
import OAuth
import Registry
import Revocation
import SPIFFE
import TokenService

/// Ends what a subject identifier (RFC 9493) names: the one act behind global token revocation and security events.
///
/// An agent of the directory is disabled: no tokens, those that are out are inactive, its SPIFFE ID is revoked, until somebody
/// enables it. To end what was issued so far would end nothing: an agent asks again by itself, with nobody there to log in. A
/// workload that is no agent is revoked as `agentshield revoke -spiffeID` does, a token as `-jti`.
struct SubjectRevocation: Sendable {
    let directory: AgentDirectory
    let registry: Registry
    let authorities: Authorities
    let revocations: RevocationRegister
    let names: @Sendable () -> TokenServiceNames?
    /// The issuer of JWT-SVIDs.
    let jwtIssuer: String?

    /// Whom the caller can end.
    enum Reach: Sendable, Hashable {
        case everything
        /// As `everything`, but half of the register is kept for administrators.
        case everythingButTheRegister
        /// Agents with a federated credential of this issuer, which can speak for them already.
        case agents(ofIssuer: String)
    }

    /// What came of it.
    enum Outcome: Sendable, Hashable {
        /// These were ended, or were before.
        case ended([String])
        /// Nobody, as far as the caller's reach goes.
        case unknownSubject
    }

    /// Why it was not done.
    enum Failure: Error, Sendable, Hashable {
        /// It cannot be done: the control plane's own identity, for example.
        case refused(String)
        /// It may work later.
        case unavailable(String)
    }

    private enum Target {
        case agent(AgentIdentity)
        case workload(SPIFFEID)
        case token(RevokedSubject)
    }

    /// Ends the subject for good or until somebody takes it back. Returns when that is stored and in the log.
    ///
    /// - Parameter caller: whoever asked, for the log.
    func end(
        _ subject: SubjectIdentifier, reach: Reach, reason: String, by caller: DirectoryCaller
    ) async throws(Failure) -> Outcome {
        let targets = try targets(of: subject).filter { isReached($0, by: reach) }
        guard !targets.isEmpty else { return .unknownSubject }
        var ended: [String] = []
        for target in targets {
            switch target {
            case .agent(let agent):
                try await disable(agent, reason, caller)
                ended.append(agent.id)
            case .workload(let id):
                try await revoke(.agent(id), reach, reason, caller)
                ended.append(id.string)
            case .token(let token):
                try await revoke(token, reach, reason, caller)
                ended.append(token.value)
            }
        }
        return .ended(ended)
    }

    private func disable(_ agent: AgentIdentity, _ reason: String, _ caller: DirectoryCaller) async throws(Failure) {
        guard agent.state == .enabled else { return }
        do throws(DirectoryError) {
            _ = try await directory.disableAgent(agent.id, reason: reason, by: caller)
        } catch {
            switch error {
            // Somebody was faster.
            case .agentRetired, .agentNotFound: return
            default: throw error.isRefusal ? .refused(error.code) : .unavailable(error.code)
            }
        }
    }

    private func revoke(
        _ subject: RevokedSubject, _ reach: Reach, _ reason: String, _ caller: DirectoryCaller
    ) async throws(Failure) {
        if reach != .everything, !revocations.revoked.all.contains(subject) {
            guard revocations.current.records.count < RevocationSnapshot.maximumSubjects / 2 else {
                throw .unavailable("half of the register is kept for administrators")
            }
        }
        do throws(RevocationRegisterError) {
            _ = try await revocations.revoke(
                subject, reason: reason, latestEnd: authorities.latestEnd(of: subject), by: caller.agent,
                requestID: caller.requestID)
        } catch {
            switch error {
            case .alreadyEnded: return
            case .full, .store, .audit: throw .unavailable(error.description)
            default: throw .refused(error.description)
            }
        }
    }

    // MARK: who is meant

    private func targets(of subject: SubjectIdentifier) throws(Failure) -> [Target] {
        let snapshot = directory.snapshot
        switch subject {
        case .uri(let text): return identity(text, snapshot)
        case .opaque(let id): return client(id, snapshot)
        case .issuerSubject(let issuer, let name):
            if try isOurs(issuer) {
                let identified = identity(name, snapshot)
                return identified.isEmpty ? client(name, snapshot) : identified
            }
            return snapshot.allAgents.filter { agent in
                agent.state != .retired && agent.federatedCredentials.contains { $0.names(issuer, name) }
            }.map { .agent($0) }
        case .tokenID(let issuer, let id):
            guard try isOurs(issuer), let token = try? RevokedSubject(kind: .jwtID, value: id) else { return [] }
            return [.token(token)]
        case .other: return []
        }
    }

    private func client(_ id: String, _ snapshot: DirectorySnapshot) -> [Target] {
        snapshot.agent(id).map { [.agent($0)] } ?? []
    }

    /// An agent of the directory, or a workload of the registry. What belongs to the identity provider is neither.
    private func identity(_ text: String, _ snapshot: DirectorySnapshot) -> [Target] {
        guard let id = try? SPIFFEID(text), id.isMember(of: directory.trustDomain), !id.isReserved else { return [] }
        if let agent = snapshot.agent(withSPIFFEID: id) { return [.agent(agent)] }
        let entries = (try? registry.entries(EntryFilter(spiffeID: id)).items) ?? []
        return entries.isEmpty ? [] : [.workload(id)]
    }

    /// Whether tokens of this issuer are ours.
    private func isOurs(_ issuer: String) throws(Failure) -> Bool {
        guard let names = names() else { throw .unavailable("the service has no name yet") }
        let own =
            TokenProfile.allCases.map { names.issuer($0) } + [directory.trustDomain.idString]
            + [jwtIssuer].compactMap(\.self)
        return own.contains { $0.hasSameBytes(as: issuer) }
    }

    private func isReached(_ target: Target, by reach: Reach) -> Bool {
        guard case .agents(let issuer) = reach else { return true }
        guard case .agent(let agent) = target else { return false }
        return agent.federatedCredentials.contains { $0.issuer.hasSameBytes(as: issuer) }
    }
}

extension FederatedCredential {
    /// Whether it is about exactly this subject of this issuer.
    fileprivate func names(_ issuer: String, _ subject: String) -> Bool {
        guard case .exactly(let text) = self.subject else { return false }
        return self.issuer.hasSameBytes(as: issuer) && text.hasSameBytes(as: subject)
    }
}

extension Authorities {
    /// Nothing lives longer than the authority that signed it: the latest end of them all bounds every credential.
    func latestEnd(of subject: RevokedSubject) -> UnixTime {
        let kinds: Set<AuthorityRecord.Kind> =
            switch subject {
            // JWT-SVIDs, WIT-SVIDs and access tokens have a `jti`.
            case .jwtID: [.jwt, .wit, .oauth, .entra]
            case .chainRoot: [.oauth, .entra]
            case .agent, .serial, .key: [.x509]
            }
        return records.filter { kinds.contains($0.kind) }.map(\.notAfter).max() ?? UnixTime(milliseconds: .max)
    }
}
