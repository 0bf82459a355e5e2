import AsyncHTTPClient
import NIOCore
import NIOSSL
import PeerTLS
import SPIFFE
import Synchronization

/// Connections made with one identity. A newer identity gets a generation of its own; this one ends with its last
/// response.
final class ClientGeneration: Sendable {
    /// What is known about the connections of a generation.
    struct Ledger: Sendable {
        /// How many were made.
        var made = 0
        /// How many are open now.
        var open = 0
        /// Who the server of the newest one is.
        var server: SPIFFEID?
    }

    let identity: TLSIdentity
    let client: HTTPClient
    private let connections: Connections

    /// - Parameter limit: how many connections to one server at once.
    init(
        _ identity: TLSIdentity, rule: PeerRule, verifier: PeerVerifier, settings: AgentHTTPClient.Settings, limit: Int,
        isIdentityThere: @escaping @Sendable () -> Bool, now: @escaping @Sendable () -> UnixTime
    ) throws {
        self.identity = identity
        let connections = Connections()
        self.connections = connections
        let trusted = identity.bundles.values.filter { rule.concerns($0.trustDomain) }
        guard trusted.contains(where: { !$0.authorities.isEmpty }) else { throw AgentShieldError.noTrustedAuthority }
        var configuration = HTTPClient.Configuration(
            tlsConfiguration: try Self.tlsConfiguration(identity, trusting: trusted),
            redirectConfiguration: .disallow,
            timeout: .init(connect: .init(settings.connectTimeout), read: .init(settings.readTimeout)),
            connectionPool: .init(idleTimeout: .seconds(60), concurrentHTTP1ConnectionsPerHostSoftLimit: limit))
        configuration.httpVersion = .http1Only
        // A refused server is refused at once, not tried again until the time is over.
        configuration.connectionPool.retryConnectionEstablishment = false
        let judge = ServerJudge(
            rule: rule, verifier: verifier, onlyTrusted: trusted.count == 1 ? trusted.first?.trustDomain : nil, now: now
        )
        configuration.http1_1ConnectionDebugInitializer = { channel in
            // Runs after the handshake and before the pool knows the connection, so before any request.
            channel.eventLoop.makeCompletedFuture {
                do {
                    guard isIdentityThere() else { throw AgentShieldError.identityWithdrawn }
                    let server = try judge.judge(channel)
                    try judge.keep(channel, server)
                    connections.add(channel, server.id)
                } catch {
                    // After the pool has taken note of the failure.
                    channel.eventLoop.execute { channel.close(promise: nil) }
                    throw error
                }
            }
        }
        configuration.http2ConnectionDebugInitializer = { channel in
            channel.eventLoop.makeFailedFuture(AgentShieldError.unverifiedServer("it did not agree to HTTP/1.1"))
        }
        client = HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: configuration)
    }

    deinit {
        // Every response holds its generation: nothing is under way any more.
        client.shutdown { _ in }
    }

    var ledger: Ledger { connections.ledger.withLock { $0 } }

    /// Whether connections made now would use the same identity and believe the same authorities.
    func isSame(as other: TLSIdentity) -> Bool {
        identity.svid.chain == other.svid.chain && identity.bundles == other.bundles
    }

    private final class Connections: Sendable {
        let ledger = Mutex(Ledger())

        func add(_ channel: any Channel, _ server: SPIFFEID) {
            ledger.withLock {
                $0.made += 1
                $0.open += 1
                $0.server = server
            }
            channel.closeFuture.whenComplete { _ in
                self.ledger.withLock { $0.open -= 1 }
            }
        }
    }

    private static func tlsConfiguration(
        _ identity: TLSIdentity, trusting bundles: [X509Bundle]
    ) throws -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv13
        // The name of a server is its SPIFFE ID, which `ServerJudge` checks.
        configuration.certificateVerification = .noHostnameVerification
        configuration.trustRoots = .certificates(
            try bundles.flatMap(\.authorities).map { try NIOSSLCertificate(bytes: $0.der, format: .der) })
        configuration.certificateChain = try identity.svid.chain.map {
            .certificate(try NIOSSLCertificate(bytes: $0, format: .der))
        }
        configuration.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: identity.svid.pkcs8, format: .der))
        return configuration
    }
}

/// Decides about the server of a connection whose handshake has ended.
struct ServerJudge: Sendable {
    let rule: PeerRule
    let verifier: PeerVerifier
    /// The trust domain whose authorities alone the TLS library believed, if it was one.
    let onlyTrusted: TrustDomain?
    let now: @Sendable () -> UnixTime

    /// Who the server is. Runs on the connection's event loop.
    func judge(_ channel: any Channel) throws -> ProvenPeer {
        guard let leaf = try channel.pipeline.syncOperations.nioSSL_peerCertificate() else {
            throw AgentShieldError.unverifiedServer("it showed no certificate")
        }
        do {
            return ProvenPeer(try verifier.verify([leaf]))
        } catch .unverified(.noAuthority) {
            // The leaf hangs on an intermediate, which the TLS library has seen and does not hand out.
            return try believe(leaf)
        } catch {
            throw Self.error(error)
        }
    }

    /// Keeps the connection, to cut it when the server is revoked.
    func keep(_ channel: any Channel, _ server: ProvenPeer) throws {
        do {
            try verifier.keep(channel, with: server)
        } catch {
            throw Self.error(error)
        }
    }

    private static func error(_ refusal: PeerVerifier.Refusal) -> AgentShieldError {
        switch refusal {
        case .unauthorized(let id): .serverNotAllowed(id)
        case .unverified(let error): .unverifiedServer(error.description)
        case .unreadable: .unverifiedServer("its certificate cannot be read")
        case .revoked(let id): .serverRevoked(id)
        case .revocationsUnknown: .revocationsUnknown
        }
    }

    /// Relies on the TLS library for the chain, which proves an ID of the one trust domain whose authorities it knew.
    ///
    /// Whether the server is revoked is asked when its connection is kept.
    private func believe(_ leaf: NIOSSLCertificate) throws -> ProvenPeer {
        do {
            let certificate = try ParsedCertificate(der: leaf.toDERBytes())
            let id = try X509SVIDProfile.leafID(certificate)
            guard id.trustDomain == onlyTrusted, certificate.isValid(at: now()) else {
                throw X509VerificationError.noAuthority
            }
            guard rule.allows(id) else { throw AgentShieldError.serverNotAllowed(id) }
            return ProvenPeer(id: id, leaf: certificate)
        } catch let error as AgentShieldError {
            throw error
        } catch {
            throw AgentShieldError.unverifiedServer("\(error)")
        }
    }
}
