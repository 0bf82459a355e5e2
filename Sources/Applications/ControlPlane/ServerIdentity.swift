import Crypto
import Issuance
import Logging
import NIOSSL
import PeerRPC
import PeerTLS
import SPIFFE
import Synchronization

/// The control plane's own identity, `/spire/server`: issued by its own authority, renewed at half of its life and
/// whenever the bundle changes.
final class ServerIdentity: Sendable {
    /// For HTTPS, by PeerTLS.
    let live: LiveIdentity
    // Guards the context of the node API, which is asked for at every connection.
    private let grpcContext: Mutex<NIOSSLContext>
    private let issuer: Issuer
    private let names: [String]
    private let now: @Sendable () -> UnixTime
    private let randomBytes: @Sendable (Int) -> [UInt8]
    // Guards when the current certificate is half spent.
    private let renewAt: Mutex<UnixTime>
    // Guards the current certificate.
    private let leaf: Mutex<ParsedCertificate>

    /// Issues the first one. A name that is an IP address becomes an iPAddress name of the certificate.
    static func open(
        issuer: Issuer, names: [String], webCertificates: WebCertificates, now: @escaping @Sendable () -> UnixTime,
        randomBytes: @escaping @Sendable (Int) -> [UInt8]
    ) async throws -> ServerIdentity {
        let svid = try await issue(issuer, names, randomBytes)
        return try ServerIdentity(
            svid, issuer: issuer, names: names, webCertificates: webCertificates, now: now, randomBytes: randomBytes)
    }

    private init(
        _ svid: X509SVID, issuer: Issuer, names: [String], webCertificates: WebCertificates,
        now: @escaping @Sendable () -> UnixTime, randomBytes: @escaping @Sendable (Int) -> [UInt8]
    ) throws {
        self.issuer = issuer
        self.names = names
        self.now = now
        self.randomBytes = randomBytes
        live = try LiveIdentity(
            TLSIdentity(svid: svid, bundles: [:]), applicationProtocols: ["http/1.1"], webCertificates: webCertificates)
        grpcContext = Mutex(try PeerServer.makeTLSContext(chain: svid.chain, privateKey: svid.pkcs8))
        renewAt = Mutex(Self.halfLife(svid, now()))
        leaf = Mutex(svid.leaf)
    }

    /// The certificate that is shown now.
    var certificate: ParsedCertificate { leaf.withLock { $0 } }

    /// The context for the next connection to the node API.
    var nodeAPIContext: NIOSSLContext { grpcContext.withLock { $0 } }

    /// Renews in time until the task is cancelled, also when the clock was set back to before the certificate's beginning.
    /// A failure leaves the identity as it is and is tried again after a pause that grows up to half a minute.
    func run(
        authorities: Authorities, sleep: @Sendable (Duration) async throws -> Void, logger: Logger
    ) async {
        var authority = authorities.x509Active?.id
        var pause = 1
        while !Task.isCancelled {
            do { try await sleep(.seconds(pause)) } catch { return }
            let active = authorities.x509Active?.id
            let time = now()
            guard active != authority || time >= renewAt.withLock({ $0 }) || time < certificate.notBefore else {
                continue
            }
            do {
                try await renew()
                authority = active
                pause = 1
                logger.debug("renewed the server identity")
            } catch {
                logger.error("cannot renew the server identity", metadata: ["error": "\(error)"])
                pause = min(pause * 2, 30)
            }
        }
    }

    private func renew() async throws {
        let svid = try await Self.issue(issuer, names, randomBytes)
        try live.replace(TLSIdentity(svid: svid, bundles: [:]))
        let context = try PeerServer.makeTLSContext(chain: svid.chain, privateKey: svid.pkcs8)
        grpcContext.withLock { $0 = context }
        renewAt.withLock { $0 = Self.halfLife(svid, now()) }
        leaf.withLock { $0 = svid.leaf }
    }

    private static func issue(
        _ issuer: Issuer, _ names: [String], _ randomBytes: @Sendable (Int) -> [UInt8]
    ) async throws -> X509SVID {
        let key = try P256.Signing.PrivateKey.fresh(randomBytes: randomBytes)
        let issued = try await issuer.issueServerSVID(
            publicKey: SubjectPublicKey(key.publicKey), dnsNames: names.filter { IPAddress($0) == nil },
            ipAddresses: names.compactMap { IPAddress($0) }, requestID: Hex.encode(randomBytes(16)))
        return try X509SVID(chain: issued.chain, privateKey: key)
    }

    private static func halfLife(_ svid: X509SVID, _ now: UnixTime) -> UnixTime {
        UnixTime(milliseconds: now.milliseconds + max(0, svid.leaf.notAfter.milliseconds - now.milliseconds) / 2)
    }
}
