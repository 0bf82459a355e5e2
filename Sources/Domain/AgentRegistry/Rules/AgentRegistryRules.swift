import A2A
import Crypto
import JOSE
import OAuth
import SPIFFE

/// How many there may be of everything.
package struct AgentRegistryBounds: Sendable {
    package var agents = 200_000
    package var agentsOfIdentity = 16
    package var versions = 200

    package init() {}
}

/// The registry's rules that need nothing but what they are asked about.
package enum AgentRegistryRules {
    package static let maximumCardBytes = 64 << 10
    static let maximumReasonLength = 512
    private static let limits = JSONLimits(maximumBytes: maximumCardBytes, maximumDepth: 24)

    /// A card that can be listed: read once, and known by the digest of its bytes.
    static func card(_ bytes: [UInt8]) throws(AgentRegistryError) -> HeldCard {
        guard bytes.count <= maximumCardBytes else { throw .cardTooLarge }
        guard let json = try? JSONValue(parsing: bytes, limits: limits) else {
            throw .badCard(FieldViolation("", "must be one JSON object with no member twice"))
        }
        let summary: CardSummary
        do throws(FieldViolation) {
            summary = try CardSummary(AgentCard(json: json))
        } catch {
            throw .badCard(error)
        }
        for interface in summary.interfaces { try check(interface) }
        return HeldCard(bytes: bytes, digest: digest(bytes), summary: summary)
    }

    static func digest(_ bytes: [UInt8]) -> String { HexText.encode(SHA256.hash(data: bytes)) }

    /// gRPC's addresses need not be URLs (a2a.proto, AgentInterface).
    private static func check(_ interface: CardSummary.Interface) throws(AgentRegistryError) {
        guard let url = try? WebURL(interface.url) else {
            guard interface.binding == .grpc, interface.url.utf8.count <= WebURL.maximumLength,
                interface.url.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
            else { throw .badInterface }
            return
        }
        guard url.isSecure || isLoopback(url.host), !url.hasFragment else { throw .badInterface }
    }

    private static func isLoopback(_ host: String) -> Bool {
        ["127.0.0.1", "[::1]", "localhost"].contains(host)
    }

    static func check(reason: String) throws(AgentRegistryError) {
        guard reason.utf8.count <= maximumReasonLength else { throw .reasonTooLong }
    }

    static func check(_ visibility: Visibility) throws(AgentRegistryError) {
        guard case .entitled(let ids) = visibility else { return }
        guard ids.count <= Visibility.maximumEntitled, Set(ids).count == ids.count else { throw .badVisibility }
    }
}

/// A card with what the registry reads of it.
package struct HeldCard: Sendable, Equatable {
    /// As they were registered.
    package let bytes: [UInt8]
    /// Hex SHA-256 of the bytes.
    package let digest: String
    package let summary: CardSummary
}
