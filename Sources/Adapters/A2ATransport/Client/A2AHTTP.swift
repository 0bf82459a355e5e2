/// A request that a client of the protocol wants sent.
public struct A2AHTTPRequest: Sendable, Equatable {
    /// The method.
    public var method: String
    /// The absolute URL.
    public var url: String
    /// The header fields; names in any case.
    public var headers: [(name: String, value: String)]
    /// The body; empty for none.
    public var body: [UInt8]

    /// A request.
    public init(method: String, url: String, headers: [(name: String, value: String)] = [], body: [UInt8] = []) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
    }

    /// Whether both are the same in every part.
    public static func == (left: A2AHTTPRequest, right: A2AHTTPRequest) -> Bool {
        left.method == right.method && left.url == right.url && left.body == right.body
            && left.headers.elementsEqual(right.headers) { $0 == $1 }
    }
}

/// An answer whose head is there.
public struct A2AHTTPResponse: Sendable {
    /// The status.
    public let status: Int
    /// The header fields; names in any case.
    public let headers: [(name: String, value: String)]
    /// The body as it comes in; letting go of it ends the exchange.
    public let body: any AsyncSequence<[UInt8], any Error> & Sendable

    /// An answer.
    public init(
        status: Int, headers: [(name: String, value: String)],
        body: any AsyncSequence<[UInt8], any Error> & Sendable
    ) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The first field of a name.
    func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name }?.value
    }
}

/// Sends requests over HTTP, and proves who sends them: with a certificate, with a token, or not at all.
///
/// It throws ``A2AClientError/unreachable(_:)`` when nothing of the request has left, and ``A2AClientError/noAnswer(_:)`` when
/// the connection ended before the answer's head; it follows no redirections and sends nothing again.
public protocol A2AHTTPTransport: Sendable {
    /// Sends a request; returns as soon as the head of the answer is there.
    func send(_ request: A2AHTTPRequest) async throws -> A2AHTTPResponse
}

extension A2AHTTPResponse {
    /// The whole body, if it keeps to the limit.
    func collect(upTo limit: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        try await forEachChunk { chunk in
            guard chunk.count <= limit - bytes.count else { throw A2AClientError.answerTooLarge(limit: limit) }
            bytes += chunk
        }
        return bytes
    }

    /// Hands out the body piece by piece; what the transport throws meanwhile is told as a broken answer.
    func forEachChunk(_ take: ([UInt8]) async throws -> Void) async throws {
        try await Self.walk(body, take)
    }

    private static func walk(
        _ body: some AsyncSequence<[UInt8], any Error>, _ take: ([UInt8]) async throws -> Void
    ) async throws {
        var chunks = body.makeAsyncIterator()
        while true {
            let chunk: [UInt8]?
            do {
                chunk = try await chunks.next()
            } catch let error as CancellationError {
                throw error
            } catch let error as A2AClientError {
                throw error
            } catch {
                throw A2AClientError.answerBroken("\(error)")
            }
            guard let chunk else { return }
            try await take(chunk)
        }
    }
}
