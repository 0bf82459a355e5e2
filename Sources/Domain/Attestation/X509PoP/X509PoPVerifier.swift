package import SPIFFE

/// The control plane's half: judges certificates, asks for the proof of the key, and judges that.
package struct X509PoPVerifier: Sendable {
    /// Whose certificates count.
    package enum Trust: Sendable {
        /// Those of the operator's own PKI.
        case externalPKI(authorities: [ParsedCertificate])
        /// SVIDs of the own trust domain whose IDs lie under the prefix, such as `/spire-exchange`. An empty prefix
        /// allows every ID but those of SPIRE itself.
        case spiffe(prefix: String, bundle: @Sendable () -> X509Bundle?)
    }

    private let trust: Trust
    private let trustDomain: TrustDomain
    private let now: @Sendable () -> UnixTime

    package init(trust: Trust, trustDomain: TrustDomain, now: @escaping @Sendable () -> UnixTime) {
        self.trust = trust
        self.trustDomain = trustDomain
        self.now = now
    }

    /// A node whose certificates are good and which has not yet proved that they are its own.
    package struct Candidate: Sendable {
        /// The ID that the node gets if it does.
        package let id: SPIFFEID
        /// What its certificates say.
        package let selectors: [Selector]
        package let leaf: ParsedCertificate
        /// The kind of key that has to sign.
        package let kind: X509PoPChallenge.Kind

        fileprivate init(
            id: SPIFFEID, selectors: [Selector], leaf: ParsedCertificate, kind: X509PoPChallenge.Kind
        ) {
            self.id = id
            self.selectors = selectors
            self.leaf = leaf
            self.kind = kind
        }

        /// A challenge for this node. INVARIANT: `nonce` is random and used once.
        package func challenge(nonce: [UInt8]) -> X509PoPChallenge {
            X509PoPChallenge(kind: kind, nonce: nonce)
        }

        /// The node, if the response answers exactly this challenge.
        package func prove(_ response: X509PoPResponse, to challenge: X509PoPChallenge) throws(X509PoPError)
            -> AttestedNode
        {
            guard X509PoPSignature.isValid(response, challenge: challenge, key: leaf.publicKey) else {
                switch (kind, response.signature) {
                case (.rsa, .rsa), (.ecdsa, .ecdsa): throw .badSignature
                default: throw .wrongKind
                }
            }
            return AttestedNode(id: id, selectors: selectors)
        }
    }

    /// A node that has proved everything. Only ``Candidate/prove(_:to:)`` makes it.
    package struct AttestedNode: Sendable, Hashable {
        package let id: SPIFFEID
        package let selectors: [Selector]

        fileprivate init(id: SPIFFEID, selectors: [Selector]) {
            self.id = id
            self.selectors = selectors
        }
    }

    /// Judges what a node sent first. Everything cheap comes before the first signature is checked: the size of the
    /// message, the number of certificates, their sizes, and the sizes of their keys.
    package func admit(_ payload: [UInt8]) throws(X509PoPError) -> Candidate {
        let certificates = try Self.read(X509PoPPayload(parsing: payload))
        guard let leaf = certificates.first else { throw .noCertificate }
        guard leaf.keyUsage?.contains(.digitalSignature) ?? false else { throw .notForSignatures }
        let kind = try Self.kind(of: leaf.publicKey)
        switch trust {
        case .externalPKI(let authorities):
            let above = try X509PoPPath.certificates(
                above: leaf, intermediates: Array(certificates.dropFirst()), authorities: authorities, at: now())
            guard let id = try? X509PoPAttestation.nodeID(of: leaf, trustDomain: trustDomain) else {
                throw .notExchangeable
            }
            return candidate(id, leaf, above, kind)
        case .spiffe(let prefix, let bundle):
            let (id, above) = try exchange(certificates, prefix: prefix, bundle: bundle())
            return candidate(id, leaf, above, kind)
        }
    }

    private func candidate(
        _ id: SPIFFEID, _ leaf: ParsedCertificate, _ above: [ParsedCertificate], _ kind: X509PoPChallenge.Kind
    ) -> Candidate {
        Candidate(
            id: id,
            selectors: X509PoPAttestation.selectors(leaf: leaf, above: above, trustDomain: trustDomain), leaf: leaf,
            kind: kind)
    }

    /// All certificates, read but not verified.
    private static func read(_ payload: X509PoPPayload) throws(X509PoPError) -> [ParsedCertificate] {
        var certificates: [ParsedCertificate] = []
        for (index, der) in payload.certificates.enumerated() {
            do throws(CertificateError) {
                certificates.append(try ParsedCertificate(der: der, rsaBits: X509PoPAttestation.rsaBits))
            } catch .publicKey(.rsaSize(let bits)) {
                throw .keySize(index: index, bits: bits)
            } catch {
                throw .badCertificate(index: index, reason: error.description)
            }
        }
        return certificates
    }

    private static func kind(of key: SubjectPublicKey) throws(X509PoPError) -> X509PoPChallenge.Kind {
        switch key.kind {
        case .rsa: .rsa
        case .p256, .p384, .p521: .ecdsa
        case .ed25519: throw .unsupportedKey
        }
    }

    /// The node ID that an SVID is exchanged for, and the certificates above the SVID.
    private func exchange(
        _ certificates: [ParsedCertificate], prefix: String, bundle: X509Bundle?
    ) throws(X509PoPError) -> (SPIFFEID, [ParsedCertificate]) {
        let svid: VerifiedX509SVID
        do throws(X509VerificationError) {
            svid = try X509SVIDVerifier.verify(
                chain: certificates.map(\.der), bundle: { $0 == trustDomain ? bundle : nil }, at: now())
        } catch {
            switch error {
            case .expired: throw .expired
            case .notYetValid: throw .notYetValid
            case .noAuthority, .unknownTrustDomain: throw .notAnchored
            default: throw .badSVID(error.description)
            }
        }
        let path = svid.id.path
        // A node's own SVID, or the server's, is never a ticket to another node's.
        guard path != "/spire", !path.hasPrefix("/spire/") else { throw .notExchangeable }
        let rest = prefix.hasSuffix("/") ? String(prefix.dropLast()) : prefix
        guard path.utf8.starts(with: "\(rest)/".utf8) else { throw .notExchangeable }
        let name = String(decoding: path.utf8.dropFirst(rest.utf8.count), as: UTF8.self)
        guard
            let id = try? SPIFFEID(
                trustDomain: trustDomain, path: "/spire/agent/\(X509PoPAttestation.type)\(name)")
        else { throw .notExchangeable }
        var above = Array(certificates.dropFirst())
        if let last = certificates.last, let bundle {
            above += bundle.authorities.map(\.certificate).filter {
                $0.subject == last.issuer && last.isSigned(by: $0.publicKey)
            }
        }
        return (id, above)
    }
}
