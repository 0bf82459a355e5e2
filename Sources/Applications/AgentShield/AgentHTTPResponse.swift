import AsyncHTTPClient
public import NIOCore
public import NIOHTTP1
public import SPIFFE

/// What an agent answered.
public struct AgentHTTPResponse: Sendable {
    /// The status.
    public let status: HTTPResponseStatus
    /// The headers.
    public let headers: HTTPHeaders
    /// The body, as it comes in.
    public let body: Body
    /// Who the server is, as proved when the connection was made. Of several servers behind one client it is the one
    /// connected to last; a client whose rule allows one ID only needs not ask.
    public let server: SPIFFEID?
    /// Whether a connection had to be made while the request was under way.
    public let isNewConnection: Bool
    /// Who has signed the response to a proven request (``AgentProofSource``), wherever TLS ends; `nil` for one that is not signed.
    public let signer: SPIFFEID?

    init(_ response: HTTPClientResponse, server: SPIFFEID?, isNewConnection: Bool, generation: ClientGeneration) {
        status = response.status
        headers = response.headers
        body = Body(base: response.body, generation: generation)
        self.server = server
        self.isNewConnection = isNewConnection
        signer = nil
    }

    private init(_ response: AgentHTTPResponse, signer: SPIFFEID, body: ByteBuffer) {
        status = response.status
        headers = response.headers
        self.body = Body(base: .bytes(body), generation: response.body.generation)
        server = response.server
        isNewConnection = response.isNewConnection
        self.signer = signer
    }

    /// The same response with the body that its signature is over.
    func signed(by signer: SPIFFEID, body: ByteBuffer) -> AgentHTTPResponse {
        AgentHTTPResponse(self, signer: signer, body: body)
    }

    /// The bytes of a response. Holds on to the connection until it has been read or dropped.
    public struct Body: AsyncSequence, Sendable {
        let base: HTTPClientResponse.Body
        let generation: ClientGeneration

        /// Walks through the parts.
        public struct AsyncIterator: AsyncIteratorProtocol {
            var base: HTTPClientResponse.Body.AsyncIterator
            let generation: ClientGeneration

            /// The next part; `nil` at the end.
            public mutating func next() async throws -> ByteBuffer? { try await base.next() }
        }

        /// Walks through the parts, once.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(base: base.makeAsyncIterator(), generation: generation)
        }

        /// The whole body; throws when it is longer than `limit` bytes.
        public func collect(upTo limit: Int) async throws -> ByteBuffer {
            // `self` holds the generation until the end of the call.
            try await base.collect(upTo: limit)
        }
    }
}
