import Glibc
package import Issuance

/// Where an operator keeps the authority above ours.
package struct UpstreamAuthorityFiles: Sendable, Hashable {
    /// PEM: the signing certificate first, then those above it.
    package let certificatePath: String
    /// PEM: its private key. Nobody but its owner may read it.
    package let privateKeyPath: String
    /// PEM: the roots; nil when the signing certificate is the root.
    package let bundlePath: String?

    package init(certificatePath: String, privateKeyPath: String, bundlePath: String?) {
        self.certificatePath = certificatePath
        self.privateKeyPath = privateKeyPath
        self.bundlePath = bundlePath
    }

    /// Reads the files as they are now.
    package func read() throws(UpstreamError) -> DiskUpstreamAuthority.Files {
        var status = stat()
        guard stat(privateKeyPath, &status) == 0 else { throw .unreadable(privateKeyPath) }
        guard status.st_mode & 0o077 == 0 else { throw .keyIsReadableByOthers(privateKeyPath) }
        return DiskUpstreamAuthority.Files(
            certificates: try contents(certificatePath), privateKey: try contents(privateKeyPath),
            roots: try bundlePath.map { path throws(UpstreamError) in try contents(path) })
    }

    private func contents(_ path: String) throws(UpstreamError) -> [UInt8] {
        guard let bytes = try? WebCertificateFiles.contents(path) else { throw .unreadable(path) }
        return bytes
    }
}
