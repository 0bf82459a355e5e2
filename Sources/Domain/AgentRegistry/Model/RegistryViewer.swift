package import SPIFFE

/// Who looks at the registry.
package enum RegistryViewer: Sendable, Hashable {
    case anyone
    /// It proved this SPIFFE ID.
    case agent(SPIFFEID)
    case administrator
}

extension RegisteredAgent {
    /// Whether there is such an agent for this viewer.
    ///
    /// - Parameter isBarred: the agent's identity is revoked, disabled or retired elsewhere.
    package func isVisible(to viewer: RegistryViewer, isBarred: Bool) -> Bool {
        switch viewer {
        case .administrator: return true
        case .agent(let id):
            guard !isBarred, state != .revoked else { return false }
            if identity == id { return true }
            guard current != nil else { return false }
            switch visibility {
            case .everyone: return true
            case .entitled(let ids): return ids.contains(id)
            case .nobody: return false
            }
        case .anyone:
            guard !isBarred, state != .revoked, current != nil else { return false }
            return visibility == .everyone
        }
    }
}
