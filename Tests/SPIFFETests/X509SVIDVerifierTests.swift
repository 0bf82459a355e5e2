import Crypto
import SPIFFE
import Testing

@Suite struct `X509-SVID verification` {
    typealias Extension = RawCertificate.Extension

    let root: TestAuthority
    let id: SPIFFEID

    init() throws {
        root = try TestAuthority()
        id = try SPIFFEID("spiffe://example.org/agent")
    }

    @Test func `leaves under root, intermediate and two intermediates are verified`() throws {
        let first = try TestAuthority(serial: 2, signedBy: root, pathLength: 1)
        let second = try TestAuthority(serial: 3, signedBy: first, pathLength: 0)
        for chain in try [[root.leaf()], [first.leaf(), first.der], [second.leaf(), second.der, first.der]] {
            let verified = try X509SVIDVerifier.verify(chain: chain, bundle: { _ in root.bundle }, at: now)
            #expect(verified.id == id)
            #expect(verified.chain == chain)
            #expect(verified.leaf.der == chain[0])
            #expect(verified.expiresAt == now + 3600)
        }
    }

    @Test func `the root may follow, and an intermediate may be the anchor`() throws {
        let child = try TestAuthority(serial: 2, signedBy: root)
        #expect(outcome([try root.leaf(), root.der], [root.bundle]) == .success(id))
        #expect(outcome([try child.leaf(), child.der], [child.bundle]) == .success(id))
        #expect(outcome([try child.leaf()], [child.bundle]) == .success(id))
    }

