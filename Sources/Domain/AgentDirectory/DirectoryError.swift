/// Why the directory did not do what it was asked.
package enum DirectoryError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A name breaks the rule of ``AgentName``.
    case badName
    /// An owner or sponsor breaks the rule of ``Person``.
    case badPerson
    /// Issuer, subject, audience or description of a federated credential.
    case badFederatedCredential
    /// A claims-matching expression that is not one, or that names a claim which callers can choose.
    case badClaimsExpression

    package var description: String {
        switch self {
        case .badName: "a name has 1 to \(AgentName.maximumLength) letters, digits and `-_.`, the first no punctuation"
        case .badPerson: "a person has a name of 1 to \(Person.maximumLength) printable characters"
        case .badFederatedCredential:
            "issuer, subject and audiences have 1 to \(FederatedCredential.maximumTextLength) visible characters each"
        case .badClaimsExpression:
            "an expression is `claims['NAME'] eq 'TEXT'` or `… matches 'PATTERN'`, joined by `and`, over claims that are safe"
        }
    }
}
