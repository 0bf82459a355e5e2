import Authentication
public import Hummingbird
public import SPIFFE

/// Who has sent a request, proved by the key of a WIT-SVID, wherever TLS ended on the way.
public struct AgentProofCaller: Sendable, Hashable {
    /// Who it is.
    public let id: SPIFFEID
    /// Whether the caller has signed method, target, body and tokens of the request; false for a proof token.
    public let isSigned: Bool
    /// SHA-256 of the WIT-SVID in lower-case hexadecimal, by which records can name it.
    public let tokenDigest: String
    /// When the WIT-SVID ends, in seconds since 1970.
    public let expiresAt: Int64

    init(_ caller: WorkloadCaller) {
        id = caller.id
        isSigned = caller.proof.kind == .signature
        tokenDigest = caller.tokenDigest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        expiresAt = caller.token.expiresAt.seconds
    }

    /// The caller of the request that the current task serves; `nil` outside of a route with ``RequestProofMiddleware``.
    public static var current: AgentProofCaller? { proven?.caller }

    @TaskLocal static var proven: Proven?

    /// A caller, and which verifier has looked at the proof of this request.
    struct Proven: Sendable {
        let caller: AgentProofCaller
        let verifier: AgentProofVerifier
    }
}

extension RequestContext {
    /// The agent that has proved this request to be its own; `nil` outside of a route with ``RequestProofMiddleware``.
    public var proofCaller: AgentProofCaller? { AgentProofCaller.current }
}