    @Test func `the end is the earliest on the path`() throws {
        let child = try TestAuthority(serial: 2, signedBy: root, notAfter: now + 100)
        let verified = try X509SVIDVerifier.verify(
            chain: [child.leaf(), child.der], bundle: { _ in root.bundle }, at: now)
        #expect(verified.expiresAt == now + 100)
        let shortRoot = try TestAuthority(notAfter: now + 50)
        #expect(
            try X509SVIDVerifier.verify(chain: [shortRoot.leaf()], bundle: { _ in shortRoot.bundle }, at: now)
                .expiresAt == now + 50)
    }

    @Test func `a trust domain's key never makes an ID of another trust domain`() throws {
        let other = try TestAuthority("other.org", serial: 7)
        let forged = try other.leaf("spiffe://example.org/agent")
        #expect(outcome([forged], [root.bundle, other.bundle]) == .failure(.noAuthority))
        #expect(outcome([forged, other.der], [root.bundle, other.bundle]) == .failure(.intermediateOfOtherDomain))
        // The bundle of one domain handed out under another's name is not taken either.
        #expect(throws: X509VerificationError.unknownTrustDomain(try TrustDomain("example.org"))) {
            try X509SVIDVerifier.verify(chain: [forged], bundle: { _ in other.bundle }, at: now)
        }
        #expect(outcome([forged], [other.bundle]) == .failure(.unknownTrustDomain(try TrustDomain("example.org"))))
        // Same names throughout, another key.
        let twin = try TestAuthority()
        #expect(twin.certificate.subject == root.certificate.subject)
        #expect(outcome([try twin.leaf()], [root.bundle]) == .failure(.noAuthority))
        #expect(outcome([try twin.leaf(), twin.der], [root.bundle]) == .failure(.noAuthority))
        // Cross-signed by the other domain: its own bundle vouches, ours does not.
        let crossed = try TestAuthority("example.org", serial: 8, signedBy: other)
        #expect(outcome([try crossed.leaf(), crossed.der], [root.bundle, other.bundle]) == .failure(.noAuthority))
    }

    @Test func `an empty bundle trusts nobody`() throws {
        let empty = X509Bundle(trustDomain: root.trustDomain, authorities: [])
        #expect(outcome([try root.leaf()], [empty]) == .failure(.noAuthority))
        #expect(outcome([], [root.bundle]) == .failure(.emptyChain))
    }

    @Test func `time decides for leaf, intermediate and authority`() throws {
        let leaf = try root.leaf(notBefore: now, notAfter: now + 60)
        #expect(outcome([leaf], [root.bundle], at: now - 1) == .failure(.notYetValid(now)))
        #expect(outcome([leaf], [root.bundle], at: now + 60) == .success(id))
        #expect(outcome([leaf], [root.bundle], at: now + 61) == .failure(.expired(now + 60)))
        let child = try TestAuthority(serial: 2, signedBy: root, notBefore: now, notAfter: now + 60)
        let below = try [child.leaf(notBefore: now - 100, notAfter: now + 1000), child.der]
        #expect(outcome(below, [root.bundle], at: now - 1) == .failure(.notYetValid(now)))
        #expect(outcome(below, [root.bundle], at: now + 61) == .failure(.expired(now + 60)))
        let shortRoot = try TestAuthority(notBefore: now, notAfter: now + 60)
        let long = try shortRoot.leaf(notBefore: now - 100, notAfter: now + 1000)
        #expect(outcome([long], [shortRoot.bundle], at: now - 1) == .failure(.notYetValid(now)))
        #expect(outcome([long], [shortRoot.bundle], at: now + 61) == .failure(.expired(now + 60)))
    }

    @Test func `order, completeness and length of the chain matter`() throws {
        let first = try TestAuthority(serial: 2, signedBy: root)
        let second = try TestAuthority(serial: 3, signedBy: first)
        let leaf = try second.leaf()
        #expect(outcome([leaf, first.der, second.der], [root.bundle]) == .failure(.brokenChain))
        #expect(outcome([leaf, second.der], [root.bundle]) == .failure(.noAuthority))
        #expect(outcome([second.der, leaf], [root.bundle]) == .failure(.rootPath))
        #expect(outcome([leaf, leaf, second.der, first.der], [root.bundle]) == .failure(.intermediateIsNotCA))
        var chain = [root]
        for serial in 20..<28 as Range<UInt8> {
            chain.append(try TestAuthority(serial: serial, signedBy: chain[chain.count - 1]))
        }
        let deep = Array(chain.dropFirst().reversed())
        #expect(outcome([try deep[1].leaf()] + deep.dropFirst().map(\.der), [root.bundle]) == .success(id))
        #expect(outcome([try deep[0].leaf()] + deep.map(\.der), [root.bundle]) == .failure(.chainTooLong))
    }

    @Test func `path lengths of authority and intermediate are kept`() throws {
        let tight = try TestAuthority(pathLength: 0)
        let child = try TestAuthority(serial: 2, signedBy: tight)
        #expect(outcome([try tight.leaf()], [tight.bundle]) == .success(id))
        #expect(outcome([try child.leaf(), child.der], [tight.bundle]) == .failure(.pathTooLong))
        let first = try TestAuthority(serial: 2, signedBy: root, pathLength: 0)
        let second = try TestAuthority(serial: 3, signedBy: first)
        #expect(outcome([try second.leaf(), second.der, first.der], [root.bundle]) == .failure(.pathTooLong))
    }

    /// A leaf with these extensions, signed by the root.
    func leaf(_ extensions: [Extension]?, change: (inout RawCertificate) -> Void = { _ in }) throws -> [UInt8] {
        var raw = RawCertificate()
        raw.issuer = root.certificate.subject
        raw.extensions = extensions
        change(&raw)
        return try raw.signed(by: root.key)
    }

    @Test func `the leaf profile is kept, rule by rule`() throws {
        let uri = Extension.uris(["spiffe://example.org/agent"])
        let usage = Extension.keyUsage(RawCertificate.digitalSignature)
        let table: [([Extension]?, Result<SPIFFEID, X509VerificationError>)] = [
            (RawCertificate.leafExtensions(), .success(id)),
            ([uri, usage], .success(id)),
            ([uri, .keyUsage([3, 0xa8]), .basicConstraints([1, 1, 0])], .success(id)),
            ([uri, usage, .other([0x2a], isCritical: false)], .success(id)),
            (nil, .failure(.uriCount(0))), ([usage], .failure(.uriCount(0))),
            ([.uris(["spiffe://example.org/a", "spiffe://example.org/b"]), usage], .failure(.uriCount(2))),
            ([.uris(["spiffe://example.org/a", "spiffe://example.org/a"]), usage], .failure(.uriCount(2))),
            ([.uris(["spiffe://example.org/a", "https://x"]), usage], .failure(.uriCount(2))),
            ([.uris(["https://example.org/a"]), usage], .failure(.badSPIFFEID(.wrongScheme))),
            ([.uris(["spiffe://example.org/a/../b"]), usage], .failure(.badSPIFFEID(.dotSegment))),
            ([.uris(["spiffe://example.org"]), usage], .failure(.rootPath)),
            ([uri, usage, .basicConstraints(RawCertificate.isCA)], .failure(.leafIsCA)),
            ([uri], .failure(.leafKeyUsage)),
            ([uri, .keyUsage(RawCertificate.digitalSignature, isCritical: false)], .failure(.leafKeyUsage)),
            ([uri, .keyUsage([3, 0x28])], .failure(.leafKeyUsage)),
            ([uri, .keyUsage([2, 0x84])], .failure(.leafMaySign)),
            ([uri, .keyUsage([1, 0x82])], .failure(.leafMaySign)),
            ([uri, usage, .purposes([1])], .failure(.leafPurposes)),
            ([uri, usage, .purposes([2])], .failure(.leafPurposes)),
            ([uri, usage, .purposes([1, 2, 3])], .success(id)),
            ([uri, usage, .other([0x2a], isCritical: true)], .failure(.unknownCriticalExtension)),
            ([uri, usage, .other([0x55, 0x1d, 0x1e], isCritical: false)], .failure(.unknownCriticalExtension)),
        ]
        for (index, (extensions, expected)) in table.enumerated() {
            #expect(outcome([try leaf(extensions)], [root.bundle]) == expected, "row \(index)")
        }
    }

    @Test func `an empty subject needs critical names`() throws {
        for (isCritical, expected) in [
            (true, Result<SPIFFEID, X509VerificationError>.success(id)), (false, .failure(.emptySubject)),
        ] {
            let bytes = try leaf([
                .uris(["spiffe://example.org/agent"], isCritical: isCritical),
                .keyUsage(RawCertificate.digitalSignature),
            ]) { $0.subject = [0x30, 0] }
            #expect(outcome([bytes], [root.bundle]) == expected)
        }
    }

    @Test func `intermediates have to be CAs that may sign`() throws {
        let usage = Extension.keyUsage(RawCertificate.keyCertSign)
        let ca = Extension.basicConstraints(RawCertificate.isCA)
        let table: [([Extension], Result<SPIFFEID, X509VerificationError>)] = [
            ([usage, ca], .success(id)), ([usage, ca, .uris(["spiffe://example.org"])], .success(id)),
            ([usage], .failure(.intermediateIsNotCA)),
            ([usage, .basicConstraints([])], .failure(.intermediateIsNotCA)),
            ([usage, .basicConstraints(RawCertificate.isCA, isCritical: false)], .failure(.intermediateIsNotCA)),
            ([ca], .failure(.intermediateMayNotSign)),
            ([ca, .keyUsage(RawCertificate.digitalSignature)], .failure(.intermediateMayNotSign)),
            ([ca, .keyUsage(RawCertificate.keyCertSign, isCritical: false)], .failure(.intermediateMayNotSign)),
            ([usage, ca, .other([0x2a], isCritical: true)], .failure(.unknownCriticalExtension)),
            ([usage, ca, .uris(["spiffe://other.org"])], .failure(.intermediateOfOtherDomain)),
            ([usage, ca, .uris(["spiffe://example.org/x"])], .failure(.intermediateOfOtherDomain)),
        ]
        for (index, (extensions, expected)) in table.enumerated() {
            var intermediate = RawCertificate()
            intermediate.issuer = root.certificate.subject
            intermediate.subject = RawCertificate.name("intermediate")
            intermediate.extensions = extensions
            var leaf = RawCertificate()
            leaf.issuer = intermediate.subject
            let chain = try [leaf.signed(by: intermediate.key), intermediate.signed(by: root.key)]
            #expect(outcome(chain, [root.bundle]) == expected, "row \(index)")
        }
        // A workload signs with its own SVID.
        let workload = P256.Signing.PrivateKey()
        let svid = try root.leaf(key: workload)
        var forged = RawCertificate()
        forged.issuer = try ParsedCertificate(der: svid).subject
        forged.extensions = RawCertificate.leafExtensions(["spiffe://example.org/admin"])
        #expect(outcome([try forged.signed(by: workload), svid], [root.bundle]) == .failure(.intermediateIsNotCA))
    }

    @Test func `a certificate in the bundle that is no CA signs nothing`() throws {
        var anchor = RawCertificate()
        anchor.issuer = anchor.subject
        var leaf = RawCertificate()
        leaf.issuer = anchor.subject
        let table: [([Extension], Result<SPIFFEID, X509VerificationError>)] = [
            (RawCertificate.caExtensions(), .success(id)),
            ([.basicConstraints(RawCertificate.isCA)], .success(id)),
            (RawCertificate.leafExtensions(), .failure(.authorityMayNotSign)),
            (
                [.keyUsage(RawCertificate.digitalSignature), .basicConstraints(RawCertificate.isCA)],
                .failure(.authorityMayNotSign)
            ),
        ]
        for (extensions, expected) in table {
            anchor.extensions = extensions
            let bundle = X509Bundle(
                trustDomain: root.trustDomain, authorities: [try X509Authority(der: anchor.signed())])
            #expect(outcome([try leaf.signed(by: anchor.key)], [bundle]) == expected)
        }
    }

    @Test func `CA certificates never authenticate`() throws {
        #expect(outcome([root.der], [root.bundle]) == .failure(.rootPath))
        let child = try TestAuthority(serial: 2, signedBy: root)
        #expect(outcome([child.der, root.der], [root.bundle]) == .failure(.rootPath))
        #expect(
            outcome([try leaf([.uris(["spiffe://example.org/agent"])] + RawCertificate.caExtensions())], [root.bundle])
                == .failure(.leafIsCA))
    }

    @Test func `broken certificates anywhere in the chain refuse it`() throws {
        let leaf = try root.leaf()
        #expect(outcome([[]], [root.bundle]) == .failure(.certificate(.malformed(.truncated))))
        #expect(outcome([leaf, [0x30]], [root.bundle]) == .failure(.certificate(.malformed(.truncated))))
        #expect(outcome([leaf + [0]], [root.bundle]) == .failure(.certificate(.malformed(.trailingBytes))))
        let twice = try self.leaf(RawCertificate.leafExtensions() + [.uris(["spiffe://example.org/agent"])])
        let san = try ObjectIdentifierBytes(content: Extension.sanOID)
        #expect(outcome([twice], [root.bundle]) == .failure(.certificate(.extensions(.duplicate(san)))))
    }

    @Test func `with any bit of leaf or intermediate flipped nothing verifies`() throws {
        let child = try TestAuthority(serial: 2, signedBy: root)
        let chain = try [child.leaf(dnsNames: ["a.b"]), child.der]
        #expect(outcome(chain, [root.bundle]) == .success(id))
        for position in chain.indices {
            for index in chain[position].indices {
                for bit in 0..<8 {
                    var changed = chain
                    changed[position][index] ^= 1 << bit
                    if case .success = outcome(changed, [root.bundle]) {
                        Issue.record("certificate \(position), byte \(index), bit \(bit)")
                    }
                }
            }
        }
    }
}
