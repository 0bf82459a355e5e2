import A2A
import AgentRegistry
import GRPCCore
import OAuth
import PeerTLS
import SPIFFE
import WebFetch

/// Asks servers for agent cards, for administrators: over TLS that verifies, without redirects, at addresses that everybody can
/// reach unless the administrator says otherwise.
struct CardFetch: Sendable {
    /// Judges a server that has to be an agent of this trust domain.
    let verifier: @Sendable (SPIFFEID) -> PeerVerifier
    let isRevoked: @Sendable (VerifiedX509SVID) -> Bool

    /// How the server has to prove itself.
    enum Authentication: Sendable {
        case web(WebFetch.WebRoots)
        /// By an X.509-SVID with exactly this ID.
        case agent(SPIFFEID)
    }

    private static let time = Duration.seconds(10)

    /// Where an agent is asked for its card: where the card came from, or the well-known address of its first interface.
    static func url(of version: CardVersion, _ interfaces: [CardSummary.Interface]) -> WebURL? {
        if case .url(let text) = version.source { return try? WebURL(text) }
        let origin = interfaces.lazy.compactMap { try? WebURL($0.url) }.first { $0.isSecure }?.origin
        return origin.flatMap { try? WebURL($0 + "/.well-known/agent-card.json") }
    }

    func fetch(_ url: WebURL, _ authentication: Authentication, allowPrivate: Bool) async throws -> [UInt8] {
        let fetch = WebFetch(
            timeout: Self.time, maximumLength: AgentRegistryRules.maximumCardBytes,
            rule: allowPrivate ? .globalOrPrivate : .global)
        do throws(WebFetchError) {
            return try await fetch.get(FetchTarget(url), proof(authentication)).bytes
        } catch {
            let reason =
                switch error {
                case .unreachable(let reason): "the server cannot be reached: \(reason.prefix(200))"
                case .unverified(let reason): "the server did not prove who it is: \(reason.prefix(200))"
                case .refusedAddress(let address): "the address \(address) is not allowed"
                case .status(let code): "the server answered \(code)"
                case .redirect(let code, _): "the server answered \(code), and redirects are not followed"
                case .tooLarge: "the card is too large"
                case .timeout: "the server took too long"
                }
            throw RPCError(code: .failedPrecondition, message: "cannot fetch the card: \(reason)")
        }
    }

    private func proof(_ authentication: Authentication) -> WebFetch.Authentication {
        switch authentication {
        case .web(let roots): return .web(roots)
        case .agent(let id):
            let verifier = verifier(id)
            return .judged { [isRevoked] certificates in
                do throws(PeerVerifier.Refusal) {
                    let svid = try verifier.verify(certificates)
                    guard !isRevoked(svid) else { throw .revoked(svid.id) }
                    return nil
                } catch {
                    return "\(error)"
                }
            }
        }
    }
}
