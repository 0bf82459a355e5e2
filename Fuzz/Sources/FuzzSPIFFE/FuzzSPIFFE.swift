import SPIFFE

/// Feeds one input to every parser of `SPIFFE`. No input may trap; what is read has to be written back the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: data, count: size))
    let text = String(decoding: bytes, as: UTF8.self)
    identifiers(text)
    certificates(bytes)
    bundles(bytes, text)
    tokens(text)
    return 0
}

private let now = UnixTime(seconds: 1_795_461_240)

private func identifiers(_ text: String) {
    if let id = try? SPIFFEID(text) {
        precondition(id.string == text)
        precondition((try? SPIFFEID(trustDomain: id.trustDomain, path: id.path)) == id)
    }
    _ = try? TrustDomain(idOrName: text)
    if let time = UnixTime(rfc3339: text) { precondition(UnixTime(rfc3339: time.rfc3339) == time) }
    if let serial = try? SerialNumber(hex: text) {
        precondition((try? SerialNumber(decimal: serial.decimal)) == serial)
    }
}

private func certificates(_ bytes: [UInt8]) {
    _ = try? CertificateSigningRequest(parsing: bytes)
    _ = try? SubjectPublicKey(derSPKI: bytes)
    if let certificate = try? ParsedCertificate(der: bytes) {
        precondition(certificate.der == bytes)
        _ = certificate.isSigned(by: certificate.publicKey)
    }
    guard let trustDomain = try? TrustDomain("example.org") else { return }
    let bundle = try? X509Bundle(trustDomain: trustDomain, derConcatenated: bytes)
    if let bundle { precondition(bundle.derConcatenated == bytes) }
    _ = try? X509SVIDVerifier.verify(chain: [bytes], bundle: { _ in bundle }, at: now)
    _ = try? X509SVID(chainConcatenated: bytes, pkcs8: bytes)
}

private func bundles(_ bytes: [UInt8], _ text: String) {
    guard let trustDomain = try? TrustDomain("example.org") else { return }
    if let bundle = try? TrustBundle(parsingSPIFFEJSON: bytes, trustDomain: trustDomain) {
        precondition((try? TrustBundle(parsingSPIFFEJSON: bundle.spiffeJSON(), trustDomain: trustDomain)) == bundle)
    }
    _ = try? JWTAuthority.parse(jwks: bytes)
    if let blocks = try? PEM.decodeAll(text, label: PEM.certificateLabel, limit: 8) {
        let again = blocks.map { PEM.encode(label: PEM.certificateLabel, der: $0) }.joined()
        precondition((try? PEM.decodeAll(again, label: PEM.certificateLabel, limit: 8)) == blocks)
    }
    _ = try? TrustBundle(trustDomain: trustDomain, pem: text)
}

private func tokens(_ text: String) {
    if let token = try? UnverifiedJWTSVID(parsing: text) { precondition(!token.audience.isEmpty) }
    // Nothing is signed by no key.
    precondition((try? JWTSVID.verify(token: text, audience: "api", bundles: { _ in [] }, now: now)) == nil)
}
