import AgentDirectory
import Approvals
import JOSE
import OAuth
import PolicyEngine
import SPIFFE

/// On whose behalf a token will be, through whom, and what it may say at most.
///
/// Only ``Grants`` makes values of this type, and a chain of actors comes into one whole or longer by one: there is no way to
/// write a subject whose actors are left out.
struct GrantedSubject: Sendable {
    /// The claim `sub`.
    let subject: String
    /// What kind of being it is (`sub_profile`), if that is known.
    let profile: String?
    let actors: ActorChain?
    let mayAct: MayAct?
    let onBehalf: TokenAction.OnBehalf
    /// No scope beside these; nil where what was presented carries none.
    let scopeCeiling: Scope?
    /// Authorization details that it may carry; nil where what was presented bounds them by nothing.
    let detailCeiling: [AuthorizationDetails.Detail]?
    /// The token ends then at the latest.
    let expiresAt: UnixTime?
    /// The `jti` of the token that the first hop got; nil for a first token.
    let chainRoot: String?
    /// What of somebody else's word the log has to know.
    let evidence: [String: String]

    fileprivate init(
        subject: String, profile: String?, actors: ActorChain?, mayAct: MayAct?, onBehalf: TokenAction.OnBehalf,
        scopeCeiling: Scope?, detailCeiling: [AuthorizationDetails.Detail]? = nil, expiresAt: UnixTime?,
        chainRoot: String?, evidence: [String: String] = [:]
    ) {
        self.subject = subject
        self.profile = profile
        self.actors = actors
        self.mayAct = mayAct
        self.onBehalf = onBehalf
        self.scopeCeiling = scopeCeiling
        self.detailCeiling = detailCeiling
        self.expiresAt = expiresAt
        self.chainRoot = chainRoot
        self.evidence = evidence
    }
}

extension GrantedSubject {
    /// Whether a person has approved a grant for this subject, through these actors. Nobody has approved to go unnamed.
    func isMeant(by activation: ApprovalRegister.Activation) -> Bool {
        onBehalf != .impersonating && activation.subject.hasSameBytes(as: subject) && activation.actors == actors
    }
}

/// The rules that turn what a client presents into whom a token is about.
struct Grants: Sendable {
    /// The word for agents in `sub_profile` (draft-mora-oauth-entity-profiles).
    static let agentProfile = "ai_agent"

    let trustDomain: TrustDomain

    /// `client_credentials`: the agent for itself.
    func ownSubject(_ client: AuthenticatedClient) -> GrantedSubject {
        GrantedSubject(
            subject: client.agent.spiffeID.string, profile: Self.agentProfile, actors: nil, mayAct: nil,
            onBehalf: .itself, scopeCeiling: nil, expiresAt: nil, chainRoot: nil)
    }

