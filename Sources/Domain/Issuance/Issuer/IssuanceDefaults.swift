/// Lifetimes and claims that hold where a request or an entry does not say otherwise.
package struct IssuanceDefaults: Sendable {
    /// Seconds that a workload's X.509-SVID lives.
    package var x509TTL: Int64
    /// Seconds that a JWT-SVID lives.
    package var jwtTTL: Int64
    /// Seconds that a WIT-SVID lives.
    package var witTTL: Int64
    /// Seconds that a node agent's X.509-SVID lives.
    package var nodeTTL: Int64
    /// Seconds that the control plane's own X.509-SVID lives.
    package var serverTTL: Int64
    /// The `iss` claim of JWT-SVIDs; nil leaves it out.
    package var jwtIssuer: String?
    /// What configuration adds to JWT- and WIT-SVIDs.
    package var claims: ClaimRules

    /// SPIRE's values: an hour, five minutes, an hour, and the workload's lifetime for nodes and the server.
    package init(
        x509TTL: Int64 = 3600, jwtTTL: Int64 = 300, witTTL: Int64 = 3600, nodeTTL: Int64? = nil,
        serverTTL: Int64? = nil,
        jwtIssuer: String? = nil, claims: ClaimRules = .none
    ) {
        self.x509TTL = x509TTL
        self.jwtTTL = jwtTTL
        self.witTTL = witTTL
        self.nodeTTL = nodeTTL ?? x509TTL
        self.serverTTL = serverTTL ?? x509TTL
        self.jwtIssuer = jwtIssuer
        self.claims = claims
    }

    /// How far back `notBefore` lies, in seconds: clocks of verifiers may be a little behind.
    package static let backdating: Int64 = 10
}
