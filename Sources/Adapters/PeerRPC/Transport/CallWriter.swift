import GRPCCore
import NIOCore

/// The side of a call that sends, on its event loop.
protocol SendingSide: AnyObject, SendableMetatype {
    associatedtype Part: CallPart

    /// Writes a part. If it returns a future, the stream is full and the next part waits for it.
    func send(_ part: Part) throws -> EventLoopFuture<Void>?
    /// No more parts come.
    func finishSending()
    /// No more parts come, and what was sent is not all.
    func abandonSending()
}

/// Sends from whatever thread the user of the call runs on.
struct CallWriter<Side: SendingSide>: ClosableRPCWriterProtocol {
    typealias Element = Side.Part

    private let side: NIOLoopBound<Side>
    private let loop: any EventLoop

    init(_ side: NIOLoopBound<Side>, _ loop: any EventLoop) {
        self.side = side
        self.loop = loop
    }

    /// Returns when there is room for the next part.
    func write(_ part: Element) async throws {
        guard loop.inEventLoop else {
            let side = side
            return try await loop.flatSubmit {
                do {
                    return try side.value.send(part) ?? side.eventLoop.makeSucceededVoidFuture()
                } catch {
                    return side.eventLoop.makeFailedFuture(error)
                }
            }.get()
        }
        try await side.value.send(part)?.get()
    }

    func write(contentsOf parts: some Sequence<Element>) async throws {
        for part in parts { try await write(part) }
    }

    func finish() async {
        onLoop { $0.finishSending() }
    }

    func finish(throwing error: any Error) async {
        onLoop { $0.abandonSending() }
    }

    private func onLoop(_ body: @escaping @Sendable (Side) -> Void) {
        guard loop.inEventLoop else {
            let side = side
            return loop.execute { body(side.value) }
        }
        body(side.value)
    }
}
