import OAuth
package import SPIFFE

/// How agents of ours are called as clients of other authorization servers: what the `client_id` of an ID-JAG says.
///
/// An agent without an entry is called by its SPIFFE ID. Only the operator writes entries: an agent that could name the client
/// of its grant itself would speak for somebody else's.
package struct ForeignClientNames: Sendable, Equatable {
    /// One agent at one server.
    package struct Entry: Sendable, Hashable {
        /// The other server's issuer identifier.
        package let issuer: String
        package let agent: SPIFFEID
        package let clientID: String

        package init(issuer: String, agent: SPIFFEID, clientID: String) {
            self.issuer = issuer
            self.agent = agent
            self.clientID = clientID
        }
    }

    /// The most entries.
    package static let maximum = 10_000
    /// Every agent is called by its SPIFFE ID.
    package static let none = ForeignClientNames()

    private let names: [String: [SPIFFEID: String]]

    private init() { names = [:] }

    package init(_ entries: [Entry], own: TrustDomain) throws(ForeignClientNamesError) {
        guard entries.count <= Self.maximum else { throw .tooMany }
        var names: [String: [SPIFFEID: String]] = [:]
        var taken: [String: Set<String>] = [:]
        for entry in entries {
            guard let url = try? WebURL(entry.issuer), url.isSecure, url.query == nil, !url.hasFragment else {
                throw .badIssuer(entry.issuer)
            }
            guard entry.agent.isMember(of: own) else { throw .otherTrustDomain(entry.agent) }
            guard (1...ClientAuthentication.maximumIDBytes).contains(entry.clientID.utf8.count),
                entry.clientID.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
            else { throw .badClientID(entry.agent) }
            guard names[entry.issuer, default: [:]].updateValue(entry.clientID, forKey: entry.agent) == nil,
                taken[entry.issuer, default: []].insert(entry.clientID).inserted
            else { throw .twice(entry.agent) }
        }
        self.names = names
    }

    /// What the agent is called there.
    package func name(of agent: SPIFFEID, at issuer: String) -> String { names[issuer]?[agent] ?? agent.string }
}

/// Why a list of names is refused.
package enum ForeignClientNamesError: Error, Sendable, Equatable, CustomStringConvertible {
    case tooMany
    /// Not an `https` URL without query and fragment.
    case badIssuer(String)
    case otherTrustDomain(SPIFFEID)
    case badClientID(SPIFFEID)
    /// An agent has two names at a server, or two agents have one.
    case twice(SPIFFEID)

    package var description: String {
        switch self {
        case .tooMany: "there are more than \(ForeignClientNames.maximum) names of clients"
        case .badIssuer(let issuer): "`\(issuer)` is not an `https` url without query and fragment"
        case .otherTrustDomain(let agent): "`\(agent)` is of another trust domain"
        case .badClientID(let agent): "the client id of `\(agent)` is empty, too long or not printable"
        case .twice(let agent): "`\(agent)` has two names at a server, or shares one"
        }
    }
}
