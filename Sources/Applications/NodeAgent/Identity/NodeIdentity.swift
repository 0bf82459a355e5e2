import SPIFFE

/// What the node proves itself with.
struct NodeIdentity: Sendable {
    let svid: X509SVID
    /// From when its life counts, for renewal.
    let obtainedAt: UnixTime
    /// The server said that the node attests again instead of renewing. A stored identity does not know; the server
    /// says so when it is asked to renew.
    var isReattestable = false

    var id: SPIFFEID { svid.id }

    /// Key ID of the authority at the end of the chain.
    var authorityKeyID: [UInt8]? {
        let last = svid.chain.count > 1 ? svid.chain.last.flatMap { try? ParsedCertificate(der: $0) } : svid.leaf
        return last?.authorityKeyIdentifier
    }

    /// Whether this identity came from the given join token: a token is good once.
    func isOf(token: String) -> Bool {
        id.path == "/spire/agent/join_token/\(token)"
    }
}

/// The node's key with its certificate, and the trust bundle, in the agent's directory.
struct IdentityStore: Sendable {
    let directory: AgentDirectory
    let trustDomain: TrustDomain

    /// Key and chain are one file, so that no crash can leave a key beside a certificate of another one.
    static let identityFile = "svid.pem"
    static let bundleFile = "bundle.json"

    func loadIdentity() throws(NodeAgentError) -> NodeIdentity? {
        guard let bytes = try directory.read(Self.identityFile) else { return nil }
        let path = directory.path(of: Self.identityFile)
        let text = String(decoding: bytes, as: UTF8.self)
        let boundary = "-----BEGIN \(PEM.certificateLabel)-----"
        guard let start = text.firstRange(of: boundary)?.lowerBound,
            let svid = try? X509SVID(chainPEM: String(text[start...]), privateKeyPEM: String(text[..<start]))
        else { throw .damagedIdentity(path: path) }
        guard svid.id.trustDomain == trustDomain else {
            throw .otherTrustDomain(path: path, stored: svid.id.trustDomain)
        }
        return NodeIdentity(svid: svid, obtainedAt: svid.leaf.notBefore)
    }

    func save(_ identity: NodeIdentity) throws(NodeAgentError) {
        try directory.replace(
            Self.identityFile, with: Array((identity.svid.privateKeyPEM + identity.svid.chainPEM).utf8))
    }

    func removeIdentity() throws(NodeAgentError) {
        try directory.remove(Self.identityFile)
    }

    func loadBundle() throws(NodeAgentError) -> TrustBundle? {
        guard let bytes = try directory.read(Self.bundleFile) else { return nil }
        do {
            return try TrustBundle(parsingSPIFFEJSON: bytes, trustDomain: trustDomain)
        } catch {
            throw .damagedBundle(path: directory.path(of: Self.bundleFile))
        }
    }

    func save(_ bundle: TrustBundle) throws(NodeAgentError) {
        try directory.replace(Self.bundleFile, with: bundle.spiffeJSON())
    }
}
