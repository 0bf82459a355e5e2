import Crypto
import JOSE
package import SPIFFE
package import WIMSE

/// Who sends a request, or has answered one, where TLS does not say it: a WIT-SVID, and a proof by its key for this one message.
///
/// Proxy and SDK share it. Everything is looked at anew for each message: the token's key in the bundles of the moment, what is revoked,
/// and last of all whether the proof was there before, so that nobody who is refused takes up memory.
package final class WorkloadMessageVerifier: Sendable {
    /// What the receiver demands.
    package struct Demands: Sendable {
        package var policy: WorkloadProofPolicy
        /// The kinds of proofs that are taken. A receiver to whom method, target and body matter takes signatures alone.
        package var kinds: Set<WorkloadProofKind>

        package init(_ policy: WorkloadProofPolicy, kinds: Set<WorkloadProofKind> = [.signature]) {
            self.policy = policy
            self.kinds = kinds
        }
    }

    private let demands: Demands
    private let bundles: @Sendable (TrustDomain) -> [WITAuthority]?
    private let revocation: @Sendable (VerifiedWITSVID) -> WorkloadMessageRefusal?
    private let now: @Sendable () -> UnixTime
    private let seen: ReplayMemory

    /// Proofs of one sender that are remembered.
    package static let rememberedProofs = 50_000
    /// Proofs of one trust domain that are remembered.
    package static let rememberedProofsOfDomain = 200_000

    /// - Parameters:
    ///   - bundles: the keys of a trust domain for WIT-SVIDs; nil for one that is not trusted.
    ///   - revocation: why the token is good no more; asked on every message.
    ///   - seen: what is remembered of proofs.
    package init(
        _ demands: Demands, bundles: @escaping @Sendable (TrustDomain) -> [WITAuthority]?,
        revocation: @escaping @Sendable (VerifiedWITSVID) -> WorkloadMessageRefusal?,
        now: @escaping @Sendable () -> UnixTime,
        seen: ReplayMemory = ReplayMemory(
            capacity: WorkloadMessageVerifier.rememberedProofs,
            groupCapacity: WorkloadMessageVerifier.rememberedProofsOfDomain)
    ) {
        self.demands = demands
        self.bundles = bundles
        self.revocation = revocation
        self.now = now
        self.seen = seen
    }

    /// Who has sent a request. The request counts once.
    package func verify(_ request: WorkloadRequest) throws(WorkloadMessageRefusal) -> WorkloadCaller {
        let kind = try kind(of: request.fields)
        let token = try identity(request.fields)
        let proof = try proof(kind, of: request, by: token)
        try remember(proof, of: token)
        return WorkloadCaller(token, proof, digest: Self.digest(request.fields))
    }

    /// Who has signed the response to a request whose signature had this nonce.
    package func verify(
        _ response: WorkloadResponse, to request: WorkloadRequest, nonce: String
    ) throws(WorkloadMessageRefusal) -> VerifiedWITSVID {
        let token = try identity(response.fields)
        do {
            try WorkloadSignature.verify(
                response, to: request, nonce: nonce, key: token.confirmationKey, policy: demands.policy,
                now: now().seconds)
        } catch {
            throw .signature(error)
        }
        return token
    }

    private func kind(of fields: MessageFields) throws(WorkloadMessageRefusal) -> WorkloadProofKind {
        let hasSignature: Bool
        do {
            hasSignature = try WorkloadSignature.isPresent(in: fields)
        } catch {
            throw .signature(error)
        }
        let hasToken: Bool
        do {
            hasToken = try WorkloadProofToken.isPresent(in: fields)
        } catch {
            throw .proofToken(error)
        }
        guard !(hasSignature && hasToken) else { throw .severalProofs }
        let kind: WorkloadProofKind? = hasSignature ? .signature : hasToken ? .proofToken : nil
        guard let kind, demands.kinds.contains(kind) else { throw .noProof }
        return kind
    }

    /// The identity token of a message. Without its proof it says nothing about who has sent it.
    private func identity(_ fields: MessageFields) throws(WorkloadMessageRefusal) -> VerifiedWITSVID {
        let values = fields.values(WorkloadField.identityToken)
        guard let text = values.first else { throw .noIdentityToken }
        guard values.count == 1 else { throw .repeatedIdentityToken }
        let token: VerifiedWITSVID
        do {
            token = try WITSVID.verify(token: text, bundles: bundles, now: now())
        } catch {
            throw .identity(error)
        }
        if let refusal = revocation(token) { throw refusal }
        return token
    }

    private func proof(
        _ kind: WorkloadProofKind, of request: WorkloadRequest, by token: VerifiedWITSVID
    ) throws(WorkloadMessageRefusal) -> WorkloadCaller.Proof {
        let time = now().seconds
        switch kind {
        case .signature:
            do {
                return .signature(
                    try WorkloadSignature.verify(
                        request, key: token.confirmationKey, policy: demands.policy, now: time))
            } catch {
                throw .signature(error)
            }
        case .proofToken:
            do {
                return .proofToken(
                    try WorkloadProofToken.verify(
                        request, key: token.confirmationKey, policy: demands.policy, now: time))
            } catch {
                throw .proofToken(error)
            }
        }
    }

    private func remember(
        _ proof: WorkloadCaller.Proof, of token: VerifiedWITSVID
    ) throws(WorkloadMessageRefusal) {
        // A nonce is no `jti`: each kind has names of its own.
        let (name, end) =
            switch proof {
            case .signature(let signature): ("s" + signature.nonce, signature.expiresAt)
            case .proofToken(let token): ("t" + token.tokenID, token.expiresAt)
            }
        let outcome = seen.insert(
            name, of: Array(token.id.string.utf8), sender: token.id.string, group: token.id.trustDomain.name,
            until: end, now: now().seconds)
        switch outcome {
        case .fresh: return
        case .replayed, .ended: throw .replayed(proof.kind)
        case .full: throw .tooManyProofs
        }
    }

    private static func digest(_ fields: MessageFields) -> [UInt8] {
        Array(SHA256.hash(bytes: Array((fields.values(WorkloadField.identityToken).first ?? "").utf8)))
    }
}

/// Who has sent a request: proven by the key of a WIT-SVID. Only ``WorkloadMessageVerifier`` makes values of this type.
package struct WorkloadCaller: Sendable {
    /// By what it is proven.
    package enum Proof: Sendable {
        case signature(VerifiedRequestSignature)
        case proofToken(VerifiedProofToken)

        package var kind: WorkloadProofKind {
            switch self {
            case .signature: .signature
            case .proofToken: .proofToken
            }
        }
    }

    package let token: VerifiedWITSVID
    package let proof: Proof
    /// SHA-256 of the WIT-SVID, by which records name it.
    package let tokenDigest: [UInt8]

    package var id: SPIFFEID { token.id }

    fileprivate init(_ token: VerifiedWITSVID, _ proof: Proof, digest: [UInt8]) {
        self.token = token
        self.proof = proof
        tokenDigest = digest
    }
}
