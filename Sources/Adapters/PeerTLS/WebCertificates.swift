import NIOSSL
import SPIFFE
import Synchronization

/// An operator's certificates for the names that web clients know a server by. A client that asks for one of these names
/// (SNI) is shown that certificate instead of the server's SVID.
package final class WebCertificates: Sendable {
    /// A chain that was found to go with its key.
    package struct Certificate: Sendable {
        /// The DNS names of the leaf in lower case; the first label may be `*`.
        package let names: [String]
        fileprivate let chain: [NIOSSLCertificateSource]
        fileprivate let key: NIOSSLPrivateKeySource

        /// Reads a chain, leaf first, and its private key, both in PEM.
        package init(chain chainPEM: [UInt8], key keyPEM: [UInt8]) throws {
            let certificates = try NIOSSLCertificate.fromPEMBytes(chainPEM)
            guard let leaf = certificates.first else { throw WebCertificateError.noCertificate }
            names = try ParsedCertificate(der: leaf.toDERBytes()).dnsSANs.map { $0.lowercased() }
            guard !names.isEmpty else { throw WebCertificateError.noNames }
            chain = certificates.map { .certificate($0) }
            key = .privateKey(try NIOSSLPrivateKey(bytes: keyPEM, format: .pem))
            // The TLS library compares key and certificate.
            _ = try NIOSSLContext(configuration: .makeServerConfiguration(certificateChain: chain, privateKey: key))
        }

        fileprivate func covers(_ name: String) -> Bool {
            names.contains { pattern in
                guard pattern.hasPrefix("*.") else { return pattern == name }
                // A wildcard stands for exactly one label (RFC 9525 §6.3).
                guard let dot = name.utf8.firstIndex(of: UInt8(ascii: ".")) else { return false }
                return dot > name.startIndex && name[dot...] == pattern.dropFirst()
            }
        }
    }

    // Guards the certificates, the operator's preference first.
    private let state = Mutex<[Certificate]>([])

    package init() {}

    /// Makes these the ones for every handshake that begins from now on.
    package func replace(_ certificates: [Certificate]) {
        state.withLock { $0 = certificates }
    }

    /// What a handshake for `name` uses instead of the SVID; nothing when no certificate is for that name.
    func override(for name: String?) -> NIOSSLContextConfigurationOverride {
        var override = NIOSSLContextConfigurationOverride.noChanges
        guard let name = name?.lowercased(),
            let certificate = state.withLock({ $0.first { $0.covers(name) } })
        else { return override }
        override.certificateChain = certificate.chain
        override.privateKey = certificate.key
        return override
    }
}

/// Why a certificate cannot serve the web.
package enum WebCertificateError: Error, CustomStringConvertible {
    case noCertificate
    case noNames

    package var description: String {
        switch self {
        case .noCertificate: "there is no certificate in it"
        case .noNames: "the certificate has no dns name"
        }
    }
}
