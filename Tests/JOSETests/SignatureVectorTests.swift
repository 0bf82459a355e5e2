import JOSE
import Testing

/// The published examples: RFC 7515 appendix A, RFC 7520 section 4, RFC 8037 appendix A.
@Suite struct SignatureVectorTests {
    struct Example: Sendable, CustomTestStringConvertible {
        let section: String
        let jwk: String
        let algorithm: JWSAlgorithm
        let token: String
        var testDescription: String { section }
    }

    static let joePayload =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

    static let bilboPayload =
        "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwg"
        + "YW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9m"
        + "ZiB0by4"

    static let bilboRSA =
        #"{"kty":"RSA","kid":"bilbo.baggins@hobbiton.example","use":"sig","e":"AQAB","n":""#
        + "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2w"
        + "qVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bT"
        + "wJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5"
        + #"iaiQkqgc5gHdrNP5zw"}"#

    static let examples: [Example] = [
        Example(
            section: "RFC 7515 A.2",
            jwk: #"{"kty":"RSA","e":"AQAB","n":""#
                + "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SF"
                + "d2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo"
                + "7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkM"
                + #"Ls91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#,
            algorithm: .rs256,
            token: "eyJhbGciOiJSUzI1NiJ9." + joePayload + "."
                + "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdb"
                + "F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383"
                + "LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWy"
                + "wlVmtVrBp0igcN_IoypGlUPQGe77Rw"),
        Example(
            section: "RFC 7515 A.3",
            jwk: #"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","#
                + #""y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            algorithm: .es256,
            token: "eyJhbGciOiJFUzI1NiJ9." + joePayload
                + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"),
        Example(
            section: "RFC 7515 A.4",
            jwk: #"{"kty":"EC","crv":"P-521","#
                + #""x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","#
                + #""y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#,
            algorithm: .es512,
            token: "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA."
                + "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgo"
                + "XD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"),
        Example(
            section: "RFC 7520 4.1", jwk: bilboRSA, algorithm: .rs256,
            token: "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." + bilboPayload + "."
                + "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB"
                + "-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxn"
                + "t8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcI"
                + "e8u9ipH84ogoree7vjbU5y18kDquDg"),
        Example(
            section: "RFC 7520 4.2", jwk: bilboRSA, algorithm: .ps384,
            token: "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." + bilboPayload + "."
                + "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6"
                + "_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3"
                + "lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6G"
                + "YmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw"),
        Example(
            section: "RFC 7520 4.3",
            jwk: #"{"kty":"EC","kid":"bilbo.baggins@hobbiton.example","use":"sig","crv":"P-521","#
                + #""x":"AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt","#
                + #""y":"AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1"}"#,
            algorithm: .es512,
            token: "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." + bilboPayload + "."
                + "AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_sDDy"
                + "YjnAMDxXPn7XrT0lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2"),
        Example(
            section: "RFC 8037 A.4",
            jwk: #"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            algorithm: .eddsa,
            token: "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
                + "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"),
    ]

    @Test(arguments: examples)
    func `a published example verifies by its own algorithm only`(example: Example) throws {
        let jws = try CompactJWS(parsing: example.token)
        let jwk = try key(example.jwk)
        let verificationKey = try JWSVerificationKey(jwk: jwk, defaultAlgorithm: example.algorithm)
        #expect(verificationKey.algorithm == example.algorithm)
        try jws.verify(with: verificationKey)
        for other in JWSAlgorithm.allCases where other != example.algorithm {
            guard
                let otherKey = try? JWSVerificationKey(
                    derSPKI: verificationKey.derSPKI, keyID: nil, algorithm: other)
            else { continue }
            #expect(throws: JWSError.algorithmMismatch(expected: other, found: example.algorithm)) {
                try jws.verify(with: otherKey)
            }
            #expect(!otherKey.isValid(signature: jws.signature, over: jws.signingInput))
        }
    }

    @Test(arguments: examples)
    func `a published example with any changed part is refused`(example: Example) throws {
        let jws = try CompactJWS(parsing: example.token)
        let verificationKey = try JWSVerificationKey(jwk: key(example.jwk), defaultAlgorithm: example.algorithm)
        for index in stride(from: 0, to: jws.signature.count, by: 7) {
            var signature = jws.signature
            signature[index] ^= 0x10
            #expect(!verificationKey.isValid(signature: signature, over: jws.signingInput))
        }
        var input = jws.signingInput
        input[input.count - 1] ^= 1
        #expect(!verificationKey.isValid(signature: jws.signature, over: input))
        #expect(!verificationKey.isValid(signature: jws.signature.dropLast(), over: jws.signingInput))
        #expect(!verificationKey.isValid(signature: jws.signature + [0], over: jws.signingInput))
        #expect(!verificationKey.isValid(signature: [0] + jws.signature, over: jws.signingInput))
        let zeros = [UInt8](repeating: 0, count: jws.signature.count)
        #expect(!verificationKey.isValid(signature: zeros, over: jws.signingInput))
        #expect(!verificationKey.isValid(signature: [UInt8](), over: jws.signingInput))
    }

    @Test func `the claims of RFC 7515 appendix A are read`() throws {
        let claims = try JWTClaims(parsing: try CompactJWS(parsing: Self.examples[1].token).payload)
        #expect(claims.issuer == "joe")
        #expect(claims.expiration == 1_300_819_380)
        #expect(claims.json["http://example.com/is_root"] == true)
    }

    @Test func `the unsecured and the shared-secret example of RFC 7515 are refused`() {
        let unsecured = "eyJhbGciOiJub25lIn0." + Self.joePayload + "."
        #expect(throws: JWSError.unsecured) { try CompactJWS(parsing: unsecured) }
        let shared =
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + Self.joePayload
            + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        #expect(throws: JWSError.unsupportedAlgorithm("HS256")) { try CompactJWS(parsing: shared) }
    }
}
