package import NIOSSL

extension PeerServer {
    /// A context for a gRPC server: TLS 1.3 only, ALPN `h2`, a client certificate requested but not required.
    ///
    /// Who the client is gets judged by the server's `verifyClient` alone; there are no trust roots here.
    /// - Parameters:
    ///   - chain: DER, leaf first, without the root.
    ///   - privateKey: PKCS #8 DER, or whatever DER form BoringSSL reads.
    package static func makeTLSContext(chain: [[UInt8]], privateKey: [UInt8]) throws(PeerServerError) -> NIOSSLContext {
        do {
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: try chain.map { .certificate(try NIOSSLCertificate(bytes: $0, format: .der)) },
                privateKey: .privateKey(try NIOSSLPrivateKey(bytes: privateKey, format: .der)))
            configuration.minimumTLSVersion = .tlsv13
            configuration.certificateVerification = .optionalVerification
            configuration.trustRoots = .certificates([])
            configuration.applicationProtocols = ["h2"]
            // A client that never answers close_notify must not hold up the end of a server.
            configuration.shutdownTimeout = .seconds(1)
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw .unusableIdentity(String(describing: error))
        }
    }
}
