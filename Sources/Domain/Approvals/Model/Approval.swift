package import AgentDirectory
package import OAuth
package import SPIFFE

/// One question to a person, from the moment it is asked until nothing rests on its answer any more.
package struct Approval: Sendable, Equatable, Identifiable {
    /// Its name for approvers, tokens and the log.
    package let id: String
    /// SHA-256 of what the client asks by. Whoever knows the text may ask, so only the digest is kept.
    let handleDigest: [UInt8]
    package let act: ApprovedAct
    package let demand: Demand
    /// What the subject's token bounds; nil where the agent acts for itself.
    package let basis: Basis?
    /// The key that the client showed when it asked; the token can be fetched with no other.
    package let confirmation: Confirmation?
    /// A few letters that client and approver can compare; no sentence of the agent's.
    package let bindingCode: String?
    /// The approver that the client named, if it named one.
    package let hint: Person?
    /// The challenge that it answers, by issuer and identifier: it is taken once.
    let challengeID: String?
    package let createdAt: UnixTime
    /// From here on, silence is no. An approved one has to be fetched by then too.
    package internal(set) var deadline: UnixTime
    package internal(set) var state: State

    /// Why a person is asked.
    package enum Demand: Sendable, Hashable {
        /// The resource said so in a signed challenge, with this reason.
        case resource(reason: String)
        /// Settings of the resource say so.
        case settings
        /// A grant holds only when approved, and then for so many seconds.
        case grant(seconds: Int64)
    }

    /// What is known of the token that the client showed for its subject.
    package struct Basis: Sendable, Hashable {
        /// The `jti` of the first token of the chain.
        package let chainRoot: String
        package let tokenID: String
        /// The key that signed it, and the one that it is bound to, by which it can be revoked.
        package let keyID: String
        package let keyThumbprint: String?
        /// What kind of being the subject is (`sub_profile`).
        package let profile: String?
        /// Nothing that rests on the token outlives it.
        package let expiresAt: UnixTime
        /// When the token was issued.
        package let issuedAt: UnixTime

        package init(
            chainRoot: String, tokenID: String, keyID: String, keyThumbprint: String?, profile: String?,
            expiresAt: UnixTime, issuedAt: UnixTime
        ) {
            self.chainRoot = chainRoot
            self.tokenID = tokenID
            self.keyID = keyID
            self.keyThumbprint = keyThumbprint
            self.profile = profile
            self.expiresAt = expiresAt
            self.issuedAt = issuedAt
        }
    }

    package enum State: Sendable, Hashable {
        case pending
        case approved(Answer)
        case denied(Answer)
        /// Nobody answered in time, or nobody fetched what was approved.
        case expired(at: UnixTime)
        /// The token was issued: it ends then.
        case redeemed(Answer, tokenID: String, tokenEnd: UnixTime)
        /// The token was used, once and for all.
        case spent(Answer, tokenID: String, at: UnixTime)
    }

    /// Who answered, and when.
    package struct Answer: Sendable, Hashable {
        package let person: Person
        package let time: UnixTime

        package init(person: Person, time: UnixTime) {
            self.person = person
            self.time = time
        }
    }

    /// The word for the state: what nobody answered or fetched in time has expired, whether or not that was recorded yet.
    package func stateName(at time: UnixTime) -> String {
        switch state {
        case .pending: time < deadline ? "pending" : "expired"
        case .approved: time < (activeUntil ?? deadline) ? "approved" : "expired"
        case .denied: "denied"
        case .expired: "expired"
        case .redeemed: "issued"
        case .spent: "used"
        }
    }

    /// Who said yes or no.
    package var answer: Answer? {
        switch state {
        case .pending, .expired: nil
        case .approved(let answer), .denied(let answer), .redeemed(let answer, _, _), .spent(let answer, _, _): answer
        }
    }

    /// Whether the token is for one act, and not for a grant that then holds for a while.
    package var isForOneUse: Bool {
        if case .grant = demand { false } else { true }
    }

    /// How long the grants of the act hold by this approval; nil when they do not, or not yet.
    package var activeUntil: UnixTime? {
        guard case .grant(let seconds) = demand else { return nil }
        switch state {
        case .approved(let answer), .redeemed(let answer, _, _), .spent(let answer, _, _):
            return answer.time + seconds
        case .pending, .denied, .expired: return nil
        }
    }

    /// Whether its client can still fetch what was approved: in time, and while a grant that was approved holds.
    func canBeFetched(at time: UnixTime) -> Bool {
        guard case .approved = state else { return false }
        return time < deadline && (activeUntil.map { time < $0 } ?? true)
    }

    /// Whether an approver can still answer.
    package func isOpen(at time: UnixTime) -> Bool { state == .pending && time < deadline }
}

/// Somebody who answers, and how they proved who they are.
package struct Approver: Sendable {
    package let person: Person
    package let way: Way

    package enum Way: String, Sendable, Hashable {
        /// The kernel's word for a user on the administration socket, whom configuration calls a person.
        case socket
        /// An administrator's SVID.
        case svid
        /// An ID token of an identity provider on the operator's list.
        case idToken = "id_token"
    }

    package init(person: Person, way: Way) {
        self.person = person
        self.way = way
    }
}
