package import OAuth

/// What a person has to approve on a resource, and who may.
package struct ApprovalRules: Sendable, Hashable {
    /// People who may approve, by the names that they prove; never empty. An administrator's SPIFFE ID is a name too.
    package var approvers: [Person]
    /// Scopes that are approved each time: the token is good for one use.
    package var scopes: Scope
    /// Types of authorization details (RFC 9396) that are approved each time.
    package var detailTypes: [String]
    /// Whether owner and sponsor of the asking agent may approve. Without, nobody approves what they answer for.
    package var allowsSponsor: Bool
    /// Whether approvals on the administration socket count, where the kernel's word for a user stands for a person.
    package var allowsSocket: Bool
    /// How long a request waits for its answer, in seconds. Silence is no.
    package var waitingTime: Int64

    /// Five minutes.
    package static let defaultWaitingTime: Int64 = 300
    package static let waitingTimes: ClosedRange<Int64> = 10...86_400
    package static let maximumApprovers = 50
    package static let maximumDetailTypes = 50

    package init(
        approvers: [Person], scopes: Scope = .empty, detailTypes: [String] = [], allowsSponsor: Bool = false,
        allowsSocket: Bool = true, waitingTime: Int64 = defaultWaitingTime
    ) {
        self.approvers = approvers
        self.scopes = scopes
        self.detailTypes = detailTypes
        self.allowsSponsor = allowsSponsor
        self.allowsSocket = allowsSocket
        self.waitingTime = waitingTime
    }
}
