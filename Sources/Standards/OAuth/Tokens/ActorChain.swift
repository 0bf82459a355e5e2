package import JOSE

/// One who acts for a subject (RFC 8693 §4.1, draft-mcguinness-oauth-actor-profile).
package struct Actor: Sendable, Equatable {
    /// The name, in the namespace of `issuer`.
    package let subject: String
    /// Whose namespace the name is of; the profile wants it, RFC 8693 alone does not.
    package let issuer: String?
    /// What kind of being it is, such as `ai_agent`; empty if nobody says so.
    package let profiles: [String]
    /// Other claims about the actor, kept as they were.
    package let otherClaims: JSONObject

    private static let knownClaims = ["sub", "iss", "sub_profile", "act"]

    /// An actor by name.
    package init(subject: String, issuer: String?, profiles: [String] = []) throws(ActorChainError) {
        guard !subject.isEmpty else { throw .missingSubject }
        guard issuer?.isEmpty != true else { throw .missingIssuer }
        self.subject = subject
        self.issuer = issuer
        self.profiles = profiles
        otherClaims = JSONObject()
    }

    fileprivate init(json: JSONObject) throws(ActorChainError) {
        guard let subject = json["sub"]?.stringValue, !subject.isEmpty else { throw .missingSubject }
        self.subject = subject
        if let issuer = json["iss"] {
            guard let text = issuer.stringValue, !text.isEmpty else { throw .missingIssuer }
            self.issuer = text
        } else {
            issuer = nil
        }
        if let profile = json["sub_profile"] {
            guard let text = profile.stringValue else { throw .badProfile }
            profiles = text.split(separator: " ").map(String.init)
        } else {
            profiles = []
        }
        otherClaims = JSONObject(
            json.members
                .filter { member in !Self.knownClaims.contains { $0.hasSameBytes(as: member.name) } }
                .map { ($0.name, $0.value) })
    }

    /// The claims without those who acted before.
    fileprivate var members: [(String, JSONValue)] {
        var members: [(String, JSONValue)] = [("sub", .string(subject))]
        if let issuer { members.append(("iss", .string(issuer))) }
        if !profiles.isEmpty { members.append(("sub_profile", .string(profiles.joined(separator: " ")))) }
        return members + otherClaims.members.map { ($0.name, $0.value) }
    }

    /// Whether both names are the same one, byte by byte; what else is said about them does not matter.
    package func isSame(as other: Actor) -> Bool {
        guard subject.hasSameBytes(as: other.subject) else { return false }
        switch (issuer, other.issuer) {
        case (nil, nil): return true
        case (let own?, let theirs?): return own.hasSameBytes(as: theirs)
        default: return false
        }
    }
}

/// Who acts now, and through whom the right to do so came (claim `act`, RFC 8693 §4.1).
///
/// A chain is read whole or grows by one; nothing here makes one shorter, so that no exchange can hide an actor.
package struct ActorChain: Sendable, Equatable {
    /// The current actor first, the first one last.
    /// INVARIANT: not empty, at most `deepestLimit`.
    package let actors: [Actor]

    /// No limit may allow a longer chain.
    package static let deepestLimit = 16
    /// The least limit that the actor profile advises.
    package static let defaultLimit = 4

    private init(_ actors: [Actor]) {
        self.actors = actors
    }

    /// The chain with one more actor, who is the current one from now on; refused where it would be longer than the limit.
    package static func extending(
        _ chain: ActorChain?, by actor: Actor, limit: Int = defaultLimit
    ) throws(ActorChainError) -> ActorChain {
        let actors = [actor] + (chain?.actors ?? [])
        guard actors.count <= min(limit, deepestLimit) else { throw .tooLong(limit: min(limit, deepestLimit)) }
        return ActorChain(actors)
    }

    /// Reads the claim `act` whole; a longer chain than the limit is refused.
    ///
    /// - Parameter requiresIssuer: whether every actor needs an `iss`, as the actor profile wants.
    package init(
        parsing claim: JSONValue, limit: Int = defaultLimit, requiresIssuer: Bool = true
    ) throws(ActorChainError) {
        let limit = min(limit, Self.deepestLimit)
        var actors: [Actor] = []
        var next: JSONValue? = claim
        while let value = next {
            guard case .object(let object) = value else { throw .notAnObject }
            guard actors.count < limit else { throw .tooLong(limit: limit) }
            let actor = try Actor(json: object)
            guard actor.issuer != nil || !requiresIssuer else { throw .missingIssuer }
            actors.append(actor)
            next = object["act"]
        }
        self.actors = actors
    }

    /// Who acts now: with the token's subject, the only one on whom a decision rests (RFC 8693 §4.1).
    package var current: Actor { actors[0] }

    /// How many actors there are.
    package var depth: Int { actors.count }

    /// The claim, nested.
    package var json: JSONObject {
        var inner: JSONObject?
        for actor in actors.reversed() {
            inner = JSONObject(actor.members + (inner.map { [("act", .object($0))] } ?? []))
        }
        return inner ?? JSONObject()
    }
}

/// Who may act for the subject of a token (claim `may_act`, RFC 8693 §4.4).
package struct MayAct: Sendable, Equatable {
    package let actor: Actor

    /// Names the one who may act.
    package init(_ actor: Actor) {
        self.actor = actor
    }

    /// Reads the claim.
    package init(parsing claim: JSONValue) throws(ActorChainError) {
        guard case .object(let object) = claim else { throw .notAnObject }
        guard object["act"] == nil else { throw .nestedMayAct }
        actor = try Actor(json: object)
    }

    /// Whether this actor is the one meant. A claim that also names something that cannot be compared permits nobody.
    ///
    /// - Parameter tokenIssuer: the issuer of the token with the claim, in whose namespace a name without `iss` is.
    package func permits(_ other: Actor, tokenIssuer: String) -> Bool {
        guard actor.otherClaims.isEmpty, actor.subject.hasSameBytes(as: other.subject) else { return false }
        guard actor.profiles.allSatisfy({ profile in other.profiles.contains { $0.hasSameBytes(as: profile) } }) else {
            return false
        }
        return (other.issuer ?? tokenIssuer).hasSameBytes(as: actor.issuer ?? tokenIssuer)
    }

    /// The claim.
    package var json: JSONObject { JSONObject(actor.members) }
}

/// Why a chain of actors is refused.
package enum ActorChainError: Error, Sendable, Equatable, CustomStringConvertible {
    case notAnObject
    /// An actor without `sub`, or with an empty one.
    case missingSubject
    /// An actor without `iss`, or with an empty one.
    case missingIssuer
    case badProfile
    /// `may_act` has an `act` of its own.
    case nestedMayAct
    /// The chain has more actors than the limit.
    case tooLong(limit: Int)

    package var description: String {
        switch self {
        case .notAnObject: "an actor is not an object"
        case .missingSubject: "an actor has no subject"
        case .missingIssuer: "an actor has no issuer"
        case .badProfile: "an actor's profile is not a text"
        case .nestedMayAct: "`may_act` names one actor, not a chain"
        case .tooLong(let limit): "there are more than \(limit) actors"
        }
    }
}
