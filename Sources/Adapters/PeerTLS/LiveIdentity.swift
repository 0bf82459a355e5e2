import NIOCore
package import NIOSSL
package import SPIFFE
import Synchronization

/// The identity that new handshakes use. Replacing or withdrawing it leaves established connections as they are.
package final class LiveIdentity: Sendable {
    /// There is no identity, not yet or no longer, so no handshake may begin.
    package struct NoIdentity: Error, CustomStringConvertible {
        package var description: String { "there is no identity" }
    }

    /// How a server treats a peer that shows no certificate.
    package enum ClientCertificate: Sendable {
        /// The handshake fails.
        case required
        /// The connection goes on without an identity (SPIRE's node API has callers of both kinds on one port).
        case requested
    }

    /// Everything derived from one identity, so that a handshake never sees halves of two.
    private struct State {
        var identity: TLSIdentity
        let requiring: NIOSSLContext
        let requesting: NIOSSLContext
        let client: NIOSSLContext
        let clientHTTP2: NIOSSLContext
    }

    private let applicationProtocols: [String]
    private let webCertificates: WebCertificates?
    // Guards `State`; held only to copy or swap it. `nil` without an identity: every handshake fails.
    private let state: Mutex<State?>

    /// A place for an identity that is still to come.
    package init(applicationProtocols: [String] = []) {
        self.applicationProtocols = applicationProtocols
        self.webCertificates = nil
        self.state = Mutex(nil)
    }

    /// - Parameters:
    ///   - applicationProtocols: what a server offers by ALPN, best first. Clients offer `http/1.1` or `h2` by their own choice.
    ///   - webCertificates: what a server shows to clients that ask for one of their names.
    /// - Throws: what NIOSSL says when the chain or key cannot be loaded.
    package init(
        _ identity: TLSIdentity, applicationProtocols: [String] = [], webCertificates: WebCertificates? = nil
    ) throws {
        self.applicationProtocols = applicationProtocols
        self.webCertificates = webCertificates
        self.state = Mutex(try Self.derive(identity, applicationProtocols, webCertificates))
    }

    /// The identity in use now; `nil` before the first and after ``withdraw()``.
    package var current: TLSIdentity? {
        state.withLock { $0?.identity }
    }

    /// Makes `identity` the one for every handshake that begins from now on.
    package func replace(_ identity: TLSIdentity) throws {
        let derived = try Self.derive(identity, applicationProtocols, webCertificates)
        state.withLock { $0 = derived }
    }

    /// Replaces the bundles and keeps the SVID; cheap, since roots are looked up at verification and live in no TLS context.
    package func replaceBundles(_ bundles: [TrustDomain: X509Bundle]) {
        state.withLock { state in
            guard let svid = state?.identity.svid else { return }
            state?.identity = TLSIdentity(svid: svid, bundles: bundles)
        }
    }

    /// Makes every handshake that begins from now on fail, until the next ``replace(_:)``.
    package func withdraw() {
        state.withLock { $0 = nil }
    }

    /// The context for an incoming connection.
    package func serverContext(clientCertificate: ClientCertificate) throws(NoIdentity) -> NIOSSLContext {
        let context = state.withLock { clientCertificate == .required ? $0?.requiring : $0?.requesting }
        guard let context else { throw NoIdentity() }
        return context
    }

    /// The context for an outgoing connection.
    package func clientContext(http2: Bool) throws(NoIdentity) -> NIOSSLContext {
        let context = state.withLock { http2 ? $0?.clientHTTP2 : $0?.client }
        guard let context else { throw NoIdentity() }
        return context
    }

    private static func derive(
        _ identity: TLSIdentity, _ applicationProtocols: [String], _ webCertificates: WebCertificates?
    ) throws -> State {
        let chain = try identity.svid.chain.map { try NIOSSLCertificate(bytes: $0, format: .der) }
        let key = try NIOSSLPrivateKey(bytes: identity.svid.pkcs8, format: .der)
        func server(_ verification: CertificateVerification) throws -> NIOSSLContext {
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
            configuration.minimumTLSVersion = .tlsv13
            configuration.certificateVerification = verification
            configuration.trustRoots = .certificates([])
            configuration.applicationProtocols = applicationProtocols
            if let webCertificates {
                configuration.sslContextCallback = { hello, promise in
                    promise.succeed(webCertificates.override(for: hello.serverHostname))
                }
            }
            return try NIOSSLContext(configuration: configuration)
        }
        func client(_ protocols: [String]) throws -> NIOSSLContext {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv13
            // Names in the certificate are SPIFFE IDs, checked by `PeerVerifier`; a DNS name proves nothing here.
            configuration.certificateVerification = .noHostnameVerification
            configuration.trustRoots = .certificates([])
            configuration.certificateChain = chain.map { .certificate($0) }
            configuration.privateKey = .privateKey(key)
            configuration.applicationProtocols = protocols
            return try NIOSSLContext(configuration: configuration)
        }
        return State(
            identity: identity, requiring: try server(.noHostnameVerification),
            requesting: try server(.optionalVerification), client: try client(["http/1.1"]),
            clientHTTP2: try client(["h2"])
        )
    }
}
