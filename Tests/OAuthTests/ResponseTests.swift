import JOSE
import OAuth
import Testing

@Suite struct `Responses` {
    private static let codes: [(String, Int, Int, Int)] = [
        ("invalid_request", 400, 400, 400), ("invalid_client", 401, 401, 401), ("invalid_grant", 400, 400, 400),
        ("unauthorized_client", 400, 400, 400), ("unsupported_grant_type", 400, 400, 400),
        ("invalid_scope", 400, 400, 400), ("access_denied", 400, 403, 403),
        ("unsupported_response_type", 400, 400, 400),
        ("server_error", 500, 500, 500), ("temporarily_unavailable", 503, 503, 503), ("invalid_token", 401, 401, 401),
        ("insufficient_scope", 403, 403, 403), ("unsupported_token_type", 400, 400, 400),
        ("invalid_target", 400, 400, 400), ("invalid_authorization_details", 400, 400, 400),
        ("invalid_dpop_proof", 400, 400, 401), ("use_dpop_nonce", 400, 400, 401),
        ("insufficient_user_authentication", 401, 401, 401), ("authorization_pending", 400, 400, 400),
        ("slow_down", 400, 400, 400), ("expired_token", 400, 400, 400), ("transaction_failed", 400, 400, 400),
        ("expired_login_hint_token", 400, 400, 400), ("unknown_user_id", 400, 400, 400),
        ("missing_user_code", 400, 400, 400), ("invalid_user_code", 400, 400, 400),
        ("invalid_binding_message", 400, 400, 400), ("actor_unauthorized", 403, 403, 403),
    ]

    @Test(arguments: codes)
    func `every code has its status`(name: String, token: Int, backchannel: Int, resource: Int) throws {
        let code = try #require(OAuthErrorCode(rawValue: name))
        #expect(code.status(at: .token) == token)
        #expect(code.status(at: .backchannelAuthentication) == backchannel)
        #expect(code.status(at: .resource) == resource)
        #expect(OAuthErrorCode.allCases.count == 28)
    }

    @Test func `an error's body begins with the code and holds allowed characters alone`() {
        let error = OAuthError(
            .slowDown, description: "a \"b\" `c` \\ é\n", otherMembers: ["interval": 5, "error": "other"])
        #expect(
            error.serializedBytes
                == bytes(#"{"error":"slow_down","error_description":"a 'b' 'c' / ??","interval":5}"#))
        #expect(OAuthError(.invalidGrant).serializedBytes == bytes(#"{"error":"invalid_grant"}"#))
        let long = OAuthError(.invalidGrant, description: String(repeating: "é", count: 1000))
        #expect(long.description?.utf8.count == OAuthError.maximumDescriptionBytes)
    }

    @Test func `a refusal tells its code and nothing else`() {
        let near = [
            OAuthError(refusal: ClientAuthenticationError.badBasicCredentials),
            OAuthError(refusal: ClientAuthenticationError.unsupportedAssertionType("secret")),
        ]
        for error in near { #expect(error.serializedBytes == bytes(#"{"error":"invalid_client"}"#)) }
    }

    @Test func `challenges are written as the standards have them`() throws {
        let error = OAuthError(.insufficientScope, description: "more")
        let details = Challenge.Details(
            realm: "a\"b", scope: try Scope("x y"), resourceMetadata: "https://r/.well-known/oauth-protected-resource")
        #expect(Challenge.bearer().headerValue == "Bearer")
        #expect(
            Challenge.bearer(error, details).headerValue
                == #"Bearer realm="a\"b", error="insufficient_scope", error_description="more", scope="x y", "#
                + #"resource_metadata="https://r/.well-known/oauth-protected-resource""#)
        #expect(
            Challenge.dpop(OAuthError(.useDPoPNonce), algorithms: [.es256, .eddsa]).headerValue
                == #"DPoP error="use_dpop_nonce", algs="ES256 EdDSA""#)
        #expect(
            Challenge.bearer(
                OAuthError(.insufficientUserAuthentication), .init(acrValues: "a b", maximumAge: 5)
            ).headerValue == #"Bearer error="insufficient_user_authentication", acr_values="a b", max_age="5""#)
        #expect(Challenge.basic(realm: "é\r\nX: y").headerValue == #"Basic realm="???X: y", charset="UTF-8""#)
    }

    @Test func `a token's answer has its members and no-store`() throws {
        let response = TokenResponse(
            token: SecretText("t"), use: .dpop, expiresIn: 300, scope: try Scope("a b"), issuedTokenType: .accessToken,
            authorizationDetails: try AuthorizationDetails(parsing: #"[{"type":"t"}]"#),
            otherMembers: ["access_token": "other", "refresh_in": 150])
        #expect(
            response.serializedBytes
                == bytes(
                    #"{"access_token":"t","token_type":"DPoP","expires_in":300,"scope":"a b","#
                        + #""issued_token_type":"urn:ietf:params:oauth:token-type:access_token","#
                        + #""authorization_details":[{"type":"t"}],"refresh_in":150}"#))
        #expect(
            TokenResponse(token: SecretText("t"), use: .notApplicable, expiresIn: -1).serializedBytes
                == bytes(#"{"access_token":"t","token_type":"N_A","expires_in":0}"#))
        #expect(ResponseHeaders.json.contains { $0 == ("Cache-Control", "no-store") })
        #expect(ResponseHeaders.json.contains { $0 == ("Pragma", "no-cache") })
        let hidden = TokenResponse(token: SecretText("hush"), use: .bearer, expiresIn: 1)
        #expect(!"\(hidden)".contains("hush"))
    }

    @Test func `introspection tells all of a good token and nothing of another`() throws {
        #expect(IntrospectionResponse.inactive.serializedBytes == bytes(#"{"active":false}"#))
        let actors = try ActorChain.extending(nil, by: Actor(subject: "b", issuer: "i"))
        let claims = AccessTokenClaims(
            issuer: "i", subject: "s", audience: ["a"], clientID: "c", tokenID: "j", issuedAt: 1, expiresAt: 2,
            scope: try Scope("x"), actors: actors, otherClaims: ["active": false])
        #expect(
            IntrospectionResponse.active(claims, use: .bearer).serializedBytes
                == bytes(
                    #"{"active":true,"token_type":"Bearer","iss":"i","sub":"s","aud":"a","exp":2,"iat":1,"jti":"j","#
                        + #""client_id":"c","scope":"x","act":{"sub":"b","iss":"i"}}"#))
    }
}
