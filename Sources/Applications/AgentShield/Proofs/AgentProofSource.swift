public import AsyncHTTPClient
import Authentication
import CredentialClient
import JOSE
import NIOCore
import NIOHTTP1
import OAuth
public import SPIFFE
import WIMSE

/// Proves to the far end that requests are this agent's own, where TLS ends before it: at a gateway, a proxy, a load balancer.
///
/// Each request gets the agent's WIT-SVID and a proof by its key, for this request alone. The identity has to run
/// (``AgentIdentity/run()``); the node agent issues the token when the first request wants it.
public final class AgentProofSource: Sendable {
    /// How requests are proved.
    public enum Kind: Sendable, Hashable {
        /// A signature over method, target, body and all tokens of the request (draft-ietf-wimse-http-signature-07).
        case signature
        /// A token for the receiver in `Authorization` (draft-ietf-wimse-wpt-02). Whoever can change the request on its way can
        /// change method, target and body.
        case token
    }

    /// What requests are proved by, and for whom.
    public struct Settings: Sendable {
        /// How.
        public var kind = Kind.signature
        /// The receiver, by a name agreed upon; the URL without its query where there is none.
        public var audience: String?
        /// How long a proof lasts, from one second to five minutes.
        public var lifetime: Duration = .seconds(60)
        /// Who has to have signed the answer; `nil` where it need not be signed. Only answers to signed requests can be.
        public var signedResponseFrom: PeerRule?
        /// The header fields, apart from `Txn-Token`, whose values are tokens for the receiver: a proof token names them.
        public var contextTokens: [String] = []
        /// Longest body of a request, and of a signed answer, in bytes. Both are held in memory.
        public var bodyLimit = 1 << 20

        /// Signatures, for the URL.
        public init() {}
    }

    private let identity: AgentIdentity
    private let settings: Settings
    private let verifier: WorkloadMessageVerifier

    /// A source of proofs in the name of this agent.
    public init(identity: AgentIdentity, settings: Settings = Settings()) {
        self.identity = identity
        self.settings = settings
        verifier = identity.messageVerifier(.init(WorkloadProofPolicy(audiences: WorkloadAudiences([]))))
        identity.proofs.want()
    }

    /// The request with a proof. It counts once: a request that is sent again is proved again.
    ///
    /// Whatever the proof has to cover has to be there already: body, `Content-Type`, `Authorization`, `Txn-Token`.
    /// - Throws: ``AgentProofError``, or what a body that is a stream throws.
    public func prove(_ request: AgentHTTPRequest) async throws -> AgentProvenRequest {
        guard let url = try? WebURL(request.url), url.isSecure else {
            throw AgentProofError.badRequest("the request's URL does not begin with `https://`")
        }
        guard settings.kind == .signature || settings.signedResponseFrom == nil else {
            throw AgentProofError.badRequest("only answers to signed requests can be signed")
        }
        let seconds = settings.lifetime.components.seconds
        guard (1...300).contains(seconds) else {
            throw AgentProofError.badRequest("a proof lasts from one second to five minutes")
        }
        var request = request
        let body = try await collect(&request)
        let own = try await ownToken()
        request.headers.replaceOrAdd(name: WorkloadField.identityToken, value: own.token)
        request.headers.remove(name: WorkloadField.contentDigest)
        if !body.isEmpty { request.headers.add(name: WorkloadField.contentDigest, value: ContentDigest.value(body)) }
        var target = url.path
        if let query = url.query { target += "?" + query }
        var message = WorkloadRequest(
            method: request.method.rawValue, target: target, fields: MessageFields(request.headers), body: body)
        let nonce = Base64URL.encode(Randomness.bytes(16))
        let now = identity.now().seconds
        let audience = settings.audience ?? url.origin + message.path
        do {
            switch settings.kind {
            case .signature:
                let fields = try WorkloadSignature.sign(
                    message,
                    .init(
                        audience: audience, created: now, expires: now + seconds, nonce: nonce,
                        asksForSignedResponse: settings.signedResponseFrom != nil), key: own.key)
                request.headers.add(name: WorkloadField.signatureInput, value: fields.input)
                request.headers.add(name: WorkloadField.signature, value: fields.signature)
            case .token:
                let present = settings.contextTokens.filter { message.fields.has($0) }
                let proof = try WorkloadProofToken.sign(
                    message.fields,
                    .init(
                        audience: audience, expiresAt: now + seconds, tokenID: nonce, contextTokens: present),
                    key: own.key)
                request.headers.add(
                    name: WorkloadField.authorization, value: "\(WorkloadProofToken.scheme) \(proof)")
            }
        } catch {
            throw AgentProofError.badRequest("the request cannot be proved: \(error)")
        }
        message.fields = MessageFields(request.headers)
        return AgentProvenRequest(
            request: request, message: message, nonce: settings.kind == .signature ? nonce : nil, source: self)
    }

