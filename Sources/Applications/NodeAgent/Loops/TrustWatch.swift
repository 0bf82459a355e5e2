import SPIFFE

/// The server has shown certificates that do not verify for longer than the delay, and the trust may be built anew.
struct TrustLost: Error {}

/// Ends the life with the present trust bundle when the server has not been recognized by it for too long.
struct TrustWatch: Sendable {
    let parts: AgentParts

    /// The longest wait between looks.
    static let longestWait = Duration.seconds(5)

    /// Watches until the task is cancelled.
    /// - Throws: `TrustLost`.
    func run() async throws {
        let rule = parts.configuration.rebootstrap
        let wait = min(Self.longestWait, max(.milliseconds(100), rule.delay / 4))
        while true {
            try await parts.sleep(wait)
            guard let since = parts.trust.refusedSince else { continue }
            guard Duration.milliseconds(parts.now().milliseconds(since: since)) >= rule.delay else { continue }
            throw TrustLost()
        }
    }
}
