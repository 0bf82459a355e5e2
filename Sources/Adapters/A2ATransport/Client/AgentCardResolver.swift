public import A2A
import JOSE

/// A card as it came, before anybody has verified it: what it says is a claim of whoever answered.
public struct UnverifiedAgentCard: Sendable {
    /// The card with all its members, over which signatures are.
    public let document: CardDocument
    /// Where it came from.
    public let url: String

    /// What it claims.
    public var card: AgentCard { document.card }

    /// What of it one of the verifier's keys has signed; clients are best made of this card.
    public func verified(by verifier: CardVerifier) throws(CardVerificationError) -> VerifiedCard {
        try verifier.verify(document)
    }
}

/// Finds the card of an agent.
public struct AgentCardResolver: Sendable {
    private let transport: any A2AHTTPTransport
    private let maximumBytes: Int

    /// A resolver that fetches by `transport`.
    public init(transport: any A2AHTTPTransport, maximumBytes: Int = CardDocument.maximumBytes) {
        self.transport = transport
        self.maximumBytes = maximumBytes
    }

    /// Where agents have their cards (A2A 1.0.1 §8.2), and where they had them before version 0.3.
    static let wellKnownPaths = ["/.well-known/agent-card.json", "/.well-known/agent.json"]

    /// The card of the agent at an address, such as `https://agent.example`.
    public func card(ofAgentAt url: String) async throws -> UnverifiedAgentCard {
        let base = Self.withoutSlash(url)
        for path in Self.wellKnownPaths {
            if let card = try await fetch(base + path) { return card }
        }
        throw A2AClientError.invalidAnswer("there is no card at `\(url.shown(upTo: 256))`")
    }

    /// The card of an agent in a registry, by the agent's name there.
    public func card(of name: String, inRegistryAt url: String) async throws -> UnverifiedAgentCard {
        try await card(ofAgentAt: Self.withoutSlash(url) + "/agents/" + name.percentEncoded)
    }

    /// The card at this very address.
    public func card(at url: String) async throws -> UnverifiedAgentCard {
        guard let card = try await fetch(url) else {
            throw A2AClientError.invalidAnswer("there is no card at `\(url.shown(upTo: 256))`")
        }
        return card
    }

    /// `nil` when there is nothing at the address.
    private func fetch(_ url: String) async throws -> UnverifiedAgentCard? {
        let request = A2AHTTPRequest(method: "GET", url: url, headers: [("accept", MediaType.json)])
        let response = try await transport.send(request)
        let body = try await response.collect(upTo: maximumBytes)
        if response.status == 404 { return nil }
        guard response.status == 200 else { throw response.refusal() }
        let document: CardDocument
        do throws(CardDocumentError) {
            document = try CardDocument(parsing: body)
        } catch {
            throw A2AClientError.invalidAnswer("\(error)")
        }
        if document.card.supportedInterfaces.isEmpty, let version = document.object["protocolVersion"]?.stringValue {
            // Before version 1.0 the card itself said where the agent is.
            throw A2AClientError.noInterface(versions: ["version \(version.shown(upTo: 16))"])
        }
        return UnverifiedAgentCard(document: document, url: url)
    }

    private static func withoutSlash(_ url: String) -> String {
        var url = Substring(url)
        while url.hasSuffix("/") { url = url.dropLast() }
        return String(url)
    }
}
