package import A2A
import Crypto
import HTTPTypes
package import Hummingbird
import JOSE
import NIOCore
import Synchronization

/// The other end of push notifications: what an agent that has asked for them does with a POST.
package final class PushReceiver: Sendable {
    /// What one notification says.
    package struct Notification: Sendable, Equatable {
        /// The task; a message may be about none.
        package let taskID: String?
        package let event: StreamEvent
    }

    /// What our agents name an event by in each attempt (draft-ietf-httpapi-idempotency-key-header).
    static let keyName = "Idempotency-Key"

    private let token: SHA256Digest
    private let authorization: SHA256Digest?
    private let maximumBodySize: Int
    private let seen: Mutex<Seen>

    /// - Parameters:
    ///   - token: what the configuration has as its token.
    ///   - authorization: scheme and credentials of the configuration with a space between them; `nil` when it has none.
    ///   - remembered: how many notifications are told apart from their repetitions.
    package init(
        token: String, authorization: String? = nil, maximumBodySize: Int = 8 << 20, remembered: Int = 4096
    ) {
        self.token = Self.digest(token)
        self.authorization = authorization.map(Self.digest)
        self.maximumBodySize = maximumBodySize
        seen = Mutex(Seen(limit: max(remembered, 1)))
    }

    /// Answers a POST: reads it when its sender knows the secrets, and hands it on unless it was handled before.
    ///
    /// - Parameter handle: what to do with the notification. When it throws, the sender is told to come again.
    package func respond(
        to request: Request, handle: (Notification) async throws -> Void
    ) async -> Response {
        guard request.method == .post else {
            return Response(status: .methodNotAllowed, headers: [.allow: "POST", .contentLength: "0"])
        }
        guard isFromAgent(request.headers) else { return Self.answer(.unauthorized) }
        guard MediaType.isJSON(request.headers[.contentType]) else { return Self.answer(.unsupportedMediaType) }
        let body: ByteBuffer
        do {
            body = try await request.body.collect(upTo: maximumBodySize)
        } catch is NIOTooManyBytesError {
            return Self.answer(.contentTooLarge)
        } catch {
            return Self.answer(.badRequest)
        }
        let notification: Notification
        do {
            let limits = JSONLimits(maximumBytes: maximumBodySize, maximumDepth: 64)
            let event = try StreamEvent(json: JSONValue(parsing: body.readableBytesView, limits: limits))
            notification = Notification(taskID: event.taskID, event: event)
        } catch {
            return Self.answer(.badRequest)
        }
        let key = Self.key(of: notification.event, request.headers, body)
        switch seen.withLock({ $0.begin(key) }) {
        case .handled: return Self.answer(.noContent)
        // The sender has not waited for the end of its first attempt.
        case .busy: return Self.answer(.serviceUnavailable)
        case .new: break
        }
        do {
            try await handle(notification)
        } catch {
            seen.withLock { $0.forget(key) }
            return Self.answer(.internalServerError)
        }
        seen.withLock { $0.end(key) }
        return Self.answer(.noContent)
    }

    /// Digests are compared, in constant time, whatever the lengths of the texts.
    private func isFromAgent(_ headers: HTTPFields) -> Bool {
        let hasToken = Self.digest(headers[.a2aNotificationToken] ?? "") == token
        guard let authorization else { return hasToken }
        return (Self.digest(headers[.authorization] ?? "") == authorization) && hasToken
    }

    private static func digest(_ text: String) -> SHA256Digest { SHA256.hash(data: Array(text.utf8)) }

    private static func answer(_ status: HTTPResponse.Status) -> Response {
        var headers: HTTPFields = [:]
        if status != .noContent { headers[.contentLength] = "0" }
        if status == .serviceUnavailable { headers[.retryAfter] = "1" }
        return Response(status: status, headers: headers)
    }

    /// What a repetition has in common with the first attempt. An agent that names no key repeats the same bytes; only where these
    /// hold a time, they are those of no other event.
    private static func key(of event: StreamEvent, _ headers: HTTPFields, _ body: ByteBuffer) -> SHA256Digest? {
        if let name = headers[.idempotencyKey] { return digest("key \(name)") }
        switch event {
        case .task(let task) where task.status.timestamp != nil: break
        case .status(let update) where update.status.timestamp != nil: break
        case .task, .status, .artifact, .message: return nil
        }
        return SHA256.hash(data: body.readableBytesView)
    }

    /// The latest notifications, as many as the limit says.
    private struct Seen {
        enum Verdict { case new, busy, handled }

        private let limit: Int
        private var isHandled: [SHA256Digest: Bool] = [:]
        private var order: [SHA256Digest] = []
        private var oldest = 0

        init(limit: Int) { self.limit = limit }

        mutating func begin(_ key: SHA256Digest?) -> Verdict {
            guard let key else { return .new }
            if let isHandled = isHandled[key] { return isHandled ? .handled : .busy }
            isHandled[key] = false
            if order.count < limit {
                order.append(key)
            } else {
                isHandled[order[oldest]] = nil
                order[oldest] = key
                oldest = (oldest + 1) % limit
            }
            return .new
        }

        mutating func end(_ key: SHA256Digest?) {
            // One that has had to make room meanwhile stays forgotten.
            if let key, isHandled[key] != nil { isHandled[key] = true }
        }

        mutating func forget(_ key: SHA256Digest?) {
            guard let key, isHandled.removeValue(forKey: key) != nil, let place = order.firstIndex(of: key) else {
                return
            }
            // The ring keeps its order, beginning with its oldest.
            order = Array(order[oldest...] + order[..<oldest])
            order.remove(at: (place - oldest + order.count) % order.count)
            oldest = 0
        }
    }
}

extension StreamEvent {
    fileprivate var taskID: String? {
        switch self {
        case .task(let task): task.id
        case .message(let message): message.taskID
        case .status(let update): update.taskID
        case .artifact(let update): update.taskID
        }
    }
}

extension HTTPField.Name {
    // The literals are field names.
    static let a2aNotificationToken = HTTPField.Name(PushDestination.tokenName) ?? .accept
    static let idempotencyKey = HTTPField.Name(PushReceiver.keyName) ?? .accept
}
