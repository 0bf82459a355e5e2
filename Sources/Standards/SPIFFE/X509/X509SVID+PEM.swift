extension X509SVID {
    /// Reads the usual pair of files: certificates, leaf first, and a PKCS#8 key.
    package init(chainPEM: String, privateKeyPEM: String) throws(X509SVIDError) {
        let chain: [[UInt8]]
        let keys: [[UInt8]]
        do {
            chain = try PEM.decodeAll(
                chainPEM, label: PEM.certificateLabel, limit: X509SVIDVerifier.maximumChainLength)
            keys = try PEM.decodeAll(privateKeyPEM, label: PEM.privateKeyLabel, limit: 1)
        } catch {
            throw .pem(error)
        }
        guard let key = keys.first else { throw .badPrivateKey }
        try self.init(chain: chain, pkcs8: key)
    }

    /// The certificates, leaf first, in PEM.
    package var chainPEM: String { chain.map { PEM.encode(label: PEM.certificateLabel, der: $0) }.joined() }

    /// The private key in PEM. Secret: for files that only their owner can read.
    package var privateKeyPEM: String { PEM.encode(label: PEM.privateKeyLabel, der: pkcs8) }
}
