package import GRPCCore
import NIOCore
package import NIOPosix

/// gRPC's client transport over one HTTP/2 connection, which it keeps: a call's tasks run on the connection's event loop, so
/// that a call costs two changes of threads at most (docs/decisions/14-own-grpc-transport.md).
///
/// It connects by itself while ``connect()`` runs, and again when the connection ends. Calls wait for the first attempt; once
/// one has failed, calls that do not wait for ready fail with its error until there is a connection again.
package final class PeerClientTransport: ClientTransport {
    package typealias Bytes = MessageBytes

    /// Longest message of a response, in bytes, unless the call says otherwise (gRPC's default).
    package static let maximumResponseBytes = 4 * 1024 * 1024

    private let loop: any EventLoop
    private let executor: EventLoopExecutor
    private let keeper: NIOLoopBoundBox<ConnectionKeeper>
    private let peer: String

    package init(_ settings: PeerClientSettings, group: MultiThreadedEventLoopGroup = .singleton) {
        let loop = group.next()
        self.loop = loop
        executor = EventLoopExecutor(loop)
        keeper = .makeBoxSendingValue(ConnectionKeeper(settings, loop), eventLoop: loop)
        peer = settings.target.description
    }

    package var retryThrottle: RetryThrottle? { nil }

    package func config(forMethod descriptor: MethodDescriptor) -> MethodConfig? { nil }

    /// Keeps the connection until a graceful shutdown has ended the last call, or until the task is cancelled.
    package func connect() async throws {
        await withTaskCancellationHandler {
            try? await loop.flatSubmit { [keeper] in keeper.value.start() }.get()
        } onCancel: {
            loop.execute { [keeper] in keeper.value.abort() }
        }
    }

    package func beginGracefulShutdown() {
        loop.execute { [keeper] in keeper.value.shutDown() }
    }

    package func withStream<T: Sendable>(
        descriptor: MethodDescriptor, options: CallOptions,
        _ body: (_ stream: RPCStream<Inbound, Outbound>, _ context: ClientContext) async throws -> T
    ) async throws -> T {
        let request = CallRequest(
            path: "/" + descriptor.fullyQualifiedMethod, waitsForReady: options.waitForReady ?? true,
            maximumResponseBytes: options.maxResponseMessageBytes ?? Self.maximumResponseBytes)
        return try await withTaskExecutorPreference(executor) {
            let (call, response) = try await makeCall(request)
            return try await withTaskCancellationHandler {
                defer { end(call) }
                return try await body(
                    RPCStream(
                        descriptor: descriptor, inbound: RPCAsyncSequence(wrapping: response),
                        outbound: RPCWriter.Closable(wrapping: CallWriter(call, loop))),
                    ClientContext(descriptor: descriptor, remotePeer: peer, localPeer: ""))
            } onCancel: {
                end(call)
            }
        }
    }

    private func makeCall(
        _ request: CallRequest
    ) async throws -> (NIOLoopBound<ClientCall>, ClientCall.ResponseQueue) {
        let make = { @Sendable [keeper, loop] in
            let call = ClientCall(request, keeper.value, loop)
            return (NIOLoopBound(call, eventLoop: loop), call.response)
        }
        return loop.inEventLoop ? make() : try await loop.submit(make).get()
    }

    private func end(_ call: NIOLoopBound<ClientCall>) {
        guard loop.inEventLoop else { return loop.execute { call.value.end() } }
        call.value.end()
    }
}

extension PeerClientSettings.Target: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unixSocket(let path): "unix:\(path)"
        case .host(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }
}