    /// Reads the body and puts it back.
    private func collect(_ request: inout AgentHTTPRequest) async throws -> [UInt8] {
        guard let body = request.body else { return [] }
        var whole = ByteBuffer()
        for try await part in body {
            guard whole.readableBytes + part.readableBytes <= settings.bodyLimit else {
                throw AgentProofError.bodyTooLarge(limit: settings.bodyLimit)
            }
            whole.writeImmutableBuffer(part)
        }
        request.body = .bytes(whole)
        return Array(whole.readableBytesView)
    }

    private func ownToken() async throws(AgentProofError) -> WITSource.Identity {
        do {
            _ = try identity.usable()
            return try await identity.proofs.waitForIdentity(within: .seconds(10))
        } catch {
            throw .noIdentity("\(error)")
        }
    }

    /// Who has signed an answer, and the body that the signature is over; nil for one that is not signed and need not be.
    fileprivate func judge(
        _ proven: AgentProvenRequest, status: Int, headers: HTTPHeaders,
        collect: (Int) async throws -> ByteBuffer
    ) async throws -> (signer: SPIFFEID, body: ByteBuffer)? {
        let fields = MessageFields(headers)
        do {
            guard try WorkloadSignature.isPresent(in: fields) else {
                guard settings.signedResponseFrom == nil else { throw AgentProofError.unsignedResponse(status: status) }
                return nil
            }
        } catch let error as WorkloadSignatureError {
            throw AgentProofError.badResponse(error.description)
        }
        guard let nonce = proven.nonce else {
            throw AgentProofError.badResponse("it answers a request that was not signed")
        }
        let body: ByteBuffer
        do {
            body = try await collect(settings.bodyLimit)
        } catch is NIOTooManyBytesError {
            throw AgentProofError.responseTooLarge(limit: settings.bodyLimit)
        }
        await identity.proofs.waitForBundles(within: .seconds(10))
        let signer: SPIFFEID
        do throws(WorkloadMessageRefusal) {
            signer = try verifier.verify(
                WorkloadResponse(status: status, fields: fields, body: Array(body.readableBytesView)),
                to: proven.message, nonce: nonce
            ).id
        } catch {
            throw AgentProofError.badResponse(error.description)
        }
        if let rule = settings.signedResponseFrom, !rule.allows(signer) {
            throw AgentProofError.signerNotAllowed(signer)
        }
        return (signer, body)
    }
}

/// A request with its proof, and what is needed to judge the answer.
public struct AgentProvenRequest: Sendable {
    /// What to send, by whatever client, over TLS whose server has proved itself.
    public let request: AgentHTTPRequest
    fileprivate let message: WorkloadRequest
    /// The nonce of the signature; nil where the request is not signed.
    fileprivate let nonce: String?
    fileprivate let source: AgentProofSource

    fileprivate init(request: AgentHTTPRequest, message: WorkloadRequest, nonce: String?, source: AgentProofSource) {
        self.request = request
        self.message = message
        self.nonce = nonce
        self.source = source
    }

    /// The answer, and who has signed it; `nil` for nobody. A signed one has been read as a whole, and every signature of the
    /// profile has to hold, whether it was asked for or not.
    /// - Throws: ``AgentProofError``, or what the client says of a body that it cannot read.
    public func check(
        _ response: HTTPClientResponse
    ) async throws -> (response: HTTPClientResponse, signer: SPIFFEID?) {
        let judged = try await source.judge(
            self, status: Int(response.status.code), headers: response.headers
        ) { try await response.body.collect(upTo: $0) }
        guard let judged else { return (response, nil) }
        var response = response
        response.body = .bytes(judged.body)
        return (response, judged.signer)
    }

    /// The same of an answer of ``AgentHTTPClient``, which then has it as ``AgentHTTPResponse/signer``.
    public func check(_ response: AgentHTTPResponse) async throws -> AgentHTTPResponse {
        let judged = try await source.judge(
            self, status: Int(response.status.code), headers: response.headers
        ) { try await response.body.collect(upTo: $0) }
        return judged.map { response.signed(by: $0.signer, body: $0.body) } ?? response
    }
}

extension AgentHTTPClient {
    /// Sends a request with a proof, for somebody behind the server that the client's rule allows, and checks the answer.
    ///
    /// - Throws: ``AgentProofError``, ``AgentShieldError``, or what async-http-client says about HTTP itself.
    public func execute(_ request: AgentHTTPRequest, proving proofs: AgentProofSource) async throws -> AgentHTTPResponse
    {
        let proven = try await proofs.prove(request)
        return try await proven.check(try await execute(proven.request))
    }
}

extension AgentIdentity {
    /// Judges proofs by the WIT bundles and the revocations that the node agent hands out.
    func messageVerifier(_ demands: WorkloadMessageVerifier.Demands) -> WorkloadMessageVerifier {
        let (proofs, revocations) = (self.proofs, self.revocations)
        return WorkloadMessageVerifier(
            demands, bundles: { proofs.authorities(of: $0) },
            revocation: { token in
                switch revocations.refusal(of: token) {
                case nil: nil
                case .revocationsUnknown: .revocationsUnknown
                default: .revoked
                }
            }, now: now)
    }
}

extension MessageFields {
    init(_ headers: HTTPHeaders) { self.init(headers.map { ($0.name, $0.value) }) }
}
