import AuditTrail
import ControlPlaneAPI
import GRPCCore
import SPIFFE
import SwiftProtobuf

/// The calls that a node agent makes, in our own types.
struct ServerCalls: Sendable {
    let client: NodeAPIClient

    /// How long an ordinary call may take.
    static let timeout = Duration.seconds(30)
    /// CSRs in one batch at most, as SPIRE's servers take them.
    static let maximumBatch = 500

    private static var options: CallOptions { NodeAPIClient.options(timeout: timeout) }

    /// What an attestation gives.
    struct Attested: Sendable {
        let chain: [[UInt8]]
        /// The node is to attest again instead of renewing.
        let isReattestable: Bool
    }

    /// Attests the node, answering the server's challenges.
    func attest(_ proof: ProofMessages, csr: [UInt8]) async throws -> Attested {
        let (requests, queue) = AsyncStream.makeStream(of: Spire_Api_Server_Agent_V1_AttestAgentRequest.self)
        queue.yield(
            .with {
                $0.params.data.type = proof.type
                $0.params.data.payload = .init(proof.payload)
                $0.params.params.csr = .init(csr)
            })
        return try await client.agent.attestAgent(
            options: Self.options,
            requestProducer: { writer in
                for await request in requests { try await writer.write(request) }
            },
            onResponse: { response in
                defer { queue.finish() }
                for try await message in response.messages {
                    switch message.step {
                    case .challenge(let challenge):
                        let answer = try proof.answer(Array(challenge))
                        queue.yield(.with { $0.challengeResponse = .init(answer) })
                    case .result(let result):
                        return Attested(
                            chain: result.svid.certChain.map { Array($0) }, isReattestable: result.reattestable)
                    case nil:
                        throw RPCError(code: .failedPrecondition, message: "the server answered with an empty message")
                    }
                }
                throw RPCError(code: .internalError, message: "the server ended the attestation without a result")
            })
    }

    /// A new chain for the node's next key.
    func renew(csr: [UInt8]) async throws -> [[UInt8]] {
        let response = try await client.agent.renewAgent(
            .with { $0.params.csr = .init(csr) }, options: Self.options)
        return response.svid.certChain.map { Array($0) }
    }

    /// Tells the server which software runs here.
    func postStatus(version: String) async throws {
        _ = try await client.agent.postStatus(.with { $0.agentVersion = version }, options: Self.options)
    }

    /// The bundle of the server's own trust domain, which has to be the expected one.
    func bundle(of trustDomain: TrustDomain) async throws -> TrustBundle {
        let bundle = try TrustBundle(try await client.bundles.getBundle(.init(), options: Self.options))
        guard bundle.trustDomain == trustDomain else {
            throw RPCError(
                code: .failedPrecondition,
                message: "the server is of trust domain `\(bundle.trustDomain)`, not `\(trustDomain)`")
        }
        return bundle
    }

    /// The bundle of another trust domain; `nil` when the server has none.
    func federatedBundle(of trustDomain: TrustDomain) async throws -> TrustBundle? {
        do {
            let message = try await client.bundles.getFederatedBundle(
                .with { $0.trustDomain = trustDomain.name }, options: Self.options)
            let bundle = try TrustBundle(message)
            return bundle.trustDomain == trustDomain ? bundle : nil
        } catch let error as RPCError where error.code == .notFound {
            return nil
        }
    }

    /// All entries that this node may serve; those in `known` with an unchanged revision are not sent again.
    func entries(known: [String: AuthorizedEntry]) async throws -> EntryExchange.Outcome {
        let (requests, queue) = AsyncStream.makeStream(of: Spire_Api_Server_Entry_V1_SyncAuthorizedEntriesRequest.self)
        queue.yield(.with { $0.outputMask = AuthorizedEntry.mask })
        return try await client.entries.syncAuthorizedEntries(
            options: Self.options,
            requestProducer: { writer in
                for await request in requests { try await writer.write(request) }
            },
            onResponse: { response in
                defer { queue.finish() }
                var exchange = EntryExchange(known: known)
                for try await message in response.messages {
                    switch try exchange.receive(message) {
                    case .read: continue
                    case .ask(let ids): queue.yield(.with { $0.ids = ids })
                    case .done(let outcome): return outcome
                    }
                }
                throw RPCError(code: .internalError, message: "the server ended the exchange of entries early")
            })
    }

    /// What one CSR of a batch came to.
    enum SigningResult: Sendable {
        case chain([[UInt8]])
        case refused(code: Int32, message: String)
    }

    /// One result for each request, in their order.
    func sign(_ requests: [(entryID: String, csr: [UInt8])]) async throws -> [SigningResult] {
        let response = try await client.svids.batchNewX509SVID(
            .with {
                $0.params = requests.map { request in
                    .with {
                        $0.entryID = request.entryID
                        $0.csr = .init(request.csr)
                    }
                }
            }, options: Self.options)
        guard response.results.count == requests.count else {
            throw RPCError(code: .internalError, message: "the server answered another number of requests")
        }
        return response.results.map { result in
            result.status.code == 0
                ? .chain(result.svid.certChain.map { Array($0) })
                : .refused(code: result.status.code, message: result.status.message)
        }
    }

    /// A signed token for one entry.
    func jwt(entryID: String, audience: [String], timeout: Duration) async throws -> String {
        let response = try await client.svids.newJWTSVID(
            .with {
                $0.entryID = entryID
                $0.audience = audience
            }, options: NodeAPIClient.options(timeout: timeout))
        return response.svid.token
    }

    /// What one key of a batch came to.
    enum WITResult: Sendable {
        case token(String)
        case refused(code: Int32, message: String)
    }

    /// WIT-SVIDs for public keys (SubjectPublicKeyInfo): one result for each request, in their order.
    func signWITs(_ requests: [(entryID: String, publicKey: [UInt8])]) async throws -> [WITResult] {
        let response = try await client.svids.batchNewWITSVID(
            .with {
                $0.params = requests.map { request in
                    .with {
                        $0.entryID = request.entryID
                        $0.publicKey = .init(request.publicKey)
                    }
                }
            }, options: Self.options)
        guard response.results.count == requests.count else {
            throw RPCError(code: .internalError, message: "the server answered another number of requests")
        }
        return response.results.map { result in
            result.status.code == 0
                ? .token(result.svid.token) : .refused(code: result.status.code, message: result.status.message)
        }
    }

    /// Delivers spooled records; returns up to which they are in the log.
    func ship(_ records: [SpoolRecord], spool: String) async throws -> UInt64 {
        let response = try await client.spool.ship(
            .with {
                $0.source = spool
                $0.records = records.map { record in
                    .with {
                        $0.sequence = record.sequence
                        $0.previousHash = .init(record.previousHash)
                        $0.event = .init(record.event)
                    }
                }
            }, options: Self.options)
        return response.acknowledgedSequence
    }

    /// What is revoked, as the control plane signed it.
    struct Revocations: Sendable {
        let token: [UInt8]
        let lists: [[UInt8]]
    }

    /// The newest state of revocations.
    func revocations() async throws -> Revocations {
        let answer = try await client.revocations.getSnapshot(.init(), options: Self.options)
        return Revocations(token: Array(answer.token), lists: answer.revocationLists.map { Array($0) })
    }

    /// Follows the server's news until the stream ends; `heard` is called for each message.
    func watch(_ heard: @escaping @Sendable (Agentshield_Node_V1_Change) -> Void) async throws {
        try await client.push.watch(.init(), options: NodeAPIClient.options(timeout: nil)) { response in
            for try await change in response.messages { heard(change) }
        }
    }
}
