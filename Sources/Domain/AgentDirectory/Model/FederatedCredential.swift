/// Tokens of another issuer that count as an agent's own credential: issuer, subject and audience match exactly, byte by
/// byte, or the claims match an expression over claims that are safe to name.
package struct FederatedCredential: Sendable, Hashable {
    /// Unique within the agent; never changes.
    package let name: AgentName
    /// The `iss` of the token.
    package var issuer: String
    package var subject: Subject
    /// Exactly one of these is the token's audience. At least one.
    package var audiences: [String]
    package var description: String

    /// Whom the token must name.
    package enum Subject: Sendable, Hashable {
        /// Exactly this `sub`.
        case exactly(String)
        /// Claims that match; only for issuers whose claims are known to be safe.
        case matching(ClaimsExpression)
    }

    /// The audience that clients of Entra use when nobody says otherwise.
    package static let defaultAudience = "api://AzureADTokenExchange"
    /// Longest issuer, subject, audience and description, in bytes.
    package static let maximumTextLength = 600

    package init(
        name: AgentName, issuer: String, subject: Subject, audiences: [String] = [defaultAudience],
        description: String = ""
    ) throws(DirectoryError) {
        let texts = audiences + [issuer]
        guard !audiences.isEmpty, audiences.count <= Self.maximumAudiences, Set(audiences).count == audiences.count,
            texts.allSatisfy(Self.isPlain)
        else { throw .badFederatedCredential }
        if case .exactly(let text) = subject, !Self.isPlain(text) { throw .badFederatedCredential }
        guard description.utf8.count <= Self.maximumTextLength else { throw .badFederatedCredential }
        self.name = name
        self.issuer = issuer
        self.subject = subject
        self.audiences = audiences
        self.description = description
    }

    private static let maximumAudiences = 10

    /// Visible ASCII without spaces, so that what looks equal is equal.
    private static func isPlain(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= maximumTextLength && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
    }
}
