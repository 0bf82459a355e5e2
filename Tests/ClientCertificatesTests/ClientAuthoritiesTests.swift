import AgentShieldTesting
import ClientCertificates
import SPIFFE
import TestPKI
import Testing
import X509

@Suite("Authorities of client certificates")
struct ClientAuthoritiesTests {
    let pki = TestPKI(now: UnixTime(seconds: 1_900_000_000))
    let root: TestPKI.Holder
    let authorities: ClientAuthorities

    init() throws {
        root = try pki.make(.authority("root"))
        authorities = try ClientAuthorities(pem: root.pem)
    }

    private func isVouchedFor(_ certificate: PresentedCertificate, at time: UnixTime? = nil) async -> Bool {
        (try? await authorities.verify(certificate, at: time ?? pki.now)) != nil
    }

    @Test("a certificate ends with the first one on its way")
    func earliestEnd() async throws {
        let leaf = try pki.make(.client { $0.until = 500 }, by: root)
        #expect(try await authorities.verify(presented(leaf), at: pki.now) == pki.now + 500)
        let middle = try pki.make(.authority("middle") { $0.until = 300 }, by: root)
        let nested = try pki.make(.client { $0.until = 500 }, by: middle)
        #expect(try await authorities.verify(presented(nested, middle), at: pki.now) == pki.now + 300)
    }

    @Test(
        "purposes of a client's certificate",
        arguments: [
            (X509.KeyUsage(digitalSignature: true), nil, true), (nil, nil, true),
            (X509.KeyUsage(keyEncipherment: true), nil, false),
            (nil, [ExtendedKeyUsage.Usage.clientAuth], true), (nil, [.serverAuth, .clientAuth], true),
            (nil, [.serverAuth], false), (nil, [.any], false), (nil, [.emailProtection], false),
        ] as [(X509.KeyUsage?, [ExtendedKeyUsage.Usage]?, Bool)], [true, false])
    func purposes(rule: (usage: X509.KeyUsage?, purposes: [ExtendedKeyUsage.Usage]?, isGood: Bool), isCritical: Bool)
        async throws
    {
        let leaf = try pki.make(
            .client {
                $0.usage = rule.usage
                $0.purposes = rule.purposes
                $0.isPurposeCritical = isCritical
            }, by: root)
        #expect(try await isVouchedFor(presented(leaf)) == rule.isGood)
    }

    @Test("times of every certificate on the way count, at the moment that is asked for")
    func times() async throws {
        let leaf = try pki.make(
            .client {
                $0.from = 0
                $0.until = 100
            }, by: root)
        for (offset, isGood) in [(-1, false), (0, true), (100, true), (101, false)] as [(Int64, Bool)] {
            #expect(try await isVouchedFor(presented(leaf), at: pki.now + offset) == isGood, "\(offset)")
        }
        let old = try pki.make(.authority("old") { $0.until = -1 }, by: root)
        let nested = try pki.make(.client(), by: old)
        #expect(!(try await isVouchedFor(presented(nested, old))))
    }

    @Test("whoever may not sign does not vouch")
    func issuers() async throws {
        let shapes: [(String, TestPKI.Shape)] = [
            ("no CA", .authority("x") { $0.isCA = false }),
            ("not for certificates", .authority("x") { $0.usage = X509.KeyUsage(digitalSignature: true) }),
            ("for servers", .authority("x") { $0.purposes = [.serverAuth] }),
            (
                "other names alone",
                .authority("x") {
                    $0.nameConstraints = NameConstraints(permittedDNSDomains: ["other.example"])
                }
            ),
            (
                "a trust domain's",
                .authority("x") { $0.names = [.uniformResourceIdentifier("spiffe://example.org")] }
            ),
        ]
        for (name, shape) in shapes {
            let middle = try pki.make(shape, by: root)
            let leaf = try pki.make(.client(), by: middle)
            #expect(!(try await isVouchedFor(presented(leaf, middle))), "\(name)")
        }
        let middle = try pki.make(.authority("y") { $0.pathLength = 0 }, by: root)
        let below = try pki.make(.authority("z"), by: middle)
        let leaf = try pki.make(.client(), by: below)
        #expect(!(try await isVouchedFor(presented(leaf, below, middle))))
        let fitting = try pki.make(
            .authority("w") {
                $0.nameConstraints = NameConstraints(permittedDNSDomains: ["example.org"])
                $0.purposes = [.clientAuth]
            }, by: root)
        #expect(try await isVouchedFor(presented(pki.make(.client(), by: fitting), fitting)))
    }

