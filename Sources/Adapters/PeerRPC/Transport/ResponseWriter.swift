import GRPCCore
import NIOCore

/// The response side of a call, from whatever thread its handler runs on.
struct ResponseWriter: ClosableRPCWriterProtocol {
    typealias Element = RPCResponsePart<MessageBytes>

    private let handler: NIOLoopBound<CallHandler>
    private let loop: any EventLoop

    init(_ handler: NIOLoopBound<CallHandler>, _ loop: any EventLoop) {
        self.handler = handler
        self.loop = loop
    }

    /// Returns when there is room for the next part.
    func write(_ part: Element) async throws {
        guard loop.inEventLoop else {
            let handler = handler
            return try await loop.flatSubmit {
                do {
                    return try handler.value.send(part) ?? handler.eventLoop.makeSucceededVoidFuture()
                } catch {
                    return handler.eventLoop.makeFailedFuture(error)
                }
            }.get()
        }
        try await handler.value.send(part)?.get()
    }

    func write(contentsOf parts: some Sequence<Element>) async throws {
        for part in parts { try await write(part) }
    }

    func finish() async {
        abandon()
    }

    func finish(throwing error: any Error) async {
        abandon()
    }

    private func abandon() {
        guard loop.inEventLoop else {
            let handler = handler
            return loop.execute { handler.value.abandon() }
        }
        handler.value.abandon()
    }
}
