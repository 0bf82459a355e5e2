package import AgentDirectory
package import AuditTrail
import JOSE
import SPIFFE

extension ApprovalRegister {
    /// Says yes to an act that the approver has seen.
    ///
    /// - Parameter actHash: the hash of what was shown (``ApprovedAct/hash``).
    package func approve(
        _ id: String, actHash: String, by approver: Approver?, _ caller: AuditEvent.AgentField, requestID: String
    ) async throws(ApprovalError) -> Approval {
        try await decide(id, .approvalApprove, "approve", approver, caller, requestID) {
            (approval: inout Approval, answer: Approval.Answer) throws(ApprovalError) in
            guard approval.act.hash.hasSameBytes(as: actHash) else { throw .otherAct }
            approval.state = .approved(answer)
            approval.deadline = max(approval.deadline, answer.time + Self.fetchTime)
        }
    }

    /// Says no. An approver needs no reason for it.
    package func deny(
        _ id: String, by approver: Approver?, _ caller: AuditEvent.AgentField, requestID: String
    ) async throws(ApprovalError) -> Approval {
        try await decide(id, .approvalDeny, "deny", approver, caller, requestID) {
            (approval: inout Approval, answer: Approval.Answer) in approval.state = .denied(answer)
        }
    }

    private func decide(
        _ id: String, _ type: EventType, _ action: String, _ approver: Approver?, _ caller: AuditEvent.AgentField,
        _ requestID: String,
        _ change: @Sendable (inout Approval, Approval.Answer) throws(ApprovalError) -> Void
    ) async throws(ApprovalError) -> Approval {
        guard let known = approval(id) else { throw .notFound }
        let time = now()
        let act = AuditedAct(
            type: type, action: action, resource: Self.field(id, known.act), agent: caller, requestID: requestID)
        return try await write(act) { approvals throws(ApprovalError) in
            guard var approval = approvals[id] else { throw .notFound }
            let person = try self.check(approver, may: approval)
            guard approval.isOpen(at: time) else { throw .notPending }
            try change(&approval, Approval.Answer(person: person, time: time))
            return Plan(
                changes: [.put(approval)], value: approval,
                facts: ["approver": person.name, "way": approver?.way.rawValue ?? ""])
        }
    }

    /// The rules as they are now, not as they were when somebody asked.
    private func check(_ approver: Approver?, may approval: Approval) throws(ApprovalError) -> Person {
        let directory = directory()
        guard let approver else { throw .unknownPerson }
        guard let rules = directory.resource(approval.act.resourceID)?.approval,
            let agent = directory.agent(approval.act.clientID), agent.state == .enabled
        else { throw .nothingToApprove }
        guard approval.act.grantIDs.allSatisfy({ directory.grant($0)?.activation != nil }) else {
            throw .nothingToApprove
        }
        guard rules.approvers.contains(where: { $0.name.hasSameBytes(as: approver.person.name) }) else {
            throw .notApprover
        }
        guard approver.way != .socket || rules.allowsSocket else { throw .socketRefused }
        // Also an agent with an administrator's rights does not approve for itself, nor for whom it works with in the act.
        let parties = parties(of: approval.act, agent, directory)
        guard !parties.agents.contains(where: { $0.isSamePerson(as: approver.person.name) }) else { throw .ownAgent }
        guard rules.allowsSponsor || !parties.people.contains(where: { $0.isSamePerson(as: approver.person.name) })
        else { throw .ownAgent }
        return approver.person
    }

    /// Who has a part in an act, and who answers for them: the agent that asks, its blueprint's operator, the subject and
    /// everybody through whom it comes.
    private func parties(
        of act: ApprovedAct, _ agent: AgentIdentity, _ directory: DirectorySnapshot
    ) -> (agents: [String], people: [String]) {
        var agents = [agent]
        if let runner = agent.blueprintID.flatMap({ directory.blueprint($0)?.operatorID }).flatMap({
            directory.agent($0)
        }) {
            agents.append(runner)
        }
        let others = [act.subject] + (act.actors?.actors.map(\.subject) ?? [])
        agents += others.compactMap { name in (try? SPIFFEID(name)).flatMap { directory.agent(withSPIFFEID: $0) } }
        return (agents.map(\.spiffeID.string) + others, agents.flatMap { [$0.owner.name, $0.sponsor.name] })
    }

    /// Whether somebody is asked about it: only approvers see what waits, and whoever administers.
    package func concerns(_ person: Person, _ approval: Approval) -> Bool {
        directory().resource(approval.act.resourceID)?.approval?.approvers.contains {
            $0.name.hasSameBytes(as: person.name)
        } ?? false
    }

    /// Ends what nobody answered, and drops what nothing rests on any more.
    package func prune() async throws(ApprovalError) {
        let time = now()
        let silent = all.filter { approval in
            switch approval.state {
            case .pending, .approved: time >= approval.deadline && (approval.activeUntil.map { time >= $0 } ?? true)
            case .denied, .expired, .redeemed, .spent: false
            }
        }
        for approval in silent {
            let act = AuditedAct(
                type: .approvalExpire, action: "expire", resource: Self.field(approval.id, approval.act),
                agent: .internal(), requestID: newIdentifier())
            try await write(act) { approvals throws(ApprovalError) in
                // Somebody may have answered or fetched it meanwhile.
                guard var present = approvals[approval.id], present == approval else {
                    return Plan(changes: [], value: ())
                }
                present.state = .expired(at: time)
                return Plan(changes: [.put(present)], value: ())
            }
        }
        let over = all.filter { $0.isOver(at: time) }
        guard !over.isEmpty else { return }
        let act = AuditedAct(
            type: .approvalPrune, action: "prune", resource: AuditEvent.ResourceField(kind: "approval", id: "ended"),
            agent: .internal(), requestID: newIdentifier(), counted: Int64(over.count))
        try await write(act) { _ throws(ApprovalError) in
            Plan(changes: over.map { .delete(id: $0.id) }, value: (), facts: ["count": "\(over.count)"])
        }
    }
}

extension Approval {
    /// Whether nothing rests on it any more: no token, no grant, no limit that looks back.
    fileprivate func isOver(at time: UnixTime) -> Bool {
        let end: UnixTime
        switch state {
        case .pending, .approved: return false
        case .denied(let answer): end = answer.time
        case .expired(let time): end = time
        case .redeemed(_, _, let tokenEnd): end = max(tokenEnd, activeUntil ?? tokenEnd)
        case .spent(_, _, let spentAt): end = max(spentAt, activeUntil ?? spentAt)
        }
        return time >= end + ApprovalRegister.retention
    }
}

extension String {
    /// Whether two names may be one person's: who is kept out is kept out however the name is written.
    fileprivate func isSamePerson(as other: String) -> Bool { lowercased() == other.lowercased() }
}
