import GRPCCore
import PeerRPC
package import SPIFFE

/// A client of a Workload API. Calls need ``run()`` to be running; trying again is up to the caller.
package final class WorkloadAPIClient: Sendable {
    private typealias Transport = PeerClientTransport

    private let client: GRPCClient<Transport>

    /// Longest response, in bytes.
    package static let maximumResponseBytes = 16 * 1024 * 1024
    /// How long a call with one answer may take.
    package static let callTimeout: Duration = .seconds(30)

    /// A client of the Workload API at `endpoint`; connects on ``run()``.
    package init(endpoint: WorkloadEndpoint) {
        let target: PeerClientSettings.Target =
            switch endpoint {
            case .unix(let path): .unixSocket(path: path)
            case .tcp(let address, let port): .host(address, port: port)
            }
        client = GRPCClient(
            transport: PeerClientTransport(
                PeerClientSettings(
                    target: target, security: .plaintext,
                    pauses: .init(first: .milliseconds(50), longest: .seconds(5)))),
            interceptors: [WorkloadHeaderClientInterceptor()])
    }

    /// Keeps the connection until ``shutDown()`` or cancellation.
    package func run() async throws { try await client.runConnections() }

    /// Ends ``run()`` when the calls under way are done.
    package func shutDown() { client.beginGracefulShutdown() }

    /// The workload's X509-SVIDs and bundles, now and after each change; a slow reader gets the newest state only.
    ///
    /// Fails with a ``WorkloadAPIError``; ends when the server ends the stream.
    package func streamX509Contexts() -> AsyncThrowingStream<WorkloadX509Context, any Error> {
        stream { service, yield in
            try await service.fetchX509SVID(Workload_X509SVIDRequest(), options: Self.streamOptions) { response in
                for try await message in response.messages { yield(try message.parsed()) }
            }
        }
    }

    /// The X.509 bundles, now and after each change.
    package func streamX509Bundles() -> AsyncThrowingStream<WorkloadX509Bundles, any Error> {
        stream { service, yield in
            try await service.fetchX509Bundles(
                Workload_X509BundlesRequest(), options: Self.streamOptions
            ) { response in
                for try await message in response.messages { yield(try message.parsed()) }
            }
        }
    }

    /// The JWT bundles, now and after each change.
    package func streamJWTBundles() -> AsyncThrowingStream<WorkloadJWTBundles, any Error> {
        stream { service, yield in
            try await service.fetchJWTBundles(
                Workload_JWTBundlesRequest(), options: Self.streamOptions
            ) { response in
                for try await message in response.messages { yield(try message.parsed()) }
            }
        }
    }

    /// The workload's WIT-SVIDs with their keys, now and after each change; of one identity only if `id` is given.
    package func streamWITSVIDs(id: SPIFFEID? = nil) -> AsyncThrowingStream<WorkloadWITSVIDs, any Error> {
        let request = Workload_WITSVIDRequest.with { $0.spiffeID = id?.string ?? "" }
        return stream { service, yield in
            try await service.fetchWITSVID(request, options: Self.streamOptions) { response in
                for try await message in response.messages { yield(try message.parsed()) }
            }
        }
    }

    /// The WIT bundles, now and after each change.
    package func streamWITBundles() -> AsyncThrowingStream<WorkloadWITBundles, any Error> {
        stream { service, yield in
            try await service.fetchWITBundles(
                Workload_WITBundlesRequest(), options: Self.streamOptions
            ) { response in
                for try await message in response.messages { yield(try message.parsed()) }
            }
        }
    }

    /// What the node agent knows of revocations: now, after each change, and with each sign of life of the control plane.
    ///
    /// Fails with `unimplemented` where the Workload API is somebody else's.
    package func streamRevocations() -> AsyncThrowingStream<WorkloadRevocations, any Error> {
        let service = Agentshield_Workload_V1_Revocation.Client(wrapping: client)
        return stream { _, yield in
            try await service.watch(.init(), options: Self.streamOptions) { response in
                // The snapshot comes once; a slow reader must not miss it with the state that it came in.
                var snapshot: [UInt8] = []
                for try await message in response.messages {
                    if !message.snapshot.isEmpty { snapshot = Array(message.snapshot) }
                    yield(
                        WorkloadRevocations(
                            snapshot: snapshot, age: message.ageMilliseconds < 0 ? nil : message.ageMilliseconds,
                            isOffered: !message.notOffered))
                }
            }
        }
    }

    /// JWT-SVIDs good for every audience: one per identity, or of the one asked for. Never empty.
    package func fetchJWTSVIDs(
        audience: [String], id: SPIFFEID? = nil
    ) async throws(WorkloadAPIError) -> [WorkloadJWTSVID] {
        let request = Workload_JWTSVIDRequest.with {
            $0.audience = audience
            $0.spiffeID = id?.string ?? ""
        }
        let response = try await call { try await $0.fetchJWTSVID(request, options: Self.callOptions) }
        guard !response.svids.isEmpty else { throw .malformedResponse("the Workload API sent no JWT-SVID") }
        var svids: [WorkloadJWTSVID] = []
        for svid in response.svids { svids.append(try svid.parsed()) }
        return svids
    }

    /// The first JWT-SVID of ``fetchJWTSVIDs(audience:id:)``: the default identity's.
    package func fetchJWTSVID(
        audience: [String], id: SPIFFEID? = nil
    ) async throws(WorkloadAPIError) -> WorkloadJWTSVID {
        guard let first = try await fetchJWTSVIDs(audience: audience, id: id).first else {
            throw .malformedResponse("the Workload API sent no JWT-SVID")
        }
        return first
    }

    /// Lets the Workload API verify a token; `invalidArgument` when it is not valid.
    package func validateJWTSVID(
        _ token: String, audience: String
    ) async throws(WorkloadAPIError) -> WorkloadJWTValidation {
        let request = Workload_ValidateJWTSVIDRequest.with {
            $0.audience = audience
            $0.svid = token
        }
        let response = try await call { try await $0.validateJWTSVID(request, options: Self.callOptions) }
        guard let claims = response.claims.json else {
            throw .malformedResponse("the Workload API sent malformed claims")
        }
        return WorkloadJWTValidation(id: try WorkloadMessage.id(response.spiffeID), claims: claims)
    }

    private static var streamOptions: CallOptions {
        var options = CallOptions.defaults
        options.waitForReady = false
        options.maxResponseMessageBytes = maximumResponseBytes
        return options
    }

    private static var callOptions: CallOptions {
        var options = streamOptions
        options.timeout = callTimeout
        return options
    }

    private func call<Response: Sendable>(
        _ body: (Workload_SpiffeWorkloadAPI.Client<Transport>) async throws -> Response
    ) async throws(WorkloadAPIError) -> Response {
        do {
            return try await body(Workload_SpiffeWorkloadAPI.Client(wrapping: client))
        } catch {
            throw Self.workloadError(error)
        }
    }

    private func stream<State: Sendable>(
        _ body:
            @escaping @Sendable (
                Workload_SpiffeWorkloadAPI.Client<Transport>, @escaping @Sendable (State) -> Void
            ) async throws -> Void
    ) -> AsyncThrowingStream<State, any Error> {
        let service = Workload_SpiffeWorkloadAPI.Client(wrapping: client)
        return AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let task = Task {
                do {
                    try await body(service) { _ = continuation.yield($0) }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: Self.workloadError(error))
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    private static func workloadError(_ error: any Error) -> WorkloadAPIError {
        switch error {
        case let error as WorkloadAPIError: error
        case let error as RPCError: WorkloadAPIError(error)
        case is CancellationError: .unavailable("the call was cancelled")
        default: .unavailable("the Workload API cannot be reached")
        }
    }
}

/// Adds the header that the Workload API demands.
struct WorkloadHeaderClientInterceptor: ClientInterceptor {
    func intercept<Input: Sendable, Output: Sendable>(
        request: StreamingClientRequest<Input>, context: ClientContext,
        next: (StreamingClientRequest<Input>, ClientContext) async throws -> StreamingClientResponse<Output>
    ) async throws -> StreamingClientResponse<Output> {
        var request = request
        request.metadata.replaceOrAddString("true", forKey: WorkloadHeaderInterceptor.header)
        return try await next(request, context)
    }
}
