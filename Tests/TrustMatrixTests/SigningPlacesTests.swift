import Foundation
import Testing

/// Where the product makes signatures: a new place is a new kind of signed object, which belongs into `SignedKind`.
@Suite struct SigningPlacesTests {
    /// Each file that signs, with the kinds that come out of it.
    static let places: [String: Set<SignedKind>] = [
        // By a key of its own.
        "Standards/SPIFFE/X509/CertificateTemplate.swift": [
            .workloadSVID, .nodeSVID, .serverSVID, .revocationSignerSVID, .root, .authority, .downstreamCA,
        ],
        "Standards/SPIFFE/X509/RevocationListTemplate.swift": [.revocationList],
        "Standards/SPIFFE/X509/CSRBuilder.swift": [.certificateRequest],
        "Standards/SPIFFE/JWT/JWTSVID.swift": [.jwtSVID],
        "Standards/WIMSE/WorkloadIdentityToken.swift": [.witSVID],
        "Standards/WIMSE/Proofs/WorkloadProofToken.swift": [.proofToken],
        "Standards/WIMSE/Signatures/WorkloadSignature.swift": [.requestSignature, .responseSignature],
        "Standards/OAuth/Tokens/AccessToken.swift": [.accessToken],
        "Domain/Issuance/Authorities/SigningAuthority.swift": [
            .accessToken, .transactionToken, .chainingGrant, .identityAssertionGrant, .blueprintAssertion,
        ],
        "Standards/OAuth/DPoP/DPoPProof.swift": [.dpopProof],
        "Standards/A2A/Cards/Signing/SignableCard.swift": [.agentCard],
        "Applications/AgentShield/Tokens/TransactionChallenge.swift": [.transactionChallenge],
        "Domain/Revocation/SignedRevocations.swift": [.revocationSnapshot],
        "Standards/TransparencyLog/SignedCheckpoint.swift": [.checkpoint, .logProof],
        "Domain/Attestation/X509PoP/X509PoPCredential.swift": [.x509popResponse],
        "Domain/Issuance/Upstream/DiskUpstreamAuthority.swift": [.authority],
        // Signs what the others hand to it.
        "Standards/TransparencyLog/NoteSigner.swift": [],
        "Standards/JOSE/JWSSigningKey.swift": [],
        "Standards/JOSE/CompactJWS.swift": [],
    ]

    /// Calls that make a signature over bytes, whatever they mean.
    private static let calls = [
        ".signature(for:", "CompactJWS.sign(", "CertificateTemplate.sign(", "Self.sign(tbs", "signer.note(",
        "key.sign(",
    ]

    @Test("every place that signs is on the list, and every kind comes out of one")
    func places() throws {
        let sources = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Sources")
        let files = try #require(FileManager.default.enumerator(atPath: sources.path))
        var found: Set<String> = []
        for case let path as String in files where path.hasSuffix(".swift") && !path.contains("Testing/") {
            let text = try String(contentsOf: sources.appending(path: path), encoding: .utf8)
            if Self.calls.contains(where: { text.contains($0) }) { found.insert(path) }
        }
        #expect(found == Set(Self.places.keys))
        let kinds = Self.places.values.reduce(into: Set<SignedKind>()) { $0.formUnion($1) }
        // The one that nobody signs.
        #expect(Set(SignedKind.allCases).subtracting(kinds) == [.bundleDocument])
    }
}
