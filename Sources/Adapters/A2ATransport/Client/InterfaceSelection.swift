public import A2A

extension AgentCard {
    /// The bindings that this client speaks.
    static let spokenBindings: [AgentInterface.ProtocolBinding] = [.jsonRPC, .httpJSON, .grpc]

    /// The interface to call: the first of the card, which is the agent's own preference, that this client speaks.
    ///
    /// - Parameter preference: bindings in the order in which they are wanted; others are not used. `nil` leaves it to the agent.
    /// - Throws: ``A2AClientError/noInterface(versions:)``.
    public func interface(
        preferring preference: [AgentInterface.ProtocolBinding]? = nil
    ) throws(A2AClientError) -> AgentInterface {
        try interface(preferring: preference, of: Self.spokenBindings)
    }

    func interface(
        preferring preference: [AgentInterface.ProtocolBinding]?, of spoken: [AgentInterface.ProtocolBinding]
    ) throws(A2AClientError) -> AgentInterface {
        let usable = supportedInterfaces.filter { interface in
            interface.isVersion1 && spoken.contains(interface.protocolBinding)
        }
        guard let preference else {
            if let first = usable.first { return first }
            throw missingInterface
        }
        for binding in preference {
            if let interface = usable.first(where: { $0.protocolBinding == binding }) { return interface }
        }
        throw missingInterface
    }

    private var missingInterface: A2AClientError {
        var versions: [String] = []
        for interface in supportedInterfaces.prefix(32) where !interface.isVersion1 {
            let version = "version \(interface.protocolVersion.shown(upTo: 16))"
            if !versions.contains(version) { versions.append(version) }
        }
        return .noInterface(versions: versions)
    }
}

extension AgentInterface {
    /// A third number is no part of what is negotiated (A2A 1.0.1 §3.6).
    fileprivate var isVersion1: Bool {
        let parts = protocolVersion.split(separator: ".", omittingEmptySubsequences: false)
        return (2...3).contains(parts.count) && parts[0] == "1" && parts[1] == "0"
    }
}
