import HTTPTypes
import Hummingbird
import NIOCore
import OAuth
import PeerHTTP
import SPIFFE
import TokenService

/// The endpoints of the token service: token, introspection, revocation, keys and metadata, in our own form and in that of
/// Microsoft Entra.
struct TokenEndpoints: Sendable {
    let service: TokenService
    let metadata: TokenMetadata
    let limiter: RateLimiter
    /// Looks at the peer of a connection again: its authority may be gone since the handshake.
    let verifyPeer: @Sendable (VerifiedX509SVID) -> VerifiedX509SVID?
    let randomBytes: @Sendable (Int) -> [UInt8]

    /// Largest body that is read, in bytes.
    private static let maximumBody = FormLimits.default.maximumBytes

    func register(on router: Router<HTTPContext>) {
        let tenant = metadata.tenant
        router.post("oauth2/token") { request, context in
            try await token(request, context, .standard)
        }
        router.post("\(tenant)/oauth2/v2.0/token") { request, context in
            try await token(request, context, .entra)
        }
        router.post("oauth2/introspect") { request, context in
            await answer(request, context, .standard, repeatable: []) { call throws(TokenRefusal) in
                try await service.introspect(call).serializedBytes
            }
        }
        router.post("oauth2/revoke") { request, context in
            await answer(request, context, .standard, repeatable: []) { call throws(TokenRefusal) in
                try await service.revoke(call)
                return []
            }
        }
        router.post("oauth2/consume") { request, context in
            await answer(request, context, .standard, repeatable: []) { call throws(TokenRefusal) in
                try await service.consume(call).serializedBytes
            }
        }
        router.post("oauth2/bc-authorize") { request, context in
            await answer(
                request, context, .standard, at: .backchannelAuthentication,
                repeatable: FormParameters.repeatableInTokenRequests
            ) { call throws(TokenRefusal) in
                try await service.backchannelAuthentication(call).backchannelBytes
            }
        }
        router.post("oauth2/txn-authorization") { request, context in
            await answer(request, context, .standard, repeatable: []) { call throws(TokenRefusal) in
                switch try await service.authorizeTransaction(call) {
                case .waiting(let response): response.transactionBytes
                case .token(let response): response.serializedBytes
                }
            }
        }
        metadata.register(on: router)
    }

    private func token(_ request: Request, _ context: HTTPContext, _ profile: TokenProfile) async throws -> Response {
        await answer(request, context, profile, repeatable: FormParameters.repeatableInTokenRequests) {
            call throws(TokenRefusal) in try await service.token(call).serializedBytes
        }
    }

    /// Reads a form, asks, and answers: whatever happens, in JSON that no cache keeps (RFC 6749 §5.1, §5.2).
    private func answer(
        _ request: Request, _ context: HTTPContext, _ profile: TokenProfile, at endpoint: OAuthEndpoint = .token,
        repeatable: [String],
        _ ask: (TokenCall) async throws(TokenRefusal) -> [UInt8]
    ) async -> Response {
        let proofs = request.headers[values: .dpop]
        do throws(OAuthError) {
            if let wait = limiter.refusal(of: 1, from: context.host) {
                service.recordUnreadable(
                    OAuthError(.temporarilyUnavailable, description: "too many requests"), peer: HTTPPeer.current,
                    address: context.host, profile: profile, requestID: Hex.encode(randomBytes(16)))
                return Self.tooMany(seconds: wait)
            }
            let call = try await recordedCall(request, context, profile, proofs, repeatable)
            do throws(TokenRefusal) {
                return response(.ok, try await ask(call), proofs)
            } catch {
                throw error.error
            }
        } catch {
            var response = response(
                HTTPResponse.Status(code: error.status(at: endpoint)), error.serializedBytes, proofs)
            if error.code == .invalidClient, request.headers[.authorization] != nil {
                // RFC 6749 §5.2: the scheme that the client used.
                response.headers[.wwwAuthenticate] = Challenge.basic(realm: "agentshield").headerValue
            }
            if error.code == .temporarilyUnavailable { response.headers[.retryAfter] = "1" }
            return response
        }
    }

    /// A request that cannot be read is refused like any other: the log has it.
    private func recordedCall(
        _ request: Request, _ context: HTTPContext, _ profile: TokenProfile, _ proofs: [String],
        _ repeatable: [String]
    ) async throws(OAuthError) -> TokenCall {
        let requestID = Hex.encode(randomBytes(16))
        do {
            return try await call(request, context, profile, proofs, repeatable, requestID)
        } catch {
            service.recordUnreadable(
                error, peer: HTTPPeer.current, address: context.host, profile: profile, requestID: requestID)
            throw error
        }
    }

    private func call(
        _ request: Request, _ context: HTTPContext, _ profile: TokenProfile, _ proofs: [String],
        _ repeatable: [String], _ requestID: String
    ) async throws(OAuthError) -> TokenCall {
        let authorization = request.headers[values: .authorization]
        guard authorization.count <= 1 else {
            throw OAuthError(.invalidRequest, description: "there is more than one header field `Authorization`")
        }
        guard let type = request.headers[.contentType], FormParameters.isForm(contentType: type) else {
            throw OAuthError(.invalidRequest, description: "the body has to be `\(FormParameters.mediaType)`")
        }
        let body: ByteBuffer
        do {
            body = try await request.body.collect(upTo: Self.maximumBody)
        } catch {
            throw OAuthError(.invalidRequest, description: "the body is too large or incomplete")
        }
        let form: FormParameters
        do {
            form = try FormParameters(parsing: body.readableBytesView, repeatable: repeatable)
        } catch {
            throw OAuthError(.invalidRequest, description: error.description)
        }
        guard let url = metadata.url(of: request) else {
            throw OAuthError(.temporarilyUnavailable)
        }
        return TokenCall(
            form: form, authorization: authorization.first, proofs: proofs, peer: HTTPPeer.current.flatMap(verifyPeer),
            presented: HTTPPeer.unverifiedCertificate, url: url,
            profile: profile, address: context.host, requestID: requestID)
    }

    private func response(_ status: HTTPResponse.Status, _ body: [UInt8], _ proofs: [String]) -> Response {
        var headers = Self.jsonHeaders
        // Whoever sends proofs learns the nonce for the next one, also with a refusal (RFC 9449 §8, §8.2).
        if !proofs.isEmpty { headers[.dpopNonce] = service.proofNonce }
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }

    private static let jsonHeaders: HTTPFields = {
        var headers = HTTPFields()
        for (name, value) in ResponseHeaders.json {
            if let name = HTTPField.Name(name) { headers[name] = value }
        }
        return headers
    }()

    /// RFC 6585 §4.
    private static func tooMany(seconds: Int64) -> Response {
        let error = OAuthError(.temporarilyUnavailable, description: "too many requests")
        return Response(
            status: .tooManyRequests,
            headers: [.contentType: "application/json", .cacheControl: "no-store", .retryAfter: String(seconds)],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: error.serializedBytes)))
    }
}

extension HTTPField.Name {
    // The literals are field names.
    fileprivate static let dpop = HTTPField.Name("DPoP") ?? .accept
    fileprivate static let dpopNonce = HTTPField.Name("DPoP-Nonce") ?? .accept
}
