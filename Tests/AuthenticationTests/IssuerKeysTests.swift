import Authentication
import Crypto
import CryptoExtras
import JOSE
import SPIFFE
import Testing

@Suite("The keys of one issuer")
struct IssuerKeysTests {
    private func read(
        _ document: String, _ algorithms: [JWSAlgorithm] = JWSAlgorithm.allCases
    ) throws(IssuerKeysError) -> IssuerKeys {
        try IssuerKeys(parsing: document.utf8, algorithms: algorithms)
    }

    private func refusal(_ document: String) -> IssuerKeysError? {
        do throws(IssuerKeysError) {
            _ = try read(document)
            return nil
        } catch {
            return error
        }
    }

    private func ids(_ keys: IssuerKeys, _ keyID: String?, _ algorithm: JWSAlgorithm = .es256) -> [String?]? {
        if case .keys(let found) = keys.candidates(keyID: keyID, algorithm: algorithm) {
            found.map(\.keyID)
        } else {
            nil
        }
    }

    @Test("are looked up by the bytes of their ID and by their algorithm")
    func lookUp() throws {
        let keys = try read(keySet(jwk("a"), jwk("b"), jwk("\u{e9}")))
        #expect(ids(keys, "a") == ["a"])
        #expect(ids(keys, "b") == ["b"])
        #expect(ids(keys, "A") == nil)
        #expect(ids(keys, "a", .rs256) == nil)
        #expect(ids(keys, "a", .es384) == nil)
        // The same letter in two characters.
        #expect(ids(keys, "e\u{301}") == nil)
    }

    @Test("fit an assertion without key ID only if there is exactly one for the algorithm")
    func withoutKeyID() throws {
        #expect(ids(try read(keySet(jwk("a"))), nil) == ["a"])
        #expect(ids(try read(keySet(jwk(nil))), nil) == [nil])
        #expect(ids(try read(keySet(jwk(nil))), "a") == nil)
        #expect(ids(try read(keySet()), nil) == nil)
        guard case .keyIDRequired = try read(keySet(jwk("a"), jwk(nil))).candidates(keyID: nil, algorithm: .es256)
        else {
            Issue.record("one of two keys was chosen")
            return
        }
    }

