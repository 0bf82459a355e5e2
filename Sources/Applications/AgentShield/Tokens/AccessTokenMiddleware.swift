import Authentication
import HTTPTypes
public import Hummingbird
import NIOCore
import OAuth

/// Lets only requests through whose access token the agent takes; ``AgentTokenCaller/current`` is then who calls, and for whom.
///
/// For a whole router, or for a group of routes that need a scope of their own:
/// `router.group("reports").add(middleware: AccessTokenMiddleware(verifier, scopes: ["Report.Read"]))`. One inside another only
/// looks at the scopes; a token for one approved act is used up by the outer one. Everybody else gets 401 or 403 with the standard's code in `WWW-Authenticate`, and no other word; the
/// reason is logged at level `debug`.
public struct AccessTokenMiddleware<Context: RequestContext>: RouterMiddleware {
    private let verifier: AgentTokenVerifier
    private let scopes: [String]

    /// - Parameter scopes: what the token has to allow, all of it.
    public init(_ verifier: AgentTokenVerifier, scopes: [String] = []) {
        self.verifier = verifier
        self.scopes = scopes
    }

    /// Answers 401 without a good token, 403 for one that does not allow enough, 503 while nobody can tell.
    public func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        switch await verifier.admission(of: request, scopes: scopes) {
        case .refused(let refusal, let status, let headers):
            context.logger.debug("access token refused", metadata: ["reason": "\(refusal)"])
            return Response(status: status, headers: headers)
        case .admitted(let caller, let nonce):
            var response = try await AgentTokenCaller.$proven.withValue(.init(caller: caller, verifier: verifier)) {
                try await next(request, context)
            }
            if let nonce { response.headers[.dpopNonce] = nonce }
            return response
        }
    }
}

/// What a look at a request's access token leads to.
enum TokenAdmission {
    /// The caller. Whoever sends proofs learns the nonce for the next one (RFC 9449 §8.2).
    case admitted(AgentTokenCaller, nonce: String?)
    /// Not admitted, with the challenges for the answer.
    case refused(AccessTokenRefusal, status: HTTPResponse.Status, headers: HTTPFields)
}

extension AgentTokenVerifier {
    /// Looks at the token of a request.
    func admission(of request: Request, scopes: [String]) async -> TokenAdmission {
        let proofs = request.headers[values: .dpop]
        do throws(AccessTokenRefusal) {
            let caller = try await self.caller(request, proofs, scopes: scopes)
            let missing = scopes.filter { !caller.scopes.contains($0) }
            guard missing.isEmpty else { throw .scope(missing: missing) }
            return .admitted(caller, nonce: proofs.isEmpty ? nil : newestNonce)
        } catch {
            let (status, headers) = answer(to: error, request, scopes: scopes)
            return .refused(error, status: status, headers: headers)
        }
    }

    private func caller(
        _ request: Request, _ proofs: [String], scopes: [String]
    ) async throws(AccessTokenRefusal) -> AgentTokenCaller {
        // A proof counts once, so a second look at the same request would refuse it.
        if let proven = AgentTokenCaller.proven, proven.verifier === self { return proven.caller }
        guard let url = url(authority: request.head.authority, path: request.uri.path) else {
            throw .malformed
        }
        return try await caller(
            authorization: request.headers[values: .authorization], proofs: proofs,
            method: request.method.rawValue, url: url, scopes: scopes)
    }

    private func answer(
        to refusal: AccessTokenRefusal, _ request: Request, scopes: [String]
    ) -> (HTTPResponse.Status, HTTPFields) {
        let code = refusal.code
        var headers: HTTPFields = [.cacheControl: "no-store", .contentLength: "0"]
        let status = HTTPResponse.Status(code: code.status(at: .resource))
        guard code != .temporarilyUnavailable else {
            headers[.retryAfter] = "1"
            return (status, headers)
        }
        var details = Challenge.Details()
        if !scopes.isEmpty { details.scope = try? Scope(tokens: scopes) }
        details.resourceMetadata = url(authority: request.head.authority, path: Self.metadataPath)?.string
        // RFC 6750 §3.1: who shows no token is told no error. Otherwise it stands with the scheme that was tried.
        var error: OAuthError?
        if case .noToken = refusal { error = nil } else { error = OAuthError(refusal: refusal) }
        let triesProof =
            request.headers[.authorization]?.lowercased().hasPrefix("dpop ") == true || code == .useDPoPNonce
            || code == .invalidDPoPProof
        headers.append(
            HTTPField(
                name: .wwwAuthenticate, value: Challenge.bearer(triesProof ? nil : error, details).headerValue))
        headers.append(
            HTTPField(
                name: .wwwAuthenticate,
                value: Challenge.dpop(triesProof ? error : nil, details, algorithms: DPoPProof.algorithms).headerValue
            ))
        if triesProof { headers[.dpopNonce] = newestNonce }
        return (status, headers)
    }
}

extension AgentTokenVerifier {
    /// Where the agent's metadata are (RFC 9728 §3).
    static let metadataPath = "/.well-known/oauth-protected-resource"

    /// Has a router say which authorization server issues tokens for this agent (RFC 9728). Anybody may read it.
    public func registerMetadata(on router: Router<some RequestContext>) {
        router.get("\(Self.metadataPath)") { request, _ in try self.metadata(authority: request.head.authority) }
    }

    private func metadata(authority: String?) throws -> Response {
        guard let resource = url(authority: authority, path: ""),
            var metadata = try? ProtectedResourceMetadata(resource: resource.string)
        else { throw HTTPError(.badRequest) }
        metadata.authorizationServers = [settings.issuer]
        metadata.bearerMethods = ["header"]
        if !settings.scopes.isEmpty { metadata.scopesSupported = settings.scopes }
        metadata.dpopAlgorithms = DPoPProof.algorithms.map(\.rawValue)
        return Response(
            status: .ok, headers: [.contentType: "application/json", .cacheControl: "public, max-age=300"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: metadata.serializedBytes)))
    }
}

extension HTTPField.Name {
    // The literals are field names.
    fileprivate static let dpop = HTTPField.Name("DPoP") ?? .accept
    fileprivate static let dpopNonce = HTTPField.Name("DPoP-Nonce") ?? .accept
}
