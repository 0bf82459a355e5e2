import Authentication
import CredentialClient
import JOSE
import WIMSE

/// Judges the proofs of requests to this agent, where TLS ends before it, and signs its answers.
///
/// The identity has to run (``AgentIdentity/run()``): keys and revocations come from the node agent. While they have not come, no
/// request is taken.
public final class AgentProofVerifier: Sendable {
    /// What the agent demands.
    public struct Settings: Sendable {
        /// The names that the agent goes by in proofs. One of the form `https://HOST[:PORT]` stands for all targets there. The
        /// request's own `Host` means nothing.
        public var audiences: [String]
        /// Who may call.
        public var allow = PeerRule.anyVerified
        /// Whether proof tokens are taken too, which say nothing about method, target and body: for where nobody between caller
        /// and agent could change those.
        public var takesTokens = false
        /// The header fields, apart from `Txn-Token`, whose values the agent takes as tokens: a proof token has to name them.
        public var contextTokens: [String] = []
        /// Whether answers are signed for callers who ask for it. If not, they get 501 and nothing is done.
        public var signsResponses = true
        /// Longest body of a request, in bytes. It is held in memory.
        public var bodyLimit = 1 << 20
        /// Longest answer that is signed, in bytes. It is held in memory.
        public var responseLimit = 1 << 20

        /// Signed requests of everybody, for these names.
        public init(audiences: [String]) { self.audiences = audiences }
    }

    let settings: Settings
    private let identity: AgentIdentity
    private let verifier: WorkloadMessageVerifier

    /// A verifier for this agent.
    public init(identity: AgentIdentity, _ settings: Settings) throws(AgentProofError) {
        guard !settings.audiences.isEmpty,
            settings.audiences.allSatisfy({ (1...WorkloadAudiences.maximumLength).contains($0.utf8.count) })
        else { throw .badRequest("the agent needs an audience of at most \(WorkloadAudiences.maximumLength) bytes") }
        self.settings = settings
        self.identity = identity
        verifier = identity.messageVerifier(
            .init(
                WorkloadProofPolicy(
                    audiences: WorkloadAudiences(settings.audiences), contextTokens: settings.contextTokens),
                kinds: settings.takesTokens ? [.signature, .proofToken] : [.signature]))
        identity.proofs.want()
    }

    func caller(_ request: WorkloadRequest) async throws(WorkloadMessageRefusal) -> WorkloadCaller {
        if !identity.proofs.hasBundles { await identity.proofs.waitForBundles(within: .seconds(2)) }
        guard identity.proofs.hasBundles else { throw .keysUnavailable }
        return try verifier.verify(request)
    }

    /// Whether there is a token to sign answers with.
    func canSign() async -> Bool {
        guard (try? identity.usable()) != nil else { return false }
        return (try? await identity.proofs.waitForIdentity(within: .seconds(2))) != nil
    }

    /// The header fields of a signed answer, its identity token and digest included.
    func sign(
        status: Int, fields: [(name: String, value: String)], body: [UInt8], to request: WorkloadRequest, nonce: String
    ) throws(AgentProofError) -> [(name: String, value: String)] {
        guard let own = identity.proofs.identity else { throw .noIdentity("there is no WIT-SVID") }
        var added: [(name: String, value: String)] = [(WorkloadField.identityToken, own.token)]
        if !body.isEmpty { added.append((WorkloadField.contentDigest, ContentDigest.value(body))) }
        let now = identity.now().seconds
        do {
            let signed = try WorkloadSignature.sign(
                WorkloadResponse(status: status, fields: MessageFields(fields + added), body: body), to: request,
                .init(
                    created: now, expires: now + 60, nonce: Base64URL.encode(Randomness.bytes(16)), requestNonce: nonce),
                key: own.key)
            return added + [(WorkloadField.signatureInput, signed.input), (WorkloadField.signature, signed.signature)]
        } catch {
            throw .badRequest("the answer cannot be signed: \(error)")
        }
    }
}
