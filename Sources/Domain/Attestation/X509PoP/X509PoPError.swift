/// Why a node was not attested by its certificate.
package enum X509PoPError: Error, Hashable, Sendable {
    case messageTooLarge
    case malformedPayload
    case noCertificate
    case tooManyIntermediates
    case certificateTooLarge
    /// A certificate that cannot be read; 0 is the node's own.
    case badCertificate(index: Int, reason: String)
    /// An RSA key of a size that is not accepted; 0 is the node's own certificate.
    case keySize(index: Int, bits: Int)
    /// The node's key is neither RSA nor on a NIST curve.
    case unsupportedKey
    /// The node's certificate is not for digital signatures.
    case notForSignatures
    /// No path from the certificate to an authority, or one that breaks a rule.
    case notAnchored
    case notYetValid
    case expired
    /// A certificate has a critical extension, or name constraints, that are not understood.
    case unknownCriticalExtension
    /// The SVID's ID does not lie under the prefix that may be exchanged.
    case notExchangeable
    /// The SVID does not verify with the own trust domain's bundle.
    case badSVID(String)
    case malformedChallenge
    case malformedResponse
    /// The node's nonce does not have 32 bytes.
    case badNonce
    /// The answer is for another kind of key than the certificate's.
    case wrongKind
    case badSignature
}

extension X509PoPError {
    /// One word for the audit log.
    package var code: String {
        switch self {
        case .messageTooLarge: "message_too_large"
        case .malformedPayload: "malformed_payload"
        case .noCertificate: "no_certificate"
        case .tooManyIntermediates: "too_many_intermediates"
        case .certificateTooLarge: "certificate_too_large"
        case .badCertificate: "bad_certificate"
        case .keySize: "key_size"
        case .unsupportedKey: "unsupported_key"
        case .notForSignatures: "not_for_signatures"
        case .notAnchored: "not_anchored"
        case .notYetValid: "not_yet_valid"
        case .expired: "expired"
        case .unknownCriticalExtension: "unknown_critical_extension"
        case .notExchangeable: "not_exchangeable"
        case .badSVID: "bad_svid"
        case .malformedChallenge: "malformed_challenge"
        case .malformedResponse: "malformed_response"
        case .badNonce: "bad_nonce"
        case .wrongKind: "wrong_kind"
        case .badSignature: "bad_signature"
        }
    }
}

extension X509PoPError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .messageTooLarge:
            "the attestation message is larger than \(X509PoPAttestation.maximumMessageLength) bytes"
        case .malformedPayload: "the attestation payload is not a JSON object with certificates"
        case .noCertificate: "no certificate to attest"
        case .tooManyIntermediates: "more than \(X509PoPAttestation.maximumIntermediates) intermediate certificates"
        case .certificateTooLarge:
            "a certificate is larger than \(X509PoPAttestation.maximumCertificateLength) bytes"
        case .badCertificate(let index, let reason): "certificate \(index) cannot be read: \(reason)"
        case .keySize(let index, let bits): "the key of certificate \(index) has \(bits) bits, which is not accepted"
        case .unsupportedKey: "the certificate's key is neither RSA nor on the curve P-256, P-384 or P-521"
        case .notForSignatures: "the certificate is not for digital signatures"
        case .notAnchored: "the certificate does not lead to a trusted authority"
        case .notYetValid: "a certificate is not valid yet"
        case .expired: "a certificate has expired"
        case .unknownCriticalExtension: "a certificate has a critical extension that is not supported"
        case .notExchangeable: "the SVID's ID may not be exchanged for a node's"
        case .badSVID(let reason): "the SVID does not verify: \(reason)"
        case .malformedChallenge: "the challenge is malformed"
        case .malformedResponse: "the challenge response is malformed"
        case .badNonce: "the nonce of the challenge response does not have \(X509PoPAttestation.nonceLength) bytes"
        case .wrongKind: "the challenge response is for another kind of key"
        case .badSignature: "the signature of the challenge response does not verify"
        }
    }
}
