import Attestation
import SPIFFE

/// How this node proves itself to the server.
enum NodeProof: Sendable {
    /// A join token: good once.
    case joinToken(String)
    /// A certificate and its key in files, read anew at each attestation: they may be replaced meanwhile.
    case x509pop(X509PoPFiles)

    /// Whether the same proof can be given again.
    var canRepeat: Bool {
        switch self {
        case .joinToken: false
        case .x509pop: true
        }
    }
}

/// One attestation's messages: what is sent first, and the answer to a challenge.
struct ProofMessages: Sendable {
    let type: String
    let payload: [UInt8]
    /// Answers a challenge of the server.
    let answer: @Sendable (_ challenge: [UInt8]) throws -> [UInt8]
}

extension NodeProof {
    /// What to send. Throws `NodeAgentError` when the proof cannot be given.
    func messages(randomBytes: @escaping @Sendable (Int) -> [UInt8]) throws(NodeAgentError) -> ProofMessages {
        switch self {
        case .joinToken(let token):
            do {
                try JoinTokenAttestation.check(token: token)
            } catch {
                throw .tokenRefused(error.description)
            }
            return ProofMessages(type: JoinTokenAttestation.type, payload: Array(token.utf8)) { _ in
                throw NodeAgentError.attestationRefused("the server asks for more than a join token")
            }
        case .x509pop(let files):
            let credential = try files.credential()
            return ProofMessages(type: X509PoPAttestation.type, payload: credential.payload.bytes) { challenge in
                do throws(X509PoPError) {
                    return try credential.answer(
                        X509PoPChallenge(parsing: challenge), nonce: randomBytes(X509PoPAttestation.nonceLength)
                    ).bytes
                } catch {
                    throw NodeAgentError.attestationRefused(error.description)
                }
            }
        }
    }
}

extension X509PoPFiles {
    /// The ID that the certificate gives at a server without templates. With an SVID the server alone knows.
    func nodeID(in trustDomain: TrustDomain) throws -> SPIFFEID {
        guard let leaf = try credential().certificates.first else { throw NodeAgentError.notAttested }
        return try X509PoPAttestation.nodeID(of: leaf, trustDomain: trustDomain)
    }

    fileprivate func credential() throws(NodeAgentError) -> X509PoPCredential {
        let certificate = try Self.text(certificate)
        let key = try Self.text(privateKey)
        var more: String?
        if let intermediates { more = try Self.text(intermediates) }
        do {
            return try X509PoPCredential(certificatePEM: certificate, intermediatesPEM: more, privateKeyPEM: key)
        } catch {
            throw .proofUnusable("`\(self.certificate)` and `\(privateKey)`: \(error)")
        }
    }

    private static func text(_ path: String) throws(NodeAgentError) -> String {
        do {
            return String(decoding: try OutsideFile.read(path), as: UTF8.self)
        } catch {
            throw .proofUnusable("`\(path)` cannot be read: \(error)")
        }
    }
}