    /// Token exchange (RFC 8693) with one of our own access tokens.
    ///
    /// What happens is decided by what the token says, not by which parameters came with it, so that nobody can launder a
    /// chain by asking in another way:
    /// - the token has to be addressed to the client, or be the client's own;
    /// - an own token whose current actor is the client only gets narrower;
    /// - everybody else is added to the chain, whether or not an actor token says so;
    /// - `may_act` names the only one who may.
    ///
    /// - Parameters:
    ///   - key: the key that the request proves; an own token that is bound needs its own.
    ///   - impersonates: whether the client asks to act as the subject, unnamed. Policy decides; a token with actors or
    ///     `may_act` never permits it.
    func exchanged(
        _ token: VerifiedAccessToken, by client: AuthenticatedClient, key: PresentedKey?, impersonates: Bool,
        _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> GrantedSubject {
        let claims = token.claims
        guard !claims.isSingleUse else {
            throw TokenRefusal(silently: .invalidRequest, "a token for one approved act is not passed on")
        }
        let own = client.agent.spiffeID.string
        let isSubject = claims.subject.hasSameBytes(as: own) && claims.actors == nil
        let isCurrentActor = claims.actors?.current.subject.hasSameBytes(as: own) ?? false
        let isOwn = (isSubject || isCurrentActor) && claims.clientID.hasSameBytes(as: client.agent.id)
        let isAddressed = claims.audience.contains { directory.resource($0)?.agentID == client.agent.id }
        guard isOwn || isAddressed else {
            throw TokenRefusal(
                silently: .invalidRequest, "the subject token is neither addressed to the client nor its own")
        }
        if isOwn, let bound = claims.confirmation, bound != key?.confirmation {
            throw TokenRefusal(silently: .invalidRequest, "the subject token is bound to another key")
        }
        func subject(_ actors: ActorChain?, _ onBehalf: TokenAction.OnBehalf) -> GrantedSubject {
            GrantedSubject(
                subject: claims.subject, profile: claims.otherClaims["sub_profile"]?.stringValue, actors: actors,
                mayAct: claims.mayAct, onBehalf: onBehalf, scopeCeiling: claims.scope,
                detailCeiling: claims.authorizationDetails?.details ?? [],
                expiresAt: UnixTime(seconds: claims.expiresAt),
                chainRoot: claims.chainRoot)
        }
        if isOwn {
            guard let actors = claims.actors else { return subject(nil, .itself) }
            return subject(actors, .another(actorDepth: actors.depth))
        }
        let actor: Actor
        let actors: ActorChain
        do {
            actor = try Actor(
                subject: own, issuer: trustDomain.idString, profiles: [Self.agentProfile])
            if let mayAct = claims.mayAct, !mayAct.permits(actor, tokenIssuer: claims.issuer) {
                throw TokenRefusal(silently: .invalidRequest, "`may_act` names another actor")
            }
            if impersonates, claims.actors == nil, claims.mayAct == nil { return subject(nil, .impersonating) }
            // The engine knows the limit of this agent; this one is the deepest that any has.
            actors = try ActorChain.extending(claims.actors, by: actor, limit: ActorChain.deepestLimit)
        } catch let error as TokenRefusal {
            throw error
        } catch {
            throw TokenRefusal(.invalidRequest, "\(error)")
        }
        return subject(actors, .another(actorDepth: actors.depth))
    }

    /// Whom an approved act is about: what was checked when the person was asked.
    func approved(_ approval: Approval) -> GrantedSubject {
        let act = approval.act
        return GrantedSubject(
            subject: act.subject, profile: approval.basis.map(\.profile) ?? Self.agentProfile, actors: act.actors,
            mayAct: nil, onBehalf: act.actors.map { .another(actorDepth: $0.depth) } ?? .itself,
            scopeCeiling: nil, expiresAt: approval.basis?.expiresAt, chainRoot: approval.basis?.chainRoot)
    }

    /// A JWT-SVID as subject (RFC 8693), or as grant (RFC 7523): another agent's word that it is there. Without a token of
    /// ours behind it, there is no scope that could be narrowed: the client's grants alone bound it.
    ///
    /// The SVID has to be addressed to this service, so that no SVID meant for another receiver can be turned into tokens.
    func vouched(
        _ svid: VerifiedJWTSVID, by client: AuthenticatedClient
    ) throws(TokenRefusal) -> GrantedSubject {
        if svid.id == client.agent.spiffeID {
            return GrantedSubject(
                subject: svid.id.string, profile: Self.agentProfile, actors: nil, mayAct: nil, onBehalf: .itself,
                scopeCeiling: nil, expiresAt: nil, chainRoot: nil)
        }
        let actors: ActorChain
        do {
            actors = try .extending(
                nil,
                by: Actor(
                    subject: client.agent.spiffeID.string, issuer: trustDomain.idString,
                    profiles: [Self.agentProfile]))
        } catch {
            throw TokenRefusal(.invalidRequest, error.description)
        }
        return GrantedSubject(
            subject: svid.id.string, profile: Self.agentProfile, actors: actors, mayAct: nil,
            onBehalf: .another(actorDepth: 1), scopeCeiling: nil, expiresAt: svid.expiresAt, chainRoot: nil)
    }

    /// A transaction token as subject: its subject and its actors stay as they are. Who asked for the tokens is not in the
    /// chain but in `req_wl`, which the new token continues.
    func replaced(_ token: VerifiedTransactionToken, by client: AuthenticatedClient) -> GrantedSubject {
        let claims = token.claims
        let own = client.agent.spiffeID.string
        let isOwn =
            claims.actors == nil && claims.subject.hasSameBytes(as: own)
            && claims.requesters.allSatisfy { $0.hasSameBytes(as: own) }
        return GrantedSubject(
            subject: claims.subject, profile: claims.subjectProfile, actors: claims.actors, mayAct: nil,
            onBehalf: isOwn ? .itself : .another(actorDepth: max(claims.actors?.depth ?? 0, 1)),
            scopeCeiling: claims.scope, expiresAt: UnixTime(seconds: claims.expiresAt), chainRoot: claims.chainRoot)
    }

    /// A grant of another authorization server: whom it names, as we name its subjects, and the client as the one who acts.
    ///
    /// The token has at most the grant's scope and ends with it at the latest: what its issuer learns later, that somebody was
    /// disabled for example, cannot be learnt here.
    func chained(
        _ grant: VerifiedAuthorizationGrant, about subject: ForeignSubject, by client: AuthenticatedClient
    ) throws(TokenRefusal) -> GrantedSubject {
        let claims = grant.claims
        let actors: ActorChain
        do {
            actors = try .extending(
                claims.actors,
                by: Actor(
                    subject: client.agent.spiffeID.string, issuer: trustDomain.idString,
                    profiles: [Self.agentProfile]),
                limit: ActorChain.deepestLimit)
        } catch {
            throw TokenRefusal(.actorUnauthorized, error.description)
        }
        return GrantedSubject(
            subject: subject.name, profile: claims.subjectProfile, actors: actors, mayAct: nil,
            onBehalf: .another(actorDepth: actors.depth), scopeCeiling: claims.scope,
            expiresAt: UnixTime(seconds: claims.expiresAt), chainRoot: claims.chainRoot,
            evidence: ["grant": claims.tokenID, "grant_issuer": claims.issuer])
    }
}