    @Test("nobody vouches for a stranger, for himself, or for a certificate with a broken signature")
    func strangers() async throws {
        let stranger = try pki.make(.authority("root"))
        #expect(!(try await isVouchedFor(presented(pki.make(.client(), by: stranger)))))
        #expect(!(try await isVouchedFor(presented(pki.make(.client(), by: stranger), stranger))))
        #expect(!(try await isVouchedFor(presented(pki.make(.client())))))
        var der = try pki.make(.client(), by: root).der
        der[der.count - 3] ^= 1
        #expect(!(try await isVouchedFor(PresentedCertificate(unverified: [der]))))
        // The authority itself is no client.
        #expect(!(try await isVouchedFor(presented(root))))
    }

    @Test("what the memory knows is for resumed sessions, and judged anew")
    func remembered() async throws {
        let middle = try pki.make(.authority("middle"), by: root)
        let leaf = try pki.make(.client(), by: middle)
        #expect(!(try await isVouchedFor(presented(leaf))))
        #expect(try await isVouchedFor(presented(leaf, middle)))
        #expect(try await isVouchedFor(presented(leaf)))
        #expect(!(try await isVouchedFor(presented(leaf), at: pki.now + 3601)))
        let other = try pki.make(.authority("other"))
        try authorities.replace(pem: other.pem)
        #expect(!(try await isVouchedFor(presented(leaf))))
    }

    @Test("clients of one authority share what is remembered of it, and a chain that leads nowhere is not remembered")
    func shared() async throws {
        let middle = try pki.make(.authority("middle"), by: root)
        let stranger = try pki.make(.authority("stranger"))
        let beside = try pki.make(.authority("beside"), by: root)
        #expect(
            !(try await isVouchedFor(presented(pki.make(.client(), by: stranger), beside))))
        #expect(try await isVouchedFor(presented(pki.make(.client(), by: middle), middle, beside)))
        #expect(try await isVouchedFor(presented(pki.make(.client(), by: middle))))
        #expect(!(try await isVouchedFor(presented(pki.make(.client(), by: beside)))))
    }

    @Test("intermediates of one name are not tried in every order")
    func sameNames() async throws {
        let middle = try pki.make(.authority("middle"), by: root)
        let twin = try pki.make(.authority("middle"), by: root)
        let leaf = try pki.make(.client(), by: middle)
        #expect(!(try await isVouchedFor(presented(leaf, twin, middle))))
    }

    @Test("a list that is of no use is refused, and leaves the one before")
    func lists() async throws {
        let leaf = try pki.make(.client(), by: root)
        let cases: [([UInt8], ClientAuthoritiesError)] = [
            ([], .pem(.noBlock)), (try leaf.pem, .notAnAuthority(index: 0)),
            (
                try root.pem
                    + pki.make(
                        .authority("x") { $0.names = [.uniformResourceIdentifier("spiffe://example.org")] }
                    ).pem, .ofTrustDomain(index: 1)
            ),
        ]
        for (pem, error) in cases {
            #expect(throws: error) { try authorities.replace(pem: pem) }
        }
        let domain = try TestTrustDomain("example.org", clock: ManualClock(pki.now))
        let own = PEM.encode(label: PEM.certificateLabel, der: domain.authority.certificate.der)
        #expect(throws: ClientAuthoritiesError.ofTrustDomain(index: 0)) {
            try authorities.replace(pem: Array(own.utf8))
        }
        #expect(try await isVouchedFor(presented(leaf)))
    }
}

@Suite("Certificates that nobody has verified")
struct PresentedCertificateTests {
    let pki = TestPKI(now: UnixTime(seconds: 1_900_000_000))

    @Test(
        "a chain has limits, and an SVID is never one", arguments: ["spiffe://example.org/a", "SPIFFE://x", "spiffe:"])
    func limits(uri: String) throws {
        let root = try pki.make(.authority("root"))
        let leaf = try pki.make(.client(), by: root)
        #expect(try presented(leaf, root, root, root, root).leaf.der == leaf.der)
        #expect(throws: PresentedCertificateError.tooLong) { try presented(leaf, root, root, root, root, root) }
        #expect(throws: PresentedCertificateError.empty) { try PresentedCertificate(unverified: []) }
        #expect(throws: PresentedCertificateError.tooLarge) {
            try PresentedCertificate(unverified: [leaf.der, [UInt8](repeating: 0, count: 32 * 1024)])
        }
        #expect(throws: PresentedCertificateError.leaf(.malformed(.truncated))) {
            try PresentedCertificate(unverified: [[0x30]])
        }
        #expect(throws: PresentedCertificateError.namesSPIFFEID) {
            try presented(
                pki.make(.client { $0.names = [.uniformResourceIdentifier(uri), .dnsName("a")] }, by: root))
        }
    }
}