    @Test("of RSA that state no algorithm are for each allowed one, and those that state one for it alone")
    func rsa() throws {
        let key = try _RSA.Signing.PrivateKey(keySize: .bits2048).publicKey
        let numbers = try key.getKeyPrimitives()
        let members =
            #""kty":"RSA","n":"\#(Base64URL.encode([UInt8](numbers.modulus)))","e":"\#(Base64URL.encode([UInt8](numbers.publicExponent)))""#
        let open = try read(keySet(#"{\#(members),"kid":"r"}"#), [.rs256, .ps256])
        #expect(ids(open, "r", .rs256) == ["r"])
        #expect(ids(open, nil, .ps256) == ["r"])
        #expect(ids(open, "r", .rs512) == nil)
        let stated = try read(keySet(#"{\#(members),"kid":"r","alg":"RS256"}"#), [.rs256, .ps256])
        #expect(ids(stated, "r", .rs256) == ["r"])
        #expect(ids(stated, "r", .ps256) == nil)
        #expect(try read(keySet(#"{\#(members),"kid":"r","alg":"RS256"}"#), [.es256]).passedOver.unsupported == 1)
    }

    @Test("that do not count are passed over and counted, and do not take the others with them")
    func passedOver() throws {
        let keys = try read(
            keySet(
                jwk("good"), jwk("private", adding: #","d":"AAAA""#), #"{"kty":"oct","kid":"secret","k":"AAAA"}"#,
                jwk("encryption", adding: #","use":"enc""#), jwk("upper", adding: #","use":"SIG""#),
                jwk("derives", adding: #","key_ops":["deriveKey"]"#), #"{"kty":"AKP","kid":"later","alg":"ML-DSA-44"}"#,
                jwk("alg", adding: #","alg":"ES384""#), #"{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"short"}"#,
                "1", jwk(""), jwk(String(repeating: "i", count: 257)), jwk("sig", adding: #","use":"sig""#)))
        #expect(ids(keys, "good") == ["good"])
        #expect(ids(keys, "sig") == ["sig"])
        for name in ["private", "secret", "encryption", "upper", "derives", "later", "alg", "short", ""] {
            #expect(ids(keys, name) == nil, "\(name)")
        }
        #expect(keys.passedOver.secret == 2)
        #expect(keys.passedOver.otherUse == 3)
        #expect(keys.passedOver.unsupported == 1)
        #expect(keys.passedOver.malformed == 5)
    }

    @Test("are at most a hundred")
    func count() throws {
        let key = P256.Signing.PrivateKey()
        let hundred = (0..<100).map { jwk("k\($0)", key) }
        #expect(ids(try read(#"{"keys":[\#(hundred.joined(separator: ","))]}"#), "k99") == ["k99"])
        #expect(refusal(#"{"keys":[\#((hundred + [jwk("more", key)]).joined(separator: ","))]}"#) == .tooManyKeys)
    }

    @Test(
        "are refused as a whole where the document is no key set",
        arguments: [
            "{}", #"{"keys":{}}"#, #"{"keys":null}"#,
        ])
    func noKeySet(document: String) {
        #expect(refusal(document) == .notAKeySet)
    }

    @Test("are refused as a whole where a member is there twice, the text is no JSON or too long")
    func malformed() {
        #expect(refusal(#"{"keys":[],"keys":[]}"#) == .json(.duplicateMember("keys")))
        #expect(refusal(keySet(jwk("a", adding: #","kid":"b""#))) == .json(.duplicateMember("kid")))
        #expect(refusal("<html>") == .json(.unexpectedByte(offset: 0)))
        #expect(
            refusal(#"{"keys":[]}"# + String(repeating: " ", count: 256 << 10)) == .json(.tooLarge(limit: 256 << 10)))
    }
}

@Suite("The keys of several issuers")
struct SeveralIssuersTests {
    @Test("do not meet, whatever their IDs are")
    func confusion() async throws {
        let (mine, theirs) = (P256.Signing.PrivateKey(), P256.Signing.PrivateKey())
        let other = try TrustedIssuer(issuer: "https://other.example", jwksURI: "https://other.example/keys")
        let web = IssuerWeb(keys: keySet(jwk("same", mine)))
        web["https://other.example/keys"] = .text(keySet(jwk("same", theirs), jwk("their-own", theirs)))
        let world = try KeyringWorld(web, others: [other])
        let found = try await world.keyring.keys(of: world.issuer, keyID: "same", algorithm: .es256)
        let foundThere = try await world.keyring.keys(of: other, keyID: "same", algorithm: .es256)
        #expect(found.map(\.derSPKI) == [[UInt8](mine.publicKey.derRepresentation)])
        #expect(foundThere.map(\.derSPKI) == [[UInt8](theirs.publicKey.derRepresentation)])
        #expect(await world.refusal("their-own") == .noSuchKey)
    }

    @Test("are those of the list alone; nobody else is asked")
    func strangers() async throws {
        let world = try KeyringWorld(IssuerWeb(keys: keySet(jwk("a"))))
        let stranger = try TrustedIssuer(issuer: "https://stranger.example")
        await #expect(throws: IssuerKeyError.unknownIssuer) {
            try await world.keyring.keys(of: stranger, keyID: "a", algorithm: .es256)
        }
        #expect(world.keyring.issuer(named: issuerName) == world.issuer)
        #expect(world.keyring.issuer(named: issuerName + "/") == nil)
        #expect(world.web.requests.isEmpty)
    }

    @Test("are found by the bytes of the issuer's name, not by equal characters")
    func kelvinSign() throws {
        let world = try KeyringWorld(IssuerWeb(), others: [TrustedIssuer(issuer: "https://k.example/K")])
        #expect(world.keyring.issuer(named: "https://k.example/K") != nil)
        #expect("https://k.example/\u{212a}" == "https://k.example/K")
        #expect(world.keyring.issuer(named: "https://k.example/\u{212a}") == nil)
    }

    @Test("obey the keyring's rules and not those that a caller brings")
    func callersRules() async throws {
        let world = try KeyringWorld(
            IssuerWeb(keys: keySet(jwk("a"))), issuer: TrustedIssuer(issuer: issuerName, algorithms: [.rs256]))
        let loose = try TrustedIssuer(issuer: issuerName)
        await #expect(throws: IssuerKeyError.algorithmNotAllowed(.es256)) {
            try await world.keyring.keys(of: loose, keyID: "a", algorithm: .es256)
        }
        #expect(world.web.requests.isEmpty)
    }

    @Test("are not asked for with a key ID that is empty or too long")
    func badKeyID() async throws {
        let world = try KeyringWorld(IssuerWeb(keys: keySet(jwk("a"))))
        #expect(await world.refusal("") == .badKeyID)
        #expect(await world.refusal(String(repeating: "k", count: 257)) == .badKeyID)
        #expect(world.web.requests.isEmpty)
    }

    @Test("are those of at most 256 issuers, each there once")
    func bounds() throws {
        let issuers = try (0...256).map { try TrustedIssuer(issuer: "https://i\($0).example") }
        func keyring(_ issuers: [TrustedIssuer]) throws(IssuerKeyringError) {
            _ = try IssuerKeyring(
                issuers, now: { UnixTime(seconds: 0) }, observe: { _ in }, fetch: IssuerWeb().fetch)
        }
        try keyring(Array(issuers.prefix(256)))
        #expect(throws: IssuerKeyringError.tooManyIssuers) { try keyring(issuers) }
        #expect(throws: IssuerKeyringError.twice("https://i0.example")) { try keyring([issuers[0], issuers[0]]) }
    }
}
