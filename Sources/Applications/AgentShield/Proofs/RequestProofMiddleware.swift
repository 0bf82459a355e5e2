import Authentication
import HTTPTypes
public import Hummingbird
import NIOCore
import Synchronization
import WIMSE

/// Lets only requests through that their sender has proved to be its own; ``AgentProofCaller/current`` is then who that is.
///
/// For a whole router, or for a group of routes: `router.group("jobs").add(middleware: RequestProofMiddleware(verifier))`. Request and
/// signed answer are held in memory: routes with streams are best left outside, or get callers who do not ask for signatures. Everybody
/// else gets 400, 401 or 403 and no other word; the reason is logged at level `debug`.
///
/// A signature covers `Authorization` too: ``AccessTokenMiddleware`` inside this one looks at a token that nobody has exchanged.
public struct RequestProofMiddleware<Context: RequestContext>: RouterMiddleware {
    private let verifier: AgentProofVerifier

    /// Requests have to be proved to this verifier.
    public init(_ verifier: AgentProofVerifier) { self.verifier = verifier }

    /// Answers 400 or 401 without a good proof, 403 for whom the rule does not allow, 413 for a body that is too long, 501 where a
    /// signed answer cannot be had, 503 while nobody can tell.
    public func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        // A proof counts once, so a second look at the same request would refuse it.
        if let proven = AgentProofCaller.proven, proven.verifier === verifier {
            return try await next(request, context)
        }
        var request = request
        let message: WorkloadRequest
        do {
            message = try await self.message(&request)
        } catch is NIOTooManyBytesError {
            return Self.refusal(.contentTooLarge)
        }
        let caller: WorkloadCaller
        do throws(WorkloadMessageRefusal) {
            caller = try await verifier.caller(message)
        } catch {
            context.logger.debug("request not proved", metadata: ["reason": "\(error)"])
            return refusal(error)
        }
        guard verifier.settings.allow.allows(caller.id) else {
            context.logger.debug("caller not allowed", metadata: ["spiffe_id": "\(caller.id)"])
            return Self.refusal(.forbidden)
        }
        var nonce: String?
        if case .signature(let signature) = caller.proof, signature.asksForSignedResponse {
            // Before anything is done: an answer that cannot be signed is none to this caller.
            guard verifier.settings.signsResponses else { return Self.refusal(.notImplemented) }
            guard await verifier.canSign() else { return Self.refusal(.serviceUnavailable) }
            nonce = signature.nonce
        }
        let proven = AgentProofCaller.Proven(caller: AgentProofCaller(caller), verifier: verifier)
        guard let nonce else {
            return try await AgentProofCaller.$proven.withValue(proven) { try await next(request, context) }
        }
        let response: Response
        do {
            response = try await AgentProofCaller.$proven.withValue(proven) { try await next(request, context) }
        } catch let error as any HTTPResponseError {
            response = try error.response(from: request, context: context)
        }
        return try await signed(response, to: message, nonce: nonce, context)
    }

    private func message(_ request: inout Request) async throws -> WorkloadRequest {
        let body = try await request.collectBody(upTo: verifier.settings.bodyLimit)
        return WorkloadRequest(
            method: request.method.rawValue, target: request.head.path ?? "",
            fields: MessageFields(request.headers.map { ($0.name.rawName, $0.value) }),
            body: Array(body.readableBytesView))
    }

    private func signed(
        _ response: Response, to message: WorkloadRequest, nonce: String, _ context: Context
    ) async throws -> Response {
        let writer = WholeBody(limit: verifier.settings.responseLimit)
        do {
            try await response.body.write(writer)
        } catch let error as WholeBody.Refused {
            context.logger.debug("answer not signed", metadata: ["reason": "\(error)"])
            return Self.refusal(.notImplemented)
        }
        var headers = response.headers
        // The answer to HEAD, and one of a status without content, is sent without its body.
        let hasBody = message.method != "HEAD" && ![204, 304].contains(response.status.code)
        let body = hasBody ? writer.bytes : ByteBuffer()
        do throws(AgentProofError) {
            let added = try verifier.sign(
                status: response.status.code, fields: headers.map { ($0.name.rawName, $0.value) },
                body: Array(body.readableBytesView), to: message, nonce: nonce)
            for (name, value) in added {
                guard let name = HTTPField.Name(name) else { continue }
                headers.append(HTTPField(name: name, value: value))
            }
        } catch {
            context.logger.debug("answer not signed", metadata: ["reason": "\(error)"])
            return Self.refusal(.serviceUnavailable)
        }
        if hasBody { headers[.contentLength] = String(body.readableBytes) }
        return Response(status: response.status, headers: headers, body: ResponseBody(byteBuffer: body))
    }

    private func refusal(_ refusal: WorkloadMessageRefusal) -> Response {
        switch refusal.answer {
        case .badRequest: return Self.refusal(.badRequest)
        case .unauthorized:
            guard verifier.settings.takesTokens else { return Self.refusal(.badRequest) }
            var response = Self.refusal(.unauthorized)
            response.headers[.wwwAuthenticate] = WorkloadProofToken.scheme
            return response
        case .unavailable:
            var response = Self.refusal(.serviceUnavailable)
            response.headers[.retryAfter] = "1"
            return response
        }
    }

    private static func refusal(_ status: HTTPResponse.Status) -> Response {
        Response(status: status, headers: [.cacheControl: "no-store", .contentLength: "0"])
    }
}

/// Holds a response's body until it is whole.
private final class WholeBody: ResponseBodyWriter, Sendable {
    enum Refused: Error {
        case tooLong
        /// Fields behind the body, which the signature could not cover.
        case trailers
    }

    private let limit: Int
    // Guards the body while it is written.
    private let body = Mutex(ByteBuffer())

    init(limit: Int) { self.limit = limit }

    var bytes: ByteBuffer { body.withLock { $0 } }

    func write(_ buffer: ByteBuffer) async throws {
        try body.withLock { body in
            guard body.readableBytes + buffer.readableBytes <= limit else { throw Refused.tooLong }
            body.writeImmutableBuffer(buffer)
        }
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {
        guard trailingHeaders?.isEmpty ?? true else { throw Refused.trailers }
    }
}
