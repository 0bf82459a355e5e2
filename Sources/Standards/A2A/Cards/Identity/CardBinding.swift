public import SPIFFE

/// Whether the peer at an interface of a card is the agent whose card it is.
///
/// A card may come from anywhere. Before a task or a credential goes out, the identity that was verified at the URL that is
/// being called must be the one that the card was signed for.
public enum CardBinding: Sendable, Equatable {
    /// The peer is the agent.
    case bound(SPIFFEID)
    /// The peer is a gateway that the card names; the agent is behind it.
    case boundThroughGateway(SPIFFEID, agent: SPIFFEID)
    /// The card says nothing of an identity, or nobody vouched for what it says. Whether that is enough, a policy decides.
    case unbound
    /// The card is another agent's, or the peer has not proved who it is. Nothing may be sent.
    case mismatch(expected: SPIFFEID, found: SPIFFEID?)

    /// Compares an identity that was verified with the peer that was verified, if one was.
    init(_ identity: CardIdentity?, peer: SPIFFEID?) {
        guard let identity else {
            self = .unbound
            return
        }
        switch peer {
        case let peer? where peer == identity.spiffeID: self = .bound(peer)
        case let peer? where identity.gateways.contains(peer):
            self = .boundThroughGateway(peer, agent: identity.spiffeID)
        default: self = .mismatch(expected: identity.spiffeID, found: peer)
        }
    }
}
