package import AgentDirectory
package import AuditTrail
import JOSE
package import OAuth
package import SPIFFE

/// What a client asks for.
package struct ApprovalDraft: Sendable {
    package var act: ApprovedAct
    package var demand: Approval.Demand
    package var basis: Approval.Basis?
    package var confirmation: Confirmation?
    package var bindingCode: String?
    package var hint: Person?
    package var challengeID: String?
    /// Seconds that the client is willing to wait; nil for as long as the resource allows.
    package var waitingTime: Int64?

    package init(
        act: ApprovedAct, demand: Approval.Demand, basis: Approval.Basis? = nil, confirmation: Confirmation?,
        bindingCode: String? = nil,
        hint: Person? = nil, challengeID: String? = nil, waitingTime: Int64? = nil
    ) {
        self.act = act
        self.demand = demand
        self.basis = basis
        self.confirmation = confirmation
        self.bindingCode = bindingCode
        self.hint = hint
        self.challengeID = challengeID
        self.waitingTime = waitingTime
    }
}

/// What a client is told when it asks for the answer.
package enum ApprovalAnswer: Sendable {
    case pending
    /// It asks too often.
    case slowDown
    case denied
    case expired
    case approved(Approval)
}

extension ApprovalRegister {
    /// Most that may wait for one agent, and most that one agent may ask for in an hour: a person who is asked all the time
    /// says yes to everything.
    package static let maximumWaitingOfAgent = 5
    package static let maximumHourlyOfAgent = 30
    private static let maximumWaiting = 1_000
    /// Most that may wait on one resource: whoever overruns one leaves the others alone.
    private static let maximumWaitingOnResource = 200
    /// Seconds within which something approved has to be fetched, even if its deadline is nearer.
    static let fetchTime: Int64 = 120

    /// Asks people.
    /// - Returns: the approval, and the text by which its client asks for the answer; it is nowhere else.
    package func request(
        _ draft: ApprovalDraft, by caller: AuditEvent.AgentField, requestID: String
    ) async throws(ApprovalError) -> (approval: Approval, handle: SecretText) {
        let time = now()
        let handle = SecretText(Base64URL.encode(randomBytes(32)))
        let id = newIdentifier()
        let act = AuditedAct(
            type: .approvalRequest, action: "request", resource: Self.field(id, draft.act), agent: caller,
            requestID: requestID)
        let approval = try await write(act) { approvals throws(ApprovalError) in
            guard let resource = directory().resource(draft.act.resourceID), let rules = resource.approval else {
                throw .nobodyMayApprove
            }
            if let hint = draft.hint, !rules.approvers.contains(hint) { throw .unknownApprover }
            if let challenge = draft.challengeID, approvals.values.contains(where: { $0.challengeID == challenge }) {
                throw .challengeUsed
            }
            let own = approvals.values.filter { $0.act.clientID.hasSameBytes(as: draft.act.clientID) }
            guard approvals.count < Self.maximum,
                approvals.values.count(where: { $0.isOpen(at: time) }) < Self.maximumWaiting,
                approvals.values.count(where: {
                    $0.isOpen(at: time) && $0.act.resourceID.hasSameBytes(as: resource.id)
                }) < Self.maximumWaitingOnResource,
                own.count(where: { $0.isOpen(at: time) }) < Self.maximumWaitingOfAgent,
                own.count(where: { $0.createdAt + 3600 > time }) < Self.maximumHourlyOfAgent
            else { throw .tooMany }
            let wait = min(max(draft.waitingTime ?? rules.waitingTime, 1), rules.waitingTime)
            let approval = Approval(
                id: id, handleDigest: handle.digest, act: draft.act, demand: draft.demand, basis: draft.basis,
                confirmation: draft.confirmation, bindingCode: draft.bindingCode, hint: draft.hint,
                challengeID: draft.challengeID, createdAt: time, deadline: time + wait, state: .pending)
            // What could not be read again would stop the next start.
            guard (try? Approval(id: id, storedBytes: approval.storedBytes)) == approval else { throw .notStorable }
            return Plan(changes: [.put(approval)], value: approval, facts: ["deadline": approval.deadline.description])
        }
        return (approval, handle)
    }

    /// The approval that a client asks about, if it is the client's.
    package func approval(handle: SecretText, clientID: String) -> Approval? {
        let digest = handle.digest
        // Whoever finds one by time has found a digest, not the text.
        return first(where: { $0.handleDigest == digest && $0.act.clientID.hasSameBytes(as: clientID) })
    }

    /// What the client is told now.
    package func answer(_ approval: Approval) -> ApprovalAnswer {
        if isTooSoon(approval.id) { return .slowDown }
        switch approval.state {
        case .denied: return .denied
        case .expired, .redeemed, .spent: return .expired
        case .pending: return now() < approval.deadline ? .pending : .expired
        case .approved: return approval.canBeFetched(at: now()) ? .approved(approval) : .expired
        }
    }

    /// Takes what was approved, for a token that will be issued: once. Before the token is signed, so that a crash can cost
    /// the client its approval but never give it two tokens.
    package func redeem(
        _ approval: Approval, tokenID: String, tokenEnd: UnixTime, by caller: AuditEvent.AgentField, requestID: String
    ) async throws(ApprovalError) {
        let time = now()
        let act = AuditedAct(
            type: .approvalRedeem, action: "redeem", resource: Self.field(approval.id, approval.act), agent: caller,
            requestID: requestID)
        try await write(act) { approvals throws(ApprovalError) in
            guard var present = approvals[approval.id], present.act == approval.act else { throw .notFound }
            guard case .approved(let answer) = present.state, present.canBeFetched(at: time) else { throw .notPending }
            present.state = .redeemed(answer, tokenID: tokenID, tokenEnd: tokenEnd)
            return Plan(changes: [.put(present)], value: (), facts: ["jti": tokenID])
        }
    }

    /// Uses up a token. Of any number of callers at once, one succeeds.
    ///
    /// - Parameter caller: the agent behind the resource, which is about to do what the token is for.
    package func spend(
        _ id: String, tokenID: String, by caller: AuditEvent.AgentField, requestID: String
    ) async throws(ApprovalError) {
        let time = now()
        guard let known = approval(id) else { throw .notFound }
        let act = AuditedAct(
            type: .approvalSpend, action: "use", resource: Self.field(id, known.act), agent: caller,
            requestID: requestID)
        try await write(act) { approvals throws(ApprovalError) in
            guard var present = approvals[id] else { throw .notFound }
            guard case .redeemed(let answer, let issued, let end) = present.state, issued.hasSameBytes(as: tokenID),
                time < end
            else { throw .spent }
            present.state = .spent(answer, tokenID: issued, at: time)
            return Plan(changes: [.put(present)], value: (), facts: ["jti": tokenID, "approver": answer.person.name])
        }
    }

    /// Whether a token for one use can still be used.
    package func isUnspent(_ id: String, tokenID: String) -> Bool {
        guard case .redeemed(_, let issued, _)? = approval(id)?.state else { return false }
        return issued.hasSameBytes(as: tokenID)
    }

    static func field(_ id: String, _ act: ApprovedAct) -> AuditEvent.ResourceField {
        AuditEvent.ResourceField(kind: "approval", id: id, argsHash: act.hash)
    }
}
