package import SPIFFE

/// Why a node agent ended. Each message says what to do, in one line.
package enum NodeAgentError: Error, Equatable, CustomStringConvertible {
    /// The data directory cannot be used.
    case dataDirectory(path: String, reason: String)
    /// The stored key and certificate cannot be read or do not belong together.
    case damagedIdentity(path: String)
    /// The stored trust bundle cannot be read.
    case damagedBundle(path: String)
    /// The stored identity belongs to another trust domain than the configured one.
    case otherTrustDomain(path: String, stored: TrustDomain)
    /// There is neither a stored identity nor a join token.
    case notAttested
    /// The server did not take the join token.
    case tokenRefused(String)
    /// The server refused the attestation for another reason than the token.
    case attestationRefused(String)
    /// The server has banned this node; its identity is removed.
    case banned(SPIFFEID)
    /// The server does not accept the stored identity any more, and there is no unused token.
    case identityRefused(SPIFFEID, Refusal)
    /// The files that prove this node cannot be used.
    case proofUnusable(String)
    /// The stored bundle has ended, and the trust may not be built anew.
    case trustLost(path: String)
    /// The file with the server's authorities cannot be used.
    case bootstrapBundle(path: String, reason: String)
    /// The Workload API cannot be served.
    case workloadSocket(String)
    /// Administration cannot be served.
    case adminSocket(String)
    /// The audit spool cannot be used.
    case auditSpool(String)
    /// Nothing says which server to believe.
    case noTrustBundle
    /// A node agent runs once.
    case alreadyRan

    /// Why the server refuses a node's identity (SPIRE's `PermissionDeniedDetails`).
    package enum Refusal: String, Sendable {
        case expired
        case notAttested
        case notActive
        case banned
        case mustReattest
    }

    package var description: String {
        switch self {
        case .dataDirectory(let path, let reason): "the data directory `\(path)` cannot be used: \(reason)"
        case .damagedIdentity(let path):
            "the stored identity `\(path)` is damaged: remove it and start with a new join token"
        case .damagedBundle(let path):
            "the stored trust bundle `\(path)` is damaged: remove it and start with the bundle of the server"
        case .otherTrustDomain(let path, let stored):
            "the stored identity `\(path)` belongs to trust domain `\(stored)`: use another data directory"
        case .notAttested: "this node is not attested: create a join token on the server and start with it"
        case .tokenRefused(let message):
            "the server did not take the join token, which is used, expired or unknown; create another one: \(message)"
        case .attestationRefused(let message): "the server refused to attest this node: \(message)"
        case .banned(let id): "the server has banned this node (`\(id)`): its identity is removed"
        case .identityRefused(let id, let refusal):
            "the server does not accept this node's identity `\(id)` any more (\(refusal.text)): "
                + "start with a new join token"
        case .proofUnusable(let reason): "the proof of this node cannot be given: \(reason)"
        case .trustLost(let path):
            "every authority of the stored trust bundle `\(path)` has ended: "
                + "give -rebootstrapMode auto, or remove the file"
        case .bootstrapBundle(let path, let reason): "the trust bundle `\(path)` cannot be used: \(reason)"
        case .workloadSocket(let reason): "the Workload API cannot be served: \(reason)"
        case .adminSocket(let reason): "the admin socket cannot be served: \(reason)"
        case .noTrustBundle:
            "no trust bundle: give -trustBundle FILE for the first start (or -insecureBootstrap, which trusts anybody)"
        case .auditSpool(let reason): "the audit spool cannot be used: \(reason)"
        case .alreadyRan: "a node agent runs only once"
        }
    }
}

extension NodeAgentError.Refusal {
    fileprivate var text: String {
        switch self {
        case .expired: "it has expired"
        case .notAttested: "it was evicted"
        case .notActive: "another certificate is active"
        case .banned: "it is banned"
        case .mustReattest: "it has to attest again"
        }
    }
}

extension NodeAgentError {
    /// Whether the node's proof could not be given, or was not taken; files may be replaced.
    var isOfProof: Bool {
        switch self {
        case .proofUnusable, .attestationRefused: true
        default: false
        }
    }
}
