import AgentDirectory
import Approvals
import ControlPlaneAPI
import GRPCCore
import JOSE
import SPIFFE

/// `agentshield.admin.v1.Approvals`: what waits for a person, and the answers of people who administer.
struct ApprovalService: Agentshield_Admin_V1_Approvals.SimpleServiceProtocol {
    let register: ApprovalRegister
    let directory: AgentDirectory
    /// Whom the users of this machine are, by uid, when they answer on the administration socket.
    let people: [UInt32: Person]
    let now: @Sendable () -> UnixTime

    private static let longestPage = 500

    func listApprovals(
        request: Agentshield_Admin_V1_ListApprovalsRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_ApprovalList {
        try await answer(context) { _ in
            let agentID = request.identity.isEmpty ? nil : directory.snapshot.agent(calledBy: request.identity)?.id
            guard request.identity.isEmpty || agentID != nil else { throw RPCError(DirectoryError.agentNotFound) }
            let time = now()
            let all = register.all.filter { approval in
                (request.state.isEmpty || approval.stateName(at: time) == request.state)
                    && (agentID == nil || approval.act.clientID == agentID)
            }
            var start = 0
            if !request.pageToken.isEmpty {
                guard let place = all.firstIndex(where: { $0.id == request.pageToken }) else {
                    throw RPCError(code: .invalidArgument, message: "page token is malformed")
                }
                start = place + 1
            }
            let size = request.pageSize <= 0 ? Self.longestPage : min(Int(request.pageSize), Self.longestPage)
            let page = all[start...].prefix(size)
            return .with {
                $0.items = page.map(message)
                $0.nextPageToken = start + size < all.count ? page.last?.id ?? "" : ""
            }
        }
    }

    func getApproval(
        request: Agentshield_Admin_V1_ApprovalReference, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Approval {
        try await answer(context) { _ in
            guard let approval = register.approval(request.id) else { throw RPCError(ApprovalError.notFound) }
            return message(approval)
        }
    }

    func approve(
        request: Agentshield_Admin_V1_ApproveRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Approval {
        try await answer(context) { caller in
            message(
                try await register.approve(
                    request.id, actHash: request.actHash, by: approver(caller), caller.audit,
                    requestID: caller.requestID))
        }
    }

    func deny(
        request: Agentshield_Admin_V1_DenyRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_Approval {
        try await answer(context) { caller in
            message(
                try await register.deny(
                    request.id, by: approver(caller), caller.audit, requestID: caller.requestID))
        }
    }

    /// The person behind an administrator; nil where nobody has said who it is.
    private func approver(_ caller: AuthorizedCaller) -> Approver? {
        caller.person(among: people).map { Approver(person: $0, way: caller.id == nil ? .socket : .svid) }
    }

    private func message(_ approval: Approval) -> Agentshield_Admin_V1_Approval {
        let snapshot = directory.snapshot
        var message = Agentshield_Admin_V1_Approval()
        message.id = approval.id
        message.state = approval.stateName(at: now())
        message.act = String(decoding: approval.act.json.canonicalBytes, as: UTF8.self)
        message.actHash = approval.act.hash
        message.agentName = snapshot.agent(approval.act.clientID)?.name.text ?? ""
        switch approval.demand {
        case .resource(let reason):
            message.demandedBy = "resource"
            message.reason = reason
        case .settings: message.demandedBy = "settings"
        case .grant(let seconds):
            message.demandedBy = "grant"
            message.grantSeconds = seconds
        }
        message.bindingCode = approval.bindingCode ?? ""
        message.hint = approval.hint?.name ?? ""
        message.createdAt = approval.createdAt.seconds
        message.deadline = approval.deadline.seconds
        message.answeredBy = approval.answer?.person.name ?? ""
        message.answeredAt = approval.answer?.time.seconds ?? 0
        message.approvers = snapshot.resource(approval.act.resourceID)?.approval?.approvers.map(\.name) ?? []
        return message
    }

    private func answer<Answer>(
        _ context: ServerContext, _ body: (AuthorizedCaller) async throws -> Answer
    ) async throws -> Answer {
        let caller = try context.caller
        do {
            return try await body(caller)
        } catch let error as ApprovalError {
            throw RPCError(error)
        }
    }
}

extension AuthorizedCaller {
    /// The person behind an administrator: by its SPIFFE ID, or by the user of this machine that it is.
    func person(among people: [UInt32: Person]) -> Person? {
        switch identity {
        case .admin(let id): try? Person(id.string)
        case .localSocket: audit.peer?.uid.flatMap { people[$0] }
        case .anyone, .liveAgent, .downstream: nil
        }
    }
}

extension RPCError {
    /// What an approver is told of an answer that does not count.
    init(_ error: ApprovalError) {
        let code: RPCError.Code =
            switch error {
            case .notFound: .notFound
            case .unknownPerson, .notApprover, .ownAgent, .socketRefused: .permissionDenied
            case .otherAct, .challengeUsed, .unknownApprover, .notStorable: .invalidArgument
            case .notPending, .nothingToApprove, .nobodyMayApprove, .denied, .expired, .spent: .failedPrecondition
            case .tooMany, .storage(.storageFull), .audit(.storageFull): .resourceExhausted
            case .storage, .audit: .unavailable
            }
        self.init(
            code: code, message: code == .unavailable ? "the answer cannot be recorded now" : error.description,
            cause: error)
    }
}
