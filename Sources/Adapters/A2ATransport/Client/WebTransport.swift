public import AsyncHTTPClient
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// Requests to servers of the web, whose certificates the system's authorities vouch for; nothing proves who sends them but what
/// the caller adds.
///
/// Without TLS it talks to this machine only: a token must not travel in the clear.
public struct A2AWebTransport: A2AHTTPTransport {
    private let client: HTTPClient
    private let headers: @Sendable () async throws -> [(name: String, value: String)]

    /// - Parameters:
    ///   - client: made with ``configuration``, since one that follows redirections would carry tasks and headers elsewhere; ended by
    ///     its owner.
    ///   - headers: what goes with every request, such as `Authorization`.
    public init(
        client: HTTPClient,
        headers: @escaping @Sendable () async throws -> [(name: String, value: String)] = { [] }
    ) {
        self.client = client
        self.headers = headers
    }

    /// A configuration for such a client: no redirections, and no bound on how long an agent may think.
    public static var configuration: HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.timeout = .init(connect: .seconds(10), read: nil)
        configuration.httpVersion = .http1Only
        configuration.connectionPool.retryConnectionEstablishment = false
        return configuration
    }

    /// Sends a request; returns as soon as the head of the answer is there.
    public func send(_ request: A2AHTTPRequest) async throws -> A2AHTTPResponse {
        guard Self.mayCall(request.url) else {
            throw A2AClientError.unusableAddress(request.url.shown(upTo: 256))
        }
        let http = try await HTTPClientRequest(request, more: headers())
        do {
            return A2AHTTPResponse(try await client.execute(http, deadline: .distantFuture))
        } catch {
            throw A2AClientError(sending: error)
        }
    }

    /// Whether a URL is `https:`, or is of this machine.
    static func mayCall(_ url: String) -> Bool {
        let lower = url.prefix(8).lowercased()
        if lower.hasPrefix("https://") { return url.utf8.count > 8 }
        guard lower.hasPrefix("http://") else { return false }
        let authority = url.dropFirst(7).prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        return (try? GRPCTarget("http://" + authority))?.isLoopback ?? false
    }
}

extension HTTPClientRequest {
    /// The request as async-http-client sends it.
    package init(_ request: A2AHTTPRequest, more headers: [(name: String, value: String)] = []) {
        self.init(url: request.url)
        method = HTTPMethod(rawValue: request.method)
        for (name, value) in request.headers + headers { self.headers.add(name: name, value: value) }
        if !request.body.isEmpty { body = .bytes(request.body) }
    }
}

extension A2AHTTPResponse {
    init(_ response: HTTPClientResponse) {
        self.init(
            status: Int(response.status.code), headers: response.headers.map { ($0.name, $0.value) },
            body: response.body.map { Array($0.readableBytesView) })
    }
}

extension A2AClientError {
    /// What kept a request from its answer.
    package init(sending error: any Error) {
        switch error {
        case let error as A2AClientError: self = error
        case let error as NIOConnectionError:
            self = .unreachable(error.connectionErrors.first.map { "\($0.error)" } ?? "no address")
        case let error as IOError where Self.connectErrors.contains(error.errnoCode):
            self = .unreachable(String(cString: strerror(error.errnoCode)))
        case let error as NIOSSLError: self = .unreachable("\(error)")
        case let error as HTTPClientError where error == .connectTimeout: self = .unreachable("\(error)")
        case let error as HTTPClientError where error == .invalidURL || error == .emptyHost || error == .emptyScheme:
            self = .unusableAddress("\(error)")
        default: self = .noAnswer("\(error)")
        }
    }

    /// What only an attempt to connect fails with.
    private static let connectErrors: Set<CInt> = [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL, ENOENT]
}
