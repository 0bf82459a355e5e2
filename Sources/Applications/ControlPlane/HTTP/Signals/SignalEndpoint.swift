import HTTPTypes
import Hummingbird
import NIOCore
import OAuth

/// Push delivery of security event tokens (RFC 8935).
struct SignalEndpoint: Sendable {
    let receiver: SignalReceiver
    /// By address, before anything is read.
    let limiter: RateLimiter

    func register(on router: Router<HTTPContext>) {
        router.post("\(SignalReceiver.path)") { request, context in await answer(request, context) }
    }

    private func answer(_ request: Request, _ context: HTTPContext) async -> Response {
        if let wait = limiter.refusal(of: 1, from: context.host) { return Self.later(.tooManyRequests, wait) }
        do throws(SignalReceiver.Refusal) {
            try await receiver.receive(try await token(of: request), from: context.host)
            return Response(status: .accepted, headers: [.cacheControl: "no-store"])
        } catch {
            switch error {
            case .delivery(let error): return Self.refusal(error)
            case .tooMany(let seconds): return Self.later(.tooManyRequests, seconds)
            case .unavailable: return Self.later(.serviceUnavailable, 1)
            }
        }
    }

    private func token(of request: Request) async throws(SignalReceiver.Refusal) -> [UInt8] {
        guard let type = request.headers[.contentType],
            MediaType.name(of: type) == UnverifiedSecurityEvent.mediaType
        else {
            let reason = "the body has to be `\(UnverifiedSecurityEvent.mediaType)`"
            throw .delivery(EventDeliveryError(.invalidRequest, reason))
        }
        do {
            let body = try await request.body.collect(upTo: UnverifiedSecurityEvent.maximumLength)
            return Array(body.readableBytesView)
        } catch {
            throw .delivery(EventDeliveryError(.invalidRequest, "the body is too large or incomplete"))
        }
    }

    /// RFC 8935 §2.3.
    private static func refusal(_ error: EventDeliveryError) -> Response {
        Response(
            status: error.code == .authenticationFailed ? .unauthorized : .badRequest,
            headers: [
                .contentType: "application/json", .contentLanguage: "en", .cacheControl: "no-store",
            ], body: ResponseBody(byteBuffer: ByteBuffer(bytes: error.serializedBytes)))
    }

    private static func later(_ status: HTTPResponse.Status, _ seconds: Int64) -> Response {
        Response(status: status, headers: [.retryAfter: String(seconds), .cacheControl: "no-store"])
    }
}
